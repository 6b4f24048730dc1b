"""Try the published files in every way that decides, before anything is measured."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.errors import Blocked
from kinemill.runtime import Interface, Simulator, load, wrapped
from kinemill.runtime.window_metrics import Floats
from kinemill.store import Json
from kinemill.task.verify import Verify
from kinemill.verify.checklist import Gate
from kinemill.verify.contract_checks import manners
from kinemill.verify.execution_providers import THREADS, compare_elsewhere
from kinemill.verify.files import check_files, read_models, structures
from kinemill.verify.losses import Counted
from kinemill.verify.nan_propagation import Poison, poison
from kinemill.verify.overfitting import Fitting
from kinemill.verify.parity import (
    LONG,
    LONG_ROWS,
    Pair,
    Parity,
    Reference,
    compare,
    compare_long,
    near_start,
    not_made,
    refer,
    tried,
)
from kinemill.verify.physics import Sense, physical_sense
from kinemill.verify.precision import Precision, matters, rms_at
from kinemill.verify.quantized import try_variants
from kinemill.verify.references import References
from kinemill.verify.scale import training_scale
from kinemill.verify.structure import Structure
from kinemill.verify.test_inputs import Probe, held_out, make_probes, stretched

COMPARED = ("step", "rollout", "long rollout")
STILL = 1e-12  # a smaller spread in training counts as 1, as in the step's own scaling


@dataclass(frozen=True)
class Subject:
    """What is judged, and by what.

    Attributes:
        simulator: loaded with `non_finite="pass"`.
        folder: with step.onnx and rollout.onnx, from which it was loaded.
        step: the trained step in torch, for parity.
        dataset: with the test split.
        settings: horizon, stride, the bound on latency if there is one, physical questions.
        trained: what the trained model says of itself, for the metadata; None: not known.
        fitting: what the curves of its training show, if anything.
        closed_loop: what it did in the task's simulator, if there is one.
        motion: the same as pictures, HTML.
        exported: what the export said of its files, C99 and variants among them.
        model: what kind of model it is: `kind`, `history`, and `reference`, its name if it is one.
        references: what it is compared with; None: with persistence alone.
        counted: what counts in that comparison; None: everything.
    """

    simulator: Simulator
    folder: Path
    step: Any
    dataset: PackedDataset
    settings: Verify
    trained: Interface | None = None
    fitting: Fitting | None = None
    closed_loop: Json | None = None
    motion: str = ""
    exported: Json | None = None
    model: Json | None = None
    references: References | None = None
    counted: Counted | None = None

    @cached_property
    def threaded(self) -> Simulator:
        """The same files, run by more threads."""
        return load(self.folder, threads=THREADS, non_finite="pass")

    @property
    def pair(self) -> Pair:
        """The files and the trained step, to be compared."""
        return Pair(self.simulator, self.step, self.spread, self.angle)

    @property
    def spread(self) -> Floats:
        """Standard deviation of each state in training, (S,); 1 where it never moved."""
        spread = self.dataset.std[: len(self.angle)]
        return np.where(spread > STILL, spread, 1.0)

    @property
    def angle(self) -> Any:
        """Which states are angles, (S,)."""
        interface = self.simulator.interface
        return np.array([name in interface.angles for name in interface.states])


@dataclass(frozen=True)
class Trials:
    """What was tried, and what came of it.

    Attributes:
        gates: the lines that decide.
        parity: the comparisons with the trained step.
        poisoned: what NaN did.
        sense: answers to the physical questions of the task.
        structures: what each file is made of.
        probes: what was tried on, measured windows first.
        variants: error on the test split, nrmse, of each variant and of `fp32`.
        precision: what rounding costs.
    """

    gates: list[Gate]
    parity: list[Parity]
    poisoned: list[Poison]
    sense: list[Sense]
    structures: list[Structure]
    probes: list[Probe]
    variants: dict[str, float]
    precision: Precision


def try_out(subject: Subject) -> Trials:
    """Try the files.

    Raises:
        Blocked: they cannot be run as promised, so there is nothing to measure.
    """
    simulator, dataset, settings = subject.simulator, subject.dataset, subject.settings
    models = read_models(subject.folder, every=True)
    gates = check_files(models, dataset, subject.trained)
    probes = make_probes(dataset, simulator.interface, settings.horizon)
    references, parity = compared(subject, probes)
    gates += parity_gates(parity)
    runnable(simulator.interface.task, gates, parity)
    lost = precision(subject, references[0])
    poisoned = poison(simulator, probes[0])
    sense = physical_sense(simulator, probes[0], subject.spread, settings)
    behaving, errors = try_variants(subject.folder, simulator, dataset, settings.horizon)
    gates += [
        lost.gate(),
        *behaving,
        _contained(poisoned),
        finite("finite", all(row.finite for row in parity)),
        *manners(simulator, load(subject.folder, out_of_limits="raise"), probes),
        *(one.gate() for one in sense),
    ]
    return Trials(gates, parity, poisoned, sense, structures(models), probes, errors, lost)


def precision(subject: Subject, reference: Reference) -> Precision:
    """Measure what rounding costs on held-out windows.

    It is that of the trained step in the files' precision: a fault of the export is no rounding.
    """
    simulator, steps = subject.simulator, subject.settings.horizon
    exact, (rounded, *_) = reference.rollout.part(0)
    truth = held_out(subject.dataset, simulator.interface, steps).truth
    near = near_start(subject.pair, reference.probe, exact)
    last = np.maximum(near.sum(axis=1), 1) - 1
    loss = rms_at(wrapped(rounded - exact, subject.angle), last)
    error = rms_at(wrapped(exact - truth, subject.angle), last)
    allowed = matters(error, training_scale(subject.dataset).resolution, subject.spread)
    units = [simulator.units[name] for name in simulator.states]
    dtype = simulator.interface.dtype
    return Precision(dtype, steps, simulator.states, units, loss, error, allowed)


def compared(subject: Subject, probes: list[Probe]) -> tuple[list[Reference], list[Parity]]:
    """Compare the files with the trained step: on all probes, far ahead, and run otherwise.

    Returns:
        What the trained step gives for each probe, none where it cannot be run on them; and the
        comparisons.
    """
    pair = subject.pair
    try:
        references = refer(pair, probes)
    except Exception as error:  # noqa: BLE001 - files of another interface than the step's
        return [], [not_made(what, probes[0], error) for what in COMPARED]
    far = stretched(subject.dataset, subject.simulator.interface, LONG_ROWS, LONG)
    return references, [
        *compare(pair, references),
        *tried("long rollout", far, lambda: [compare_long(pair, far)]),
        *compare_elsewhere(subject.folder, subject.threaded, pair, references[0]),
    ]


def runnable(task: str, gates: list[Gate], parity: list[Parity]) -> None:
    """Stop at files that cannot be run on a batch over the horizon.

    Raises:
        Blocked: naming every line that failed so far.
    """
    if any(row.trouble and row.what != "long rollout" for row in parity):
        failed = [f"{line.name}: {line.found}" for line in gates if not line.passed]
        raise Blocked(
            f"{task}: verification",
            "; ".join(failed),
            expected="files that run for any batch",
            fix="nothing was measured; export the model again",
        )


def parity_gates(parity: list[Parity]) -> list[Gate]:
    """Return a line for each kind of comparison, at its worst."""
    gates: list[Gate] = []
    for what in COMPARED:
        rows = [row for row in parity if row.what == what]
        worst = max(rows, key=_ratio)
        found = f"{worst.found:.2e} in {worst.channel} ({worst.probe}, {len(rows)} comparisons)"
        if any(row.diverged for row in rows):
            found = "the trained model itself gives numbers that are not finite"
        if worst.trouble:
            found = f"batch of {worst.batch}, {worst.probe}: {worst.trouble}"
        passed, wanted = all(row.passed for row in rows), f"at most {worst.allowed:.2e}"
        gates.append(Gate(f"{what} parity", passed, found, wanted))
    return gates


def _contained(poisoned: list[Poison]) -> Gate:
    failed = [f"{row.what}: {row.tensor}" for row in poisoned if not row.passed]
    found = f"not from {', '.join(sorted(set(failed)))}" if failed else f"{len(poisoned)} of them"
    return Gate("NaN stays in its row", not failed, found, "NaN in its row, in no other")


def finite(name: str, passed: bool) -> Gate:
    """Return the line that says whether all numbers are finite."""
    return Gate(name, passed, "finite" if passed else "not finite", "finite everywhere")


def _ratio(row: Parity) -> float:
    ratio = row.found / row.allowed if row.allowed else math.inf
    return ratio if math.isfinite(ratio) and row.finite else math.inf
