"""The ONNX files against the trained step in torch, and against NaN.

Every gate reads `found <= allowed and finite`, so that NaN fails it.
Symbols: N rows, H history, T horizon, S states, A actions.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.export.step import WithoutEmptyCarry
from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.windows import Floats
from kinemill.verify.probes import Probe

STEP_TOLERANCE = 1e-5  # of each channel's standard deviation in training
ROLLOUT_FACTOR = 10.0  # times the difference between torch in float32 and in float64
BATCHES = (1, 7, 256)


@dataclass(frozen=True)
class Parity:
    """One comparison, at the row and channel where it is worst.

    Attributes:
        what: `step` or `rollout`.
        probe: the inputs it was made on.
        batch: rows at once.
        channel: the worst channel, or the carry.
        found: largest difference there, in the channel's unit.
        allowed: largest difference allowed there.
        finite: whether all numbers are.
        passed: found <= allowed, and finite.
    """

    what: str
    probe: str
    batch: int
    channel: str
    found: float
    allowed: float
    finite: bool
    passed: bool


@dataclass(frozen=True)
class Pair:
    """The published simulator and the trained step.

    Attributes:
        simulator: loaded with `non_finite="pass"`.
        step: in float32.
        spread: standard deviation of each state in training, (S,); 1 where it never moved, as the
            step scales it.
        angle: which states are angles, (S,).
    """

    simulator: Simulator
    step: Any
    spread: Floats
    angle: NDArray[np.bool_]

    def floor(self, values: Floats) -> Floats:
        """Return what one step to `values` (..., S) may differ by.

        Where a channel lies so far from zero that float32 cannot tell 1e-5 of its spread, it is
        the distance to the next float32: no two runtimes agree on the last bit.
        """
        last_bit = np.spacing(np.abs(values).astype(np.float32))
        return np.maximum(STEP_TOLERANCE * self.spread, last_bit)


def compare(pair: Pair, probes: Sequence[Probe]) -> list[Parity]:
    """Compare on every probe, on the first at several batch sizes."""
    found: list[Parity] = []
    for probe in (*(probes[0].first(batch) for batch in BATCHES), *probes[1:]):
        found += compare_step(pair, probe)
        found.append(compare_rollout(pair, probe))
    return found


def compare_step(pair: Pair, probe: Probe) -> list[Parity]:
    """Compare one step from the end of each window, with the carry that torch warmed up."""
    module, state = WithoutEmptyCarry(pair.step), torch.tensor(probe.states[:, -1])
    with torch.no_grad():
        carry = _warm(module, pair.step, probe)
        wanted = module(state, torch.tensor(probe.actions[:, 0]), *carry)
    found = pair.simulator.step(
        probe.states[:, -1], probe.actions[:, 0], *(part.numpy() for part in carry)
    )
    expected = _array(wanted[0])
    difference = wrapped(found[0] - expected, pair.angle)
    rows = [_worst("step", probe, difference, pair.floor(expected), pair)]
    for item, mine, other in zip(
        pair.simulator.interface.carry, found[1:], wanted[1:], strict=True
    ):
        reference = _array(other)
        scale = np.abs(reference).max(initial=1.0)  # a carry has no unit: of its largest value
        distance = float(np.abs(mine - reference).max())
        allowed, finite = STEP_TOLERANCE * float(scale), bool(np.isfinite(mine).all())
        passed = distance <= allowed and finite
        rows.append(
            Parity("step", probe.name, len(mine), item.name, distance, allowed, finite, passed)
        )
    return rows


def _warm(module: WithoutEmptyCarry, step: Any, probe: Probe) -> tuple[Tensor, ...]:
    states, past, _ = (torch.tensor(part) for part in probe.inputs)
    carry = [part for part in step.initial_carry(len(states)) if 0 not in part.shape]
    for index in range(past.shape[1]):
        _, *carry = module(states[:, index], past[:, index], *carry)
    return tuple(carry)


def compare_rollout(pair: Pair, probe: Probe) -> Parity:
    """Compare a rollout; rounding grows with the horizon, so torch in float64 tells how much.

    Channels of one rollout move each other: how much it is rounded is taken from the worst of them,
    in spreads. One that happens to come out exactly says nothing of the next runtime.
    """
    inputs = [torch.tensor(part) for part in probe.inputs]
    precise = copy.deepcopy(pair.step).double()
    with torch.no_grad():
        single = _array(pair.step.rollout(*inputs))
        double = _array(precise.rollout(*(part.double() for part in inputs)))
    difference = wrapped(pair.simulator.rollout(*probe.inputs) - single, pair.angle)
    rounding = np.abs(wrapped(single - double, pair.angle)).max(axis=1)
    rounding = (rounding / pair.spread).max(axis=1, keepdims=True) * pair.spread
    allowed = np.maximum(ROLLOUT_FACTOR * rounding, pair.floor(np.abs(single).max(axis=1)))
    return _worst("rollout", probe, np.abs(difference).max(axis=1), allowed, pair)


def _worst(what: str, probe: Probe, difference: Floats, allowed: Floats, pair: Pair) -> Parity:
    """Return the row and channel where (N, S) `difference` is closest to, or over, `allowed`."""
    distance = np.abs(difference)
    finite = bool(np.isfinite(distance).all() and np.isfinite(allowed).all())
    ratio = np.where(np.isfinite(distance / allowed), distance / allowed, np.inf)
    row, column = np.unravel_index(np.argmax(ratio), ratio.shape)
    return Parity(
        what=what,
        probe=probe.name,
        batch=len(distance),
        channel=pair.simulator.states[column],
        found=float(distance[row, column]),
        allowed=float(allowed[row, column]),
        finite=finite,
        passed=bool((distance <= allowed).all()) and finite,
    )


def _array(tensor: Tensor) -> Floats:
    return tensor.double().numpy()


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


def _poisoned(what: str, name: str, tensor: NDArray[np.float32], run: Any) -> list[Poison]:
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
