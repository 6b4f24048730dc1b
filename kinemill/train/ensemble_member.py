"""One member of an ensemble: a step, and optionally its learned noise.

Symbols: B batch, H history, T horizon, S states, A actions, O outputs, F features; D and Q the
drift and gain of a step; P covariance of the state, R variance of its measurement.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from kinemill.train.robots import robots_set
from kinemill.train.step import Step

WIDTH = 64  # size of the hidden layer of the variance, which is smoother than the mean
# Initial log variances, of scaled outputs: lower bound, upper bound, prediction.
SMALLEST = -10.0
LARGEST = 0.5
FIRST = -4.0
MEASURED = 0.02  # initial standard deviation of a measurement, in standard deviations of the states


class Noise(nn.Module):
    """Noise of one step: softly bounded log variance of each output, and R.

    The bounds are learned (Chua et al. 2018, appendix A.1); `slack` is their term in the loss.

    Args:
        features: F.
        outputs: O.
        states: S.
    """

    def __init__(self, features: int, outputs: int, states: int) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(features, WIDTH), nn.Linear(WIDTH, outputs)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, FIRST)
        self.smallest = nn.Parameter(torch.full((outputs,), SMALLEST))
        self.largest = nn.Parameter(torch.full((outputs,), LARGEST))
        self.measured = nn.Parameter(torch.full((states,), MEASURED).log() * 2)

    def forward(self, features: Tensor) -> object:
        """Return log variances (B, O) of the scaled outputs from features (B, F)."""
        # Softplus has a gradient beyond both bounds; a clamp has none.
        free = self.head(torch.tanh(self.inner(features)))
        below = self.largest - functional.softplus(self.largest - free)
        return self.smallest + functional.softplus(below - self.smallest)

    @property
    def slack(self) -> Tensor:
        """Distance between the bounds, a scalar summed over the outputs."""
        return (self.largest - self.smallest).sum()


class Member(nn.Module):
    """A step and its noise. `forward` calls methods by name, so that `vmap` covers all of them.

    Args:
        step: a `train.step.Step`.
        noise: noise of the same layout; None: only the mean is learned.
    """

    def __init__(self, step: Step, noise: Noise | None) -> None:
        super().__init__()
        self.step = step
        self.noise = noise

    def forward(self, method: str, *arguments: object) -> object:
        """Call one of the methods below."""
        return getattr(self, method)(*arguments)

    def warm_up(self, states: Tensor, past_actions: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after states (B, H, S) without the last, under (B, H-1, A)."""
        return self.step.warm_up(states, past_actions)

    def advance(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the next state (B, S), the covariance (B, S, S) this step adds, the carry."""
        following, *after = self.step(state, action, *carry)
        return following, self.added(state, action), *after

    def outputs(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs at a row, (B, Y), as a tuple of one tensor."""
        return (self.step.advance(state, action, *carry)[1],)

    def added(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the covariance of the noise of one step, Qᵀ diag(variances) Q: (B, S, S)."""
        if self.noise is None:
            return state.new_zeros(*state.shape, state.shape[-1])
        row = torch.cat([state, action], dim=-1)
        # Relative to itself, a coordinate is 0: the variance must not depend on the position.
        origin = self.step.encoder.origin(row.unsqueeze(1))
        features = self.step.network_inputs(row, None if origin is None else origin.squeeze(1))[-1]
        variance = self.noise(features).exp() * self.step.output_std**2
        return self.step.gain.T @ (variance.unsqueeze(-1) * self.step.gain)

    def grown(self, covariance: Tensor) -> Tensor:
        """Return P (B, S, S) after one step of the relations alone, (1 + D)ᵀ P (1 + D)."""
        drift = self.step.drift
        whole = drift + torch.eye(len(drift), dtype=drift.dtype, device=drift.device)
        return whole.T @ covariance @ whole

    def unroll(
        self,
        states: Tensor,
        past_actions: Tensor,
        actions: Tensor,
        robots: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Roll out as in training.

        Args:
            states: (B, H, S), like all of these in task units.
            past_actions: (B, H-1, A).
            actions: (B, T, A).
            robots: (B,) robot of each row, if the network distinguishes robots.

        Returns:
            Predictions and their variances, (B, T, S + Y) each. Without noise the variances are 0;
            with noise there are no outputs (Y = 0).
        """
        with robots_set(self.step, robots):
            whole, covariances = self._unrolled(states, past_actions, actions)
        if self.noise is None:
            return whole, torch.zeros_like(whole)
        variances = torch.stack(covariances, dim=1).diagonal(dim1=-2, dim2=-1)
        return whole, variances + self.noise.measured.exp() * self.step.state_std**2

    def _unrolled(
        self, states: Tensor, past_actions: Tensor, actions: Tensor
    ) -> tuple[Tensor, list[Tensor]]:
        carry = self.step.warm_up(states, past_actions)
        state = states[:, -1]
        covariance = torch.zeros(())
        predicted = list[Tensor]()
        covariances = list[Tensor]()
        for k, action in enumerate(actions.unbind(1)):
            if self.noise is not None:
                propagated = self.grown(covariance) if k else 0.0
                covariance = propagated + self.added(state, action)
                covariances.append(covariance)
            state, outputs, *after = self.step.advance(state, action, *carry)
            carry = tuple(after)
            has_outputs = self.step.readout is not None
            predicted.append(torch.cat([state, outputs], -1) if has_outputs else state)
        return torch.stack(predicted, dim=1), covariances
