"""Parity: the exported files equal the trained network up to the effect of rounding.

The tolerance depends on the model and its inputs. It is sampled around the float64 evaluation, see
`kinemill.export.rounding`, so that rounding alone does not fail an export. Whether rounding costs
too much accuracy is a separate gate, see `precision`.

Every comparison requires `difference <= allowed` and finite values; NaN fails it.
Symbols: N rows, H history, T horizon, S states, A actions, Y outputs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.export.rounding import FACTOR, Evaluations, evaluate, rollout
from kinemill.export.step import WithoutEmptyCarry
from kinemill.runtime import Floats, Simulator, wrapped
from kinemill.runtime.interface import Dtype
from kinemill.train.build import step_of
from kinemill.train.step import Step
from kinemill.verify.check_results import Parity
from kinemill.verify.checklist import Gate, first_line
from kinemill.verify.test_inputs import Array, Probe

# Difference in training standard deviations that always passes. That of float64 is not smaller,
# because torch approximates a softplus to 2e-9.
TOLERANCE = {"float32": 1e-5, "float64": 1e-6}
BATCHES = (1, 7, 256)
LONG = 200
LONG_ROWS = 16
FAR = 1e3  # distance from its start, in standard deviations, at which a rollout has diverged


def parity_gates(rows: Sequence[Parity]) -> list[Gate]:
    """Return a gate for each compared call, with its worst comparison."""
    gates: list[Gate] = []
    for call in dict.fromkeys(row.call for row in rows):
        of_call = [row for row in rows if row.call == call]
        worst = max(of_call, key=lambda row: (not row.passed, bool(row.error), row.ratio))
        count = f"{len(of_call)} comparisons"
        text = f"{worst.difference:.2e} in {worst.channel} ({worst.probe}, {count})"
        if any(row.diverged for row in of_call):
            text = "the trained model gives numbers that are not finite"
        if worst.error:
            text = f"batch of {worst.batch}, {worst.probe}: {worst.error}"
        passed = all(row.passed for row in of_call)
        gates.append(Gate(f"{call} parity", passed, text, f"at most {worst.allowed:.2e}"))
    return gates


def failed_parity(call: str, probe: Probe, error: Exception, rows: int | None = None) -> Parity:
    """Return a failed comparison for a call that raised an exception."""
    batch = probe.rows if rows is None else rows
    return Parity(call, probe.name, batch, "", math.inf, 0.0, False, False, first_line(error))


@dataclass(frozen=True)
class Pair:
    """The published simulator and the trained step.

    Attributes:
        simulator: loaded with `non_finite="pass"`.
        step: the trained step in float32.
        std: standard deviation of each state in training, (S,), in units; 1 for a constant state,
            as in the scaling of the step.
        angle: whether each state is an angle, (S,).
    """

    simulator: Simulator
    step: Step
    std: Floats
    angle: NDArray[np.bool_]

    @property
    def precision(self) -> Dtype:
        """Data type of the files."""
        return self.simulator.interface.dtype

    def floor(self, values: Floats) -> Floats:
        """Return the difference that passes for any model: values (..., S) -> (..., S), in units.

        Far from zero it is the distance to the next float32, because runtimes differ in the last
        bit.
        """
        last_bit = np.spacing(np.abs(values).astype(self.precision)).astype(np.float64)
        return np.maximum(TOLERANCE[self.precision] * self.std, last_bit)


@dataclass(frozen=True, eq=False)
class Reference:
    """Evaluations of the trained step on a probe: in float64, and with different rounding.

    Attributes:
        probe: the inputs.
        carry: carry after the known rows, in float32, with which a step starts.
        step: evaluations of one step: states (N, S), the next carry, then outputs (N, Y) if any.
        rollout: evaluations of the rollout: states (N, T, S), then outputs (N, T, Y) if any.
    """

    probe: Probe
    carry: tuple[NDArray[np.float32], ...]
    step: Evaluations
    rollout: Evaluations

    def take(self, rows: NDArray[np.int64]) -> "Reference":
        """Return the rows with these indices, (R,)."""

        def of(evaluations: Evaluations) -> Evaluations:
            exact, *rounded = (
                tuple(part[rows] for part in evaluation)
                for evaluation in (evaluations.exact, *evaluations.rounded)
            )
            return Evaluations(exact, rounded)

        carry = tuple(part[rows] for part in self.carry)
        return Reference(self.probe.take(rows), carry, of(self.step), of(self.rollout))


def evaluate_step(pair: Pair, probes: Sequence[Probe]) -> list[Reference]:
    """Evaluate the trained step on probes of the same horizon, all in one batch."""
    names = probes[0].inputs
    inputs = {name: np.concatenate([probe.inputs[name] for probe in probes]) for name in names}
    batch = Probe("all", inputs)
    with torch.no_grad():
        states, past = (torch.from_numpy(part) for part in (batch.states, batch.past_actions))
        warm = pair.step.warm_up(*pair.step.estimate_history(states, past))
    # Empty parts of the carry are not inputs of the file, see `WithoutEmptyCarry`.
    carry = tuple(part.numpy() for part in warm if 0 not in part.shape)
    stepped = evaluate(
        pair.step,
        lambda step, *tensors: WithoutEmptyCarry(step)(*tensors),
        [batch.states[:, -1], batch.actions[:, 0], *carry],
        pair.precision,
    )
    rolled = evaluate(pair.step, rollout, batch.windows, pair.precision)
    reference = Reference(batch, carry, stepped, rolled)
    ends = np.cumsum([probe.rows for probe in probes])
    return [
        replace(reference.take(np.arange(end - probe.rows, end)), probe=probe)
        for probe, end in zip(probes, ends, strict=True)
    ]


def compare(pair: Pair, references: Sequence[Reference]) -> list[Parity]:
    """Compare step and rollout on every probe, and at several batch sizes on the first."""
    first, *later = references
    # Rows repeat where a batch is larger than the probe.
    batches = [first.take(np.arange(rows) % first.probe.rows) for rows in BATCHES]
    return [row for batch in (*batches, *later) for row in compare_calls(pair, batch)]


def compare_calls(pair: Pair, reference: Reference) -> list[Parity]:
    """Compare step, rollout and outputs on one probe; an exception counts as a failure."""
    probe = reference.probe
    return [
        *try_comparison("step", probe, lambda: compare_step(pair, reference)),
        *try_comparison("rollout", probe, lambda: [compare_rollout(pair, reference)]),
        *try_comparison("outputs", probe, lambda: compare_outputs(pair, reference)),
    ]


def try_comparison(call: str, probe: Probe, run: Callable[[], list[Parity]]) -> list[Parity]:
    """Run a comparison; an exception becomes a failed comparison."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many unrelated types
        return [failed_parity(call, probe, error)]


