"""An adversarial motion prior: a network that tells steps of the clips' gaits from the policy's.

What it takes for a clip's is rewarded (Peng et al. 2021, AMP, eq. (6) to (8)): least squares
toward 1 for steps of the gaits and -1 for the policy's, a penalty on its gradient at the former,
and a reward of max(0, 1 - (D - 1)² / 4). It learns whenever the policy has made `BATCH` steps.
Symbols: J joints, a step is joints before and after, (2 J,).
"""

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinemill.motion.gait_reference import Reference
from kinemill.rl.sb3 import moments, refill

Floats = NDArray[np.floating]

BATCH = 2048  # steps of the policy, and as many of the gaits, for each time that it learns
_PARTS, _PENALTY, _LR, _HIDDEN = 16, 1.0, 1e-3, 64
_WIDE = (0.1, 0.03)  # rad that joints, and their changes in a step, are divided by


class MotionPrior(nn.Module):
    """Tells gaits from a policy's steps, and learns to.

    Args:
        reference: the gaits.
        joints: J.
        seed: of its weights and of the steps it is shown.
    """

    def __init__(self, reference: Reference, joints: int, seed: int) -> None:
        super().__init__()
        self._reference, self._seed = reference, seed
        generator = torch.Generator().manual_seed(seed)
        sizes = (2 * joints, _HIDDEN, _HIDDEN, 1)
        layers = [nn.Linear(one, other) for one, other in pairwise(sizes)]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        self.network = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=_LR)
        self._steps: Floats = np.zeros((0, 2 * joints), np.float32)
        self._times = 0

    def reward(self, before: Floats, after: Floats) -> Floats:
        """Return how much steps, (B, J) and (B, J) rad, are like the clips', 0 to 1, (B,)."""
        steps = self._seen(before, after)
        self._steps = np.concatenate([self._steps, steps])
        with torch.no_grad():
            told = self.network(torch.from_numpy(steps))[:, 0].double().numpy()
        while len(self._steps) >= BATCH:
            self._learn()
        return np.maximum(0.0, 1.0 - 0.25 * (told - 1.0) ** 2)

    def _seen(self, before: Floats, after: Floats) -> Floats:
        """Return where joints are about the gaits' middle, and their change, near 1, (B, 2 J)."""
        off = (before - self._reference.middle) / _WIDE[0]
        return np.concatenate([off, (after - before) / _WIDE[1]], axis=1).astype(np.float32)

    def _of_clips(self, random: np.random.Generator) -> Tensor:
        """Return as many steps of the gaits as the policy made, (BATCH, 2 J)."""
        reference = self._reference
        which = random.integers(reference.clips, size=BATCH)
        phases = random.uniform(0.0, 2.0 * np.pi, BATCH)
        pair = (reference.at(phases + ahead, which).joints for ahead in (0.0, reference.pace))
        return torch.from_numpy(self._seen(*pair))

    def _learn(self) -> None:
        random = np.random.default_rng([self._seed, self._times])
        own = torch.from_numpy(self._steps[:BATCH][random.permutation(BATCH)])
        pairs = zip(self._of_clips(random).chunk(_PARTS), own.chunk(_PARTS), strict=True)
        for clips, policy in pairs:
            shown = clips.clone().requires_grad_()
            told = self.network(shown)
            (slope,) = torch.autograd.grad(told.sum(), shown, create_graph=True)
            loss = (told - 1.0).square().mean() + (self.network(policy) + 1.0).square().mean()
            loss = loss + _PENALTY * slope.square().sum(dim=1).mean()
            self._optimizer.zero_grad()
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            self._optimizer.step()
        self._steps, self._times = self._steps[BATCH:], self._times + 1

    def tensors(self) -> dict[str, Tensor]:
        """Return all that it goes on from, by name."""
        return {
            **{f"network.{name}": value for name, value in self.network.state_dict().items()},
            **{f"moments.{name}": value for name, value in moments(self._optimizer).items()},
            "steps": torch.from_numpy(self._steps),
            "times": torch.tensor(self._times),
        }

    def go_on(self, tensors: dict[str, Any]) -> None:
        """Go back to what `tensors` returned."""
        own = {name: value for name, value in tensors.items() if name not in ("steps", "times")}
        parts = {"network": dict[str, Any](), "moments": dict[str, Any]()}
        for name, value in own.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = value
        self.network.load_state_dict(parts["network"])
        refill(self._optimizer, parts["moments"])
        self._steps = tensors["steps"].numpy()
        self._times = int(tensors["times"])
