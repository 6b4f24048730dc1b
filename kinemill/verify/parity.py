"""The ONNX files against the trained step in float64, and against NaN.

How far off a sound file may be is a matter of rounding, which depends on the model and its inputs:
it is sampled, see `kinemill.export.rounding`. So a difference that rounding explains is never
blamed on the export; whether rounding costs too much is another question, see `precision`.

Every gate reads `found <= allowed and finite`: NaN fails it.
Symbols: N rows, H history, T horizon, S states, A actions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kinemill.export.rounding import FACTOR, Evaluations, evaluate, rollout
from kinemill.export.step import WithoutEmptyCarry
from kinemill.runtime import Interface, wrapped
from kinemill.runtime.interface import Dtype
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.test_inputs import Probe

# Of a channel's spread in training: less does not matter. Torch leaves 2e-9 of a softplus out.
TOLERANCE = {"float32": 1e-5, "float64": 1e-6}
BATCHES = (1, 7, 256)
LONG, LONG_ROWS = 200, 16
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
        diverged: the trained step itself gives numbers that are not finite.
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
    diverged: bool = False


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

    @property
    def precision(self) -> Dtype:
        """What the files compute in."""
        return self.simulator.interface.dtype

    def floor(self, values: Floats) -> Floats:
        """Return what `values` (..., S) may differ by whatever the model is.

        Far from zero it is the distance to the next float32: no runtimes agree on the last bit.
        """
        last_bit = np.spacing(np.abs(values).astype(self.precision)).astype(np.float64)
        return np.maximum(TOLERANCE[self.precision] * self.spread, last_bit)


@dataclass(frozen=True, eq=False)
class Reference:
    """What the trained step makes of a probe, and how far sound runtimes are from that.

    Attributes:
        probe: the inputs.
        carry: after the known rows, in float32, what a step begins with.
        step: evaluations of one step: (N, S), then the next carry.
        rollout: of the rollout, (N, T, S).
    """

    probe: Probe
    carry: tuple[NDArray[np.float32], ...]
    step: Evaluations
    rollout: Evaluations

    def first(self, rows: int) -> "Reference":
        """Return `rows` rows, repeated from the start when there are fewer."""
        which = np.arange(rows) % len(self.probe.states)
        return self._of(self.probe.first(rows), which)

    def _of(self, probe: Probe, which: NDArray[np.int64]) -> "Reference":
        return Reference(
            probe,
            tuple(part[which] for part in self.carry),
            *(_rows(one, which) for one in (self.step, self.rollout)),
        )

    def apart(self, probes: Sequence[Probe]) -> "list[Reference]":
        """Return the part of each probe, of which this one is made."""
        ends = np.cumsum([len(probe.states) for probe in probes])
        return [
            self._of(probe, np.arange(end - len(probe.states), end))
            for probe, end in zip(probes, ends, strict=True)
        ]


def _rows(found: Evaluations, which: NDArray[np.int64]) -> Evaluations:
    exact, *others = (tuple(p[which] for p in each) for each in (found.exact, *found.others))
    return Evaluations(exact, others)


def refer(pair: Pair, probes: Sequence[Probe]) -> list[Reference]:
    """Evaluate the trained step on probes of one horizon, all in one batch."""
    states, past, actions = zip(*(probe.inputs for probe in probes), strict=True)
    whole = (np.concatenate(part) for part in (states, past, actions))
    probe = Probe("all", *whole, beyond=False)
    carry = _warm(pair.step, probe)
    inputs = [probe.states[:, -1], probe.actions[:, 0], *carry]

    def one(step: Any, *given: Tensor) -> tuple[Tensor, ...]:
        return WithoutEmptyCarry(step)(*given)

    stepped = evaluate(pair.step, one, inputs, pair.precision)
    rolled = evaluate(pair.step, rollout, probe.inputs, pair.precision)
    return Reference(probe, carry, stepped, rolled).apart(probes)


def _warm(step: Any, probe: Probe) -> tuple[NDArray[np.float32], ...]:
    """Return the carry after the known rows, empty tensors left out."""
    states, past, _ = (torch.from_numpy(part) for part in probe.inputs)
    with torch.no_grad():
        carry = step.warm_up(states, past)
    return tuple(part.numpy() for part in carry if 0 not in part.shape)


def compare(pair: Pair, references: Sequence[Reference]) -> list[Parity]:
    """Compare on every probe, on the first at several batch sizes."""
    first, *others = references
    found: list[Parity] = []
    for reference in (*(first.first(batch) for batch in BATCHES), *others):
        found += compare_both(pair, reference)
    return found


def compare_both(pair: Pair, reference: Reference) -> list[Parity]:
    """Compare step and rollout on one probe; what cannot be run has failed."""
    probe = reference.probe
    return [
        *tried("step", probe, lambda: compare_step(pair, reference)),
        *tried("rollout", probe, lambda: [compare_rollout(pair, reference)]),
    ]


def tried(what: str, probe: Probe, compared: Callable[[], list[Parity]]) -> list[Parity]:
    """Compare, or say why that could not be done."""
    try:
        return compared()
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
        return [not_made(what, probe, error)]


def not_made(what: str, probe: Probe, error: Exception) -> Parity:
    """Return the comparison that an error kept from being made."""
    text = str(error).strip().splitlines()
    trouble = text[0] if text else type(error).__name__
    return Parity(what, probe.name, len(probe.states), "", np.inf, 0.0, False, False, trouble)


def compare_step(pair: Pair, reference: Reference) -> list[Parity]:
    """Compare one step from the end of each window, with the carry that torch warmed up."""
    probe, evaluated = reference.probe, reference.step
    found = pair.simulator.step(probe.states[:, -1], probe.actions[:, 0], *reference.carry)
    exact, others = evaluated.part(0)
    near, sound = np.ones((len(exact), 1), dtype=bool), bool(np.isfinite(exact).all())
    difference = wrapped(found[0].astype(np.float64) - exact, pair.angle)
    rounding = _rounding(pair, near, [one[:, None] for one in others], exact[:, None])
    allowed = np.maximum(FACTOR * rounding, pair.floor(exact))
    rows = [_worst("step", probe, difference, allowed, pair, sound)]
    for index, item in enumerate(pair.simulator.interface.carry, 1):
        rows.append(_carried(pair, probe, item.name, found[index], evaluated.part(index)))
    return rows


def _carried(
    pair: Pair, probe: Probe, name: str, found: NDArray[Any], part: tuple[Floats, list[Floats]]
) -> Parity:
    """Compare a carry; it has no unit, so the floor is of its largest value."""
    exact, others = part
    scale = float(np.abs(exact).max(initial=1.0))
    rounding = max(float(np.abs(one - exact).max(initial=0.0)) for one in others)
    allowed = max(TOLERANCE[pair.precision] * scale, FACTOR * rounding)
    distance = float(np.abs(found - exact).max(initial=0.0))
    finite, sound = bool(np.isfinite(found).all()), bool(np.isfinite(exact).all())
    passed = distance <= allowed and finite
    many = len(found)
    return Parity("step", probe.name, many, name, distance, allowed, finite, passed, "", not sound)


def compare_rollout(pair: Pair, reference: Reference, what: str = "rollout") -> Parity:
    """Compare a rollout, row by row until it has run away.

    Channels of a rollout move each other: its rounding is that of the worst of them, in spreads.
    """
    probe = reference.probe
    exact, others = reference.rollout.part(0)
    near = near_start(pair, probe, exact)
    found = pair.simulator.rollout(*probe.inputs).astype(np.float64)
    difference = _until(near, wrapped(found - exact, pair.angle)).max(axis=1)
    floor = pair.floor(_until(near, exact).max(axis=1))
    allowed = np.maximum(FACTOR * _rounding(pair, near, others, exact), floor)
    return _worst(what, probe, difference, allowed, pair, bool(np.isfinite(exact[:, 0]).all()))


def compare_long(pair: Pair, probe: Probe) -> Parity:
    """Compare a long rollout, in which a model may run away or be chaotic."""
    evaluated = evaluate(pair.step, rollout, probe.inputs, pair.precision)
    found = compare_rollout(pair, Reference(probe, (), evaluated, evaluated), "long rollout")
    ran = bool(near_start(pair, probe, evaluated.exact[0])[:, 0].all())  # else nothing was compared
    return replace(found, passed=found.passed and ran, finite=found.finite and ran)


def _rounding(
    pair: Pair, near: NDArray[np.bool_], others: Sequence[Floats], exact: Floats
) -> Floats:
    """Return by how much rounding moves each rollout (N, T, S) while it is near, (N, S)."""
    off = [_until(near, wrapped(one - exact, pair.angle)).max(axis=1) for one in others]
    return (np.max(off, axis=0) / pair.spread).max(axis=1, keepdims=True) * pair.spread


def near_start(pair: Pair, probe: Probe, exact: Floats) -> NDArray[np.bool_]:
    """Tell until when rollouts (N, T, S) have not run away, (N, T); NaN has."""
    off = np.abs(exact - probe.states[:, -1:].astype(np.float64)) / pair.spread
    return np.logical_and.accumulate((off < FAR).all(axis=2), axis=1)


def _until(near: NDArray[np.bool_], values: Floats) -> Floats:
    """Return sizes (N, T, S) of what is near, 0 for the rest; what is NaN there stays NaN."""
    return np.where(near[:, :, None], np.abs(values), 0.0)


def _worst(
    what: str, probe: Probe, difference: Floats, allowed: Floats, pair: Pair, sound: bool = True
) -> Parity:
    """Return the row and channel where (N, S) `difference` is closest to, or over, `allowed`."""
    distance = np.abs(difference)
    finite = bool(np.isfinite(distance).all() and np.isfinite(allowed).all()) and sound
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
        diverged=not sound,
    )