def compare_step(pair: Pair, reference: Reference) -> list[Parity]:
    """Compare one step from the end of each window.

    The carry comes from torch, so that a difference is that of the step alone.
    """
    probe = reference.probe
    evaluated = reference.step
    outputs = pair.simulator.step(probe.states[:, -1], probe.actions[:, 0], *reference.carry)
    exact, rounded = evaluated.part(0)
    near = np.ones((len(exact), 1), dtype=bool)
    sound = bool(np.isfinite(exact).all())
    difference = wrapped(outputs[0].astype(np.float64) - exact, pair.angle)
    rounding = _rounding(pair, near, [values[:, None] for values in rounded], exact[:, None])
    allowed = np.maximum(FACTOR * rounding, pair.floor(exact))
    names = pair.simulator.interface.states
    rows = [_worst("step", probe, difference, allowed, names, sound)]
    for index, item in enumerate(pair.simulator.interface.carry, 1):
        rows.append(_compare_carry(pair, probe, item.name, outputs[index], evaluated.part(index)))
    return rows


def _compare_carry(
    pair: Pair, probe: Probe, name: str, carry: Array, part: tuple[Floats, list[Floats]]
) -> Parity:
    """Compare one part of the carry; it has no unit, so the floor is a share of its maximum."""
    exact, rounded = part
    scale = float(np.abs(exact).max(initial=1.0))
    rounding = max(float(np.abs(values - exact).max(initial=0.0)) for values in rounded)
    allowed = max(TOLERANCE[pair.precision] * scale, FACTOR * rounding)
    distance = float(np.abs(carry - exact).max(initial=0.0))
    finite = bool(np.isfinite(carry).all())
    sound = bool(np.isfinite(exact).all())
    return Parity(
        *("step", probe.name, len(carry), name, distance, allowed, finite),
        passed=distance <= allowed and finite,
        diverged=not sound,
    )


def compare_rollout(pair: Pair, reference: Reference, call: str = "rollout") -> Parity:
    """Compare each row of a rollout until it diverges.

    The channels of a rollout are coupled, so the effect of rounding is that on the worst channel,
    in training standard deviations.
    """
    probe = reference.probe
    exact, rounded = reference.rollout.part(0)
    near = _near_with_any_rounding(pair, reference)
    rolled = pair.simulator.rollout(*probe.windows).astype(np.float64)
    difference = _until(near, wrapped(rolled - exact, pair.angle)).max(axis=1)
    floor = pair.floor(_until(near, exact).max(axis=1))
    allowed = np.maximum(FACTOR * _rounding(pair, near, rounded, exact), floor)
    # The first step alone must be finite: later ones may diverge in a correct model.
    names = pair.simulator.interface.states
    sound = bool(np.isfinite(exact[:, 0]).all())
    return _worst(call, probe, difference, allowed, names, sound)


