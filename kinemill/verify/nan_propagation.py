"""What NaN does: it belongs in every output of its own row, and in no other row."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime import Simulator
from kinemill.verify.test_inputs import Probe


@dataclass(frozen=True)
class Poison:
    """What a NaN in one row of one input did.

    Attributes:
        what: the file, `step` or `rollout`.
        tensor: the input that held the NaN.
        spread: every output of that row is NaN.
        contained: every output of all other rows is finite.
    """

    what: str
    tensor: str
    spread: bool
    contained: bool

    @property
    def passed(self) -> bool:
        """NaN in that row, and in no other."""
        return self.spread and self.contained


def poison(simulator: Simulator, probe: Probe) -> list[Poison]:
    """Put a NaN at the start, in the middle and at the end of each input, one at a time."""
    found: list[Poison] = []
    names = ["states", "past_actions", "actions"]
    inputs = [part.copy() for part in probe.first(7).inputs]
    for name, tensor in zip(names, inputs, strict=True):
        found += _poisoned("rollout", name, tensor, lambda: (simulator.rollout(*inputs),))
    carry = simulator.warm_up(*inputs[:2])
    parts = [inputs[0][:, -1].copy(), inputs[2][:, 0].copy(), *(part.copy() for part in carry)]
    names = ["state", "action", *(item.name for item in simulator.interface.carry)]
    for name, tensor in zip(names, parts, strict=True):
        found += _poisoned("step", name, tensor, lambda: simulator.step(*parts))
    return found


def _poisoned(
    what: str,
    name: str,
    tensor: NDArray[np.float32],
    run: Callable[[], tuple[NDArray[np.float32], ...]],
) -> list[Poison]:
    found: list[Poison] = []
    row, size = 3, tensor[0].size
    for place in sorted({0, size // 2, size - 1} if size else set[int]()):
        clean = tensor[row].flat[place]
        tensor[row].flat[place] = np.nan
        outputs = run()
        tensor[row].flat[place] = clean
        found.append(
            Poison(
                what,
                name,
                spread=all(bool(np.isnan(out[row]).all()) for out in outputs),
                contained=all(bool(np.isfinite(np.delete(out, row, 0)).all()) for out in outputs),
            )
        )
    return found
