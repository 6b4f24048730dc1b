"""The ONNX files against the trained step in torch, and against NaN.

Every gate reads `found <= allowed and finite`, so that NaN fails it.
Symbols: N rows, H history, T horizon, S states, A actions.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.export.step import WithoutEmptyCarry
from kinemill.runtime import Interface, wrapped
from kinemill.runtime.windows import Floats
from kinemill.verify.probes import Probe

STEP_TOLERANCE = 1e-5  # of each channel's standard deviation in training
ROLLOUT_FACTOR = 10.0  # times the difference between torch in float32 and in float64
BATCHES = (1, 7, 256)
LONG, LONG_ROWS = 200, 16
COPIES = 4  # of a long rollout, each started a rounding apart
FAR = 1e3  # spreads from its start: a rollout beyond that has run away, and is compared no more


@dataclass(frozen=True)
class Parity:
    """One comparison, at the row and channel where it is worst.

    Attributes:
        what: `step`, `rollout` or `long rollout`.
        probe: the inputs it was made on.
        batch: rows at once.
        channel: the worst channel, or the carry.
        found: largest difference there, in the channel's unit.
        allowed: largest difference allowed there.
        finite: whether all numbers are.
        passed: found <= allowed, and finite.
        trouble: why it could not be made, if it could not.
    """

    what: str
    probe: str
    batch: int
    channel: str
    found: float
    allowed: float
    finite: bool
    passed: bool
    trouble: str = ""


class Runner(Protocol):
    """What is compared: a `Simulator`, or its files elsewhere."""

    @property
    def interface(self) -> Interface:
        """What goes in and comes out."""
        ...

    def rollout(self, states: Any, past_actions: Any, actions: Any) -> NDArray[Any]:
        """(N, H, S), (N, H-1, A), (N, T, A) -> (N, T, S)."""
        ...

    def step(self, state: Any, action: Any, *carry: Any) -> tuple[NDArray[Any], ...]:
        """(N, S), (N, A), carry -> (N, S), carry."""
        ...


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

    simulator: Runner
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
        found += compare_both(pair, probe)
    return found


def compare_both(pair: Pair, probe: Probe) -> list[Parity]:
    """Compare step and rollout on one probe; what cannot be run has failed."""
    return [
        *tried("step", probe, lambda: compare_step(pair, probe)),
        *tried("rollout", probe, lambda: [compare_rollout(pair, probe)]),
    ]


def tried(what: str, probe: Probe, compared: Callable[[], list[Parity]]) -> list[Parity]:
    """Compare, or say why that could not be done."""
    try:
        return compared()
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
        told = str(error).strip().splitlines()
        batch, trouble = len(probe.states), told[0] if told else type(error).__name__
        return [Parity(what, probe.name, batch, "", np.inf, 0.0, False, False, trouble)]


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
    allowed = pair.floor(expected)
    if probe.beyond:  # numbers there may be so large that float32 has no 1e-5 of a spread left
        allowed = np.maximum(allowed, _step_rounding(pair, probe, expected))
    rows = [_worst("step", probe, difference, allowed, pair)]
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


def _step_rounding(pair: Pair, probe: Probe, single: Floats) -> Floats:
    """Return ROLLOUT_FACTOR times what a step in float64 differs by from one in float32, (N, S)."""
    precise = copy.deepcopy(pair.step).double()
    module = WithoutEmptyCarry(precise)
    with torch.no_grad():
        carry = _warm(module, precise, probe, torch.float64)
        state, action = torch.tensor(probe.states[:, -1]), torch.tensor(probe.actions[:, 0])
        double = _array(module(state.double(), action.double(), *carry)[0])
    rounding = np.abs(wrapped(single - double, pair.angle)) / pair.spread
    return ROLLOUT_FACTOR * rounding.max(axis=1, keepdims=True) * pair.spread


def _warm(
    module: WithoutEmptyCarry, step: Any, probe: Probe, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, ...]:
    states, past, _ = (torch.tensor(part, dtype=dtype) for part in probe.inputs)
    carry = [part for part in step.initial_carry(len(states)) if 0 not in part.shape]
    for index in range(past.shape[1]):
        _, *carry = module(states[:, index], past[:, index], *carry)
    return tuple(carry)


def compare_rollout(pair: Pair, probe: Probe) -> Parity:
    """Compare a rollout; rounding grows with the horizon, so torch in float64 tells how much.

    Channels of one rollout move each other: how much it is rounded is taken from the worst of them,
    in spreads. One that happens to come out exactly says nothing of the next runtime; beyond what
    may ever be, where luck decides most, it is the most that copies a rounding apart differ by.
    """
    single, rounded, double = _rolled(pair, probe, probe.beyond)
    near = _near(pair, probe, double) if probe.beyond else np.ones(double.shape[:2], dtype=bool)
    difference = wrapped(pair.simulator.rollout(*probe.inputs) - single, pair.angle)
    rounding = _rounding(pair, near, rounded, double)
    most = np.maximum(ROLLOUT_FACTOR * rounding, pair.floor(_until(near, single).max(axis=1)))
    return _worst("rollout", probe, _until(near, difference).max(axis=1), most, pair)


def _rolled(pair: Pair, probe: Probe, copied: bool) -> tuple[Floats, list[Floats], Floats]:
    """Roll out in torch.

    Returns:
        In float32 (N, T, S); that and, if `copied`, what COPIES started a rounding apart come to;
        in float64.
    """
    states = _rounded(probe.states, pair.spread) if copied else [probe.states]
    inputs = [torch.tensor(part) for part in probe.inputs]
    others = [part.repeat(len(states), 1, 1) for part in inputs[1:]]
    precise = copy.deepcopy(pair.step).double()
    with torch.no_grad():
        double = _array(precise.rollout(*(part.double() for part in inputs)))
        every = _array(pair.step.rollout(torch.tensor(np.concatenate(states)), *others))
    rounded = np.split(every, len(states))
    return rounded[0], rounded, double


def _rounding(
    pair: Pair, near: NDArray[np.bool_], rounded: Sequence[Floats], double: Floats
) -> Floats:
    """Return by how much rounding moves each rollout while it is near, (N, S)."""
    off = [_until(near, wrapped(one - double, pair.angle)).max(axis=1) for one in rounded]
    return (np.max(off, axis=0) / pair.spread).max(axis=1, keepdims=True) * pair.spread


def _near(pair: Pair, probe: Probe, double: Floats) -> NDArray[np.bool_]:
    """Tell until when rollouts (N, T, S) have not run away, (N, T); NaN has."""
    off = np.abs(double - probe.states[:, -1:].astype(np.float64)) / pair.spread
    return np.logical_and.accumulate((off < FAR).all(axis=2), axis=1)


def compare_long(pair: Pair, probe: Probe) -> Parity:
    """Compare a long rollout, in which a model may run away or be chaotic.

    How much rounding grows is luck along one trajectory, so it is the most that copies, started a
    rounding apart, differ by from float64. A row is compared until it has run away.
    """
    single, rounded, double = _rolled(pair, probe, True)
    near = _near(pair, probe, double)
    found = pair.simulator.rollout(*probe.inputs).astype(np.float64)
    difference = _until(near, wrapped(found - single, pair.angle)).max(axis=1)
    most = _rounding(pair, near, rounded, double)
    allowed = np.maximum(ROLLOUT_FACTOR * most, pair.floor(_until(near, double).max(axis=1)))
    row = _worst("long rollout", probe, difference, allowed, pair)
    ran = bool(near[:, 0].all())  # else nothing was compared
    return replace(row, passed=row.passed and ran, finite=row.finite and ran)


def _until(near: NDArray[np.bool_], values: Floats) -> Floats:
    """Return sizes (N, T, S) of what is near, 0 for the rest; what is NaN there stays NaN."""
    return np.where(near[:, :, None], np.abs(values), 0.0)


def _rounded(states: NDArray[np.float32], spread: Floats) -> list[NDArray[np.float32]]:
    """Return states (N, H, S) and COPIES of them that lie a rounding of float32 apart."""
    rng = np.random.default_rng(0)
    size = np.spacing(np.maximum(np.abs(states), spread).astype(np.float32))
    moved = [states + size * rng.choice([-1.0, 1.0], states.shape) for _ in range(COPIES)]
    return [states, *(one.astype(np.float32) for one in moved)]


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
        channel=pair.simulator.interface.states[column],
        found=float(distance[row, column]),
        allowed=float(allowed[row, column]),
        finite=finite,
        passed=bool((distance <= allowed).all()) and finite,
    )


def _array(tensor: Tensor) -> Floats:
    return tensor.double().numpy()
