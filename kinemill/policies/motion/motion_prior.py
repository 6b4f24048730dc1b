"""An adversarial motion prior: a discriminator between steps of gaits and steps of the policy.

The reward is high for steps that it classifies as a gait's (Peng et al. 2021, AMP, eq. (6) to (8)):
least squares toward 1 for steps of gaits and -1 for the policy's, a gradient penalty at the former,
and a reward of max(0, 1 - (D - 1)² / 4). It trains after each `BATCH` steps of the policy.
Symbols: J joints; a step is two consecutive rows of joints, (2 J,).
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from kinemill.policies.motion.reference import Floats, Reference
from kinemill.policies.rl.warm_start import without_prefix
from kinemill.train.training_state import load_optimizer, optimizer_tensors

BATCH = 2048  # steps of the policy, and as many of the gaits, for each training of the prior
_MINIBATCHES = 16
_PENALTY = 1.0
_LR = 1e-3
_HIDDEN = 64
_UNITS = (0.1, 0.03)  # rad, divisors of joints and of their changes in a step


class MotionPrior(nn.Module):
    """A discriminator that trains on the steps it rates.

    Args:
        reference: the gaits.
        joints: J.
        seed: of its weights and of its batches.
    """

    def __init__(self, reference: Reference, joints: int, seed: int) -> None:
        super().__init__()
        self._reference = reference
        self._seed = seed
        generator = torch.Generator().manual_seed(seed)
        sizes = (2 * joints, _HIDDEN, _HIDDEN, 1)
        layers = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self.network = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=_LR)
        self._steps = np.zeros((0, 2 * joints), np.float32)
        self._updates = 0

    def reward(self, previous: Floats, joints: Floats) -> Floats:
        """Return the similarity of steps to the gaits', 0 to 1: (B, J) and (B, J) rad -> (B,)."""
        steps = self._scaled(previous, joints)
        self._steps = np.concatenate([self._steps, steps])
        with torch.no_grad():
            score = self.network(torch.from_numpy(steps))[:, 0].double().numpy()
        while len(self._steps) >= BATCH:
            self._update()
        return np.maximum(0.0, 1.0 - 0.25 * (score - 1.0) ** 2)

    def _scaled(
        self, previous: Floats, joints: Floats
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """Return joints about the gaits' mean and their changes, scaled to about 1, (B, 2 J)."""
        offset = (previous - self._reference.middle) / _UNITS[0]
        return np.concatenate([offset, (joints - previous) / _UNITS[1]], axis=1).astype(np.float32)

    def _gait_steps(self, random: np.random.Generator) -> Tensor:
        """Return random steps of the gaits, (BATCH, 2 J)."""
        reference = self._reference
        rows = random.integers(reference.clips, size=BATCH)
        phases = reference.draw_phases(random, rows)
        previous, joints = (
            reference.at(phases + advance, rows).joints for advance in (0.0, reference.phase_step)
        )
        return torch.from_numpy(self._scaled(previous, joints))

    def _update(self) -> None:
        random = np.random.default_rng([self._seed, self._updates])
        policy_steps = torch.from_numpy(self._steps[:BATCH][random.permutation(BATCH)])
        gait_steps = self._gait_steps(random)
        for gait, policy in zip(
            gait_steps.chunk(_MINIBATCHES), policy_steps.chunk(_MINIBATCHES), strict=True
        ):
            inputs = gait.clone().requires_grad_()
            score = self.network(inputs)
            (slope,) = torch.autograd.grad(score.sum(), inputs, create_graph=True)
            loss = (score - 1.0).square().mean() + (self.network(policy) + 1.0).square().mean()
            loss = loss + _PENALTY * slope.square().sum(dim=1).mean()
            self._optimizer.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self._optimizer.step()
        self._steps = self._steps[BATCH:]
        self._updates = self._updates + 1

    def tensors(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint, by name."""
        return {
            **{f"network.{name}": value for name, value in self.network.state_dict().items()},
            **{f"optimizer.{k}": value for k, value in optimizer_tensors(self._optimizer).items()},
            "steps": torch.from_numpy(self._steps),
            "updates": torch.tensor(self._updates),
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore the state that `tensors` returned."""
        self.network.load_state_dict(without_prefix(tensors, "network."))
        load_optimizer(self._optimizer, without_prefix(tensors, "optimizer."))
        self._steps, self._updates = tensors["steps"].numpy(), int(tensors["updates"])