def compare_outputs(pair: Pair, reference: Reference) -> list[Parity]:
    """Compare the outputs of one step and of a rollout until it diverges; empty without outputs."""
    names = pair.simulator.interface.outputs
    probe = reference.probe
    if not names:
        return []
    last = probe.states[:, -1], probe.actions[:, 0]
    stepped = pair.simulator.step_outputs(*last, *reference.carry)[:, None]
    rolled = pair.simulator.rollout_outputs(*probe.windows)[1]
    exact, rounded = reference.step.part(-1)
    # Outputs are functions of the states, so they count until the states diverge.
    near = _near_with_any_rounding(pair, reference)
    always = np.ones((len(near), 1), dtype=bool)
    stepped_part = exact[:, None], [values[:, None] for values in rounded]
    return [
        _worst_output(pair, probe, always, stepped, stepped_part),
        _worst_output(pair, probe, near, rolled, reference.rollout.part(1)),
    ]


def _worst_output(
    pair: Pair,
    probe: Probe,
    near: NDArray[np.bool_],
    outputs: Array,
    part: tuple[Floats, list[Floats]],
) -> Parity:
    """Compare outputs (N, T, Y), in units, at the steps where `near` (N, T) is true."""
    exact, rounded = part
    std = output_std(pair.step)
    difference = _until(near, outputs.astype(np.float64) - exact).max(axis=1)
    rounding = np.max([_until(near, values - exact).max(axis=1) for values in rounded], axis=0)
    worst = (rounding / std).max(axis=1, keepdims=True) * std
    allowed = np.maximum(FACTOR * worst, TOLERANCE[pair.precision] * std)
    sound = bool(np.isfinite(exact[:, 0]).all())
    names = pair.simulator.interface.outputs
    return _worst("outputs", probe, difference, allowed, names, sound)


def output_std(step: Step) -> Floats:
    """Return the standard deviation of each output in training, (Y,), in units."""
    readout = step_of(step).readout
    return np.ones(0) if readout is None else readout.output_std.double().numpy()


def compare_long(pair: Pair, probe: Probe) -> Parity:
    """Compare a long rollout, in which a model can diverge or be chaotic."""
    evaluated = evaluate(pair.step, rollout, probe.windows, pair.precision)
    row = compare_rollout(pair, Reference(probe, (), evaluated, evaluated), "long rollout")
    # A row that diverges in its first step had no value compared, and must not pass.
    ran = bool(near_start(pair, probe, evaluated.exact[0])[:, 0].all())
    return replace(row, passed=row.passed and ran, finite=row.finite and ran)


def _rounding(
    pair: Pair, near: NDArray[np.bool_], rounded: Sequence[Floats], exact: Floats
) -> Floats:
    """Return the effect of rounding on each rollout before it diverges: (N, T, S) -> (N, S)."""
    off = [_until(near, wrapped(values - exact, pair.angle)).max(axis=1) for values in rounded]
    return (np.max(off, axis=0) / pair.std).max(axis=1, keepdims=True) * pair.std


def near_start(pair: Pair, probe: Probe, exact: Floats) -> NDArray[np.bool_]:
    """Return whether each step is before the rollout diverges: (N, T, S) -> (N, T).

    NaN counts as divergence, and so do every later step and the one before it, whose rounding a
    model that is about to diverge amplifies without bound. The first step counts unless it diverges
    itself.
    """
    off = np.abs(exact - probe.states[:, -1:].astype(np.float64)) / pair.std
    near = np.logical_and.accumulate((off < FAR).all(axis=2), axis=1)
    near[:, 1:-1] &= near[:, 2:]
    return near


def _near_with_any_rounding(pair: Pair, reference: Reference) -> NDArray[np.bool_]:
    """Return whether each step is before any evaluation diverges, (N, T), see `near_start`.

    Outside of the range of its data a model can diverge with one rounding earlier than with
    another, and then nothing is known about a correct file.
    """
    exact, rounded = reference.rollout.part(0)
    near = [near_start(pair, reference.probe, values) for values in (exact, *rounded)]
    return np.logical_and.reduce(near)


def _until(near: NDArray[np.bool_], values: Floats) -> Floats:
    """Return absolute values (N, T, S) where `near` (N, T) is true, else 0; NaN is kept there."""
    return np.where(near[:, :, None], np.abs(values), 0.0)


def _worst(
    call: str, probe: Probe, difference: Floats, allowed: Floats, names: Sequence[str], sound: bool
) -> Parity:
    """Return the comparison at the row and channel that is closest to its limit, or above it.

    `difference` and `allowed` are (N, len(names)), in units.
    """
    distance = np.abs(difference)
    finite = bool(np.isfinite(distance).all() and np.isfinite(allowed).all()) and sound
    # NaN is the worst ratio, so that the result names its channel.
    ratio = np.where(np.isfinite(distance / allowed), distance / allowed, np.inf)
    row, column = np.unravel_index(np.argmax(ratio), ratio.shape)
    return Parity(
        call=call,
        probe=probe.name,
        batch=len(distance),
        channel=names[int(column)],
        difference=float(distance[row, column]),
        allowed=float(allowed[row, column]),
        finite=finite,
        passed=bool((distance <= allowed).all()) and finite,
        diverged=not sound,
    )
