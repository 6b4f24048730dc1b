"""The dynamics step in physical units, everything inside: encoding, network, relations, angles.

Training, evaluation and export all run this one module, so they cannot mean different things.
Symbols: B batch, H history, T horizon, S states, A actions, F features.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.train.layout import Layout

SCALES = ("state_mean", "state_std", "action_mean", "action_std", "output_mean", "output_std")


class Step(nn.Module):
    """(state (B, S), action (B, A), carry...) -> (next_state (B, S), carry...), task units.

    Args:
        layout: order of channels, relations and integration.
        network: `(features (B, F), carry...) -> (outputs (B, O), carry...)`, see `models`.
        scale: the tensors named in SCALES, from the training split (`data.scale_of`).
    """

    angle_index: Tensor
    linear_index: Tensor
    drift: Tensor
    gain: Tensor
    period: Tensor
    frequency: Tensor
    state_mean: Tensor
    state_std: Tensor
    action_mean: Tensor
    action_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    def __init__(self, layout: Layout, network: Any, scale: dict[str, Tensor]) -> None:
        super().__init__()
        self.layout, self.network = layout, network
        angles = torch.tensor(layout.angles)
        # As tensors, because indexing by a list is exported as three operations instead of one.
        self.register_buffer("angle_index", angles.nonzero().flatten(), persistent=False)
        self.register_buffer("linear_index", (~angles).nonzero().flatten(), persistent=False)
        self.register_buffer("drift", torch.tensor(layout.drift, dtype=torch.float32))
        self.register_buffer("gain", torch.tensor(layout.gain, dtype=torch.float32))
        self.register_buffer("period", torch.where(angles, 2 * math.pi, 0.0))
        self.register_buffer("frequency", torch.where(angles, 1 / (2 * math.pi), 0.0))
        for name, value in scale.items():
            self.register_buffer(name, value.to(torch.float32))

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H."""
        return self.layout.history

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each carry tensor, without the batch."""
        return self.network.carry_shapes

    def initial_carry(self, batch: int) -> tuple[Tensor, ...]:
        """Return the carry before anything was seen, zeros."""
        like = self.drift
        return tuple(like.new_zeros(batch, *shape) for shape in self.carry_shapes)

    def encode(self, state: Tensor, action: Tensor) -> Tensor:
        """Encode (..., S) and (..., A) to features (..., F): cos, sin, then scaled values."""
        parts = [(action - self.action_mean) / self.action_std]
        if not all(self.layout.angles):
            scaled = (state - self.state_mean) / self.state_std
            parts.insert(0, scaled.index_select(-1, self.linear_index))
        if any(self.layout.angles):
            angle = state.index_select(-1, self.angle_index)
            parts = [torch.cos(angle), torch.sin(angle), *parts]
        return torch.cat(parts, dim=-1)

    def wrap(self, state: Tensor) -> Tensor:
        """Bring angles into [-π, π] by a - 2π round(a / 2π), which keeps NaN (atan2 does not)."""
        return state - self.period * torch.round(state * self.frequency)

    def outputs_of(self, state: Tensor, following: Tensor) -> Tensor:
        """Return the outputs (B, O), as the network gives them, that lead to the next state.

        Args:
            state: (B, S).
            following: (B, S), one time step later.
        """
        moved, wanted = self.wrap(following - state), list[Tensor]()
        for _, output in self.layout.outputs:
            column = self.layout.states.index(output.of)
            value = following[:, column] if output.relation == "equal" else moved[:, column]
            wanted.append(value / self.layout.dt if output.relation == "derivative" else value)
        return (torch.stack(wanted, dim=1) - self.output_mean) / self.output_std

    def forward(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Advance one time step."""
        outputs, *carry_out = self.network(self.encode(state, action), *carry)
        physical = outputs * self.output_std + self.output_mean
        moved = state + state @ self.drift + physical @ self.gain
        return self.wrap(moved), *carry_out

    def warm_up(self, states: Tensor, past_actions: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after states (B, H, S) without the last, under (B, H-1, A)."""
        if self.history == 1:
            return self.initial_carry(states.shape[0])
        return self.network.warm_up(self.encode(states[:, :-1], past_actions))

    def rollout(self, states: Tensor, past_actions: Tensor, actions: Tensor) -> Tensor:
        """Feed the step with its own output.

        Args:
            states: (B, H, S), the last row is the present.
            past_actions: (B, H-1, A); action k acts from state k to k+1.
            actions: (B, T, A), the first acts from the present on.

        Returns:
            (B, T, S), the states after each of `actions`.
        """
        carry = self.warm_up(states, past_actions)
        state, predicted = states[:, -1], list[Tensor]()
        for action in actions.unbind(1):
            state, *rest = self(state, action, *carry)
            carry = tuple(rest)
            predicted.append(state)
        return torch.stack(predicted, dim=1)
