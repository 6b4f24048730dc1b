"""A dynamics model as the subject of verification.

Precision is the loss of accuracy by rounding on held-out windows, in units. Parity allows any
difference that rounding explains. The gate of precision measures the difference of the trained step
in the precision of the files and in float64, and compares this loss with the error of the model.
Independent errors add in quadrature, so a loss of a fifth of the error adds 2 % to it, which is the
margin of the gate. A loss below the sensor resolution, or below a thousandth of the standard
deviation in training, is negligible.

Symbols: N rows, H history, T horizon, S states, A actions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_scale
from kinemill.export.summary import ExportSummary
from kinemill.runtime import Floats, Interface, Simulator, wrapped
from kinemill.runtime.window_metrics import QUIETLY
from kinemill.selection.references.baselines import Persistence
from kinemill.selection.references.family import References
from kinemill.task.units import in_unit
from kinemill.task.verify import Verify
from kinemill.train.step import Step
from kinemill.verify.analysis import (
    MODEL,
    Analysis,
    Measurement,
    accuracy,
    analysis_results,
    analyze,
    metrics_of,
    window_counts,
)
from kinemill.verify.check_results import OutputAccuracy, Parity, PhysicsResult
from kinemill.verify.checklist import Gate, finite
from kinemill.verify.document import ModelKind, Verification
from kinemill.verify.estimated import estimated_starts
from kinemill.verify.execution_providers import THREADS, compare_providers
from kinemill.verify.exported_dynamics import ExportedDynamics
from kinemill.verify.files import unlike_data
from kinemill.verify.losses import Counted
from kinemill.verify.output_errors import output_accuracy, outputs_gate
from kinemill.verify.parity import (
    LONG,
    LONG_ROWS,
    Pair,
    Reference,
    compare,
    compare_long,
    evaluate_step,
    failed_parity,
    near_start,
    try_comparison,
)
from kinemill.verify.physics import physical_checks, physics_gates, sensitivity, stability
from kinemill.verify.results import ChannelPrecision, ClosedLoop, PrecisionResults, Stability
from kinemill.verify.test_inputs import Probe, held_out_windows, long_probe, make_probes

CONSTANT = 1e-12  # a smaller standard deviation in training counts as 1, as in the scaling of steps

_SHARE = 0.2  # negligible loss as a share of the model's error: sqrt(1 + 0.2²) = 1.02
_LITTLE = 1e-3  # negligible loss in training standard deviations


@dataclass(frozen=True)
class DynamicsSubject:
    """An exported dynamics model, the trained step, and the dataset.

    Attributes:
        folder: folder of step.onnx and rollout.onnx.
        step: the trained step in torch, for parity.
        dataset: dataset with the test split.
        settings: horizon, stride, limit on latency, physical checks.
        trained: interface of the trained model, to check the metadata; None if unknown.
        closed_loop: results of the task's controller in its simulator.
        motion: animation of these runs, HTML.
        exported_summary: summary of the export, with C99.
        model: the kind of the model.
        references: models to compare with; None for persistence only.
        counted: comparisons that count in the gate; None for all.
    """

    folder: Path
    step: Step
    dataset: PackedDataset
    settings: Verify
    trained: Interface | None = None
    closed_loop: ClosedLoop | None = None
    motion: str = ""
    exported_summary: ExportSummary | None = None
    model: ModelKind | None = None
    references: References | None = None
    counted: Counted | None = None

    @cached_property
    def _exported(self) -> ExportedDynamics:
        return ExportedDynamics(self.folder)

    @property
    def exported(self) -> ExportedDynamics:
        """The files."""
        return self._exported

    @property
    def simulator(self) -> Simulator:
        """The files, loaded with `non_finite="pass"`."""
        return self.exported.simulator

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""
        return "dynamics"

    @property
    def task_name(self) -> str:
        """Name of the task."""
        return self.exported.interface.task

    @property
    def pair(self) -> Pair:
        """The files and the trained step, for comparison."""
        return Pair(self.simulator, self.step, self.std, self.angle)

    @property
    def std(self) -> Floats:
        """Standard deviation of each state in training, (S,), in units; 1 for a constant state."""
        std = self.dataset.std[: len(self.angle)]
        return np.where(std > CONSTANT, std, 1.0)

    @property
    def angle(self) -> NDArray[np.bool_]:
        """Whether each state is an angle, (S,)."""
        return self.exported.interface.is_angle

    @property
    def probes(self) -> list[Probe]:
        """Test inputs, windows of the test split first."""
        return self._probes

    @cached_property
    def _probes(self) -> list[Probe]:
        return make_probes(self.dataset, self.exported.interface, self.settings.horizon)

    def check_metadata(self, models: Mapping[Path, onnx.ModelProto]) -> Gate:
        """Compare the metadata of the files with the dataset and the trained model."""
        return unlike_data(models, self.dataset, self.trained)

    @cached_property
    def evaluations(self) -> list[Reference]:
        """Evaluations of the trained step on every probe."""
        return evaluate_step(self.pair, self.probes)

    def compare_with_torch(self) -> list[Parity]:
        """Compare on all probes, over a long horizon, and with other threads and providers."""
        pair = self.pair
        try:
            references = self.evaluations
        except Exception as error:  # noqa: BLE001 - the files may have another interface
            calls = ("step", "rollout", "long rollout")
            return [failed_parity(call, self.probes[0], error) for call in calls]
        far = long_probe(self.dataset, self.exported.interface, LONG_ROWS, LONG)
        return [
            *compare(pair, references),
            *try_comparison("long rollout", far, lambda: [compare_long(pair, far)]),
            *compare_providers(
                self.folder, self.exported.threaded, pair, references[0], self.settings.providers
            ),
        ]

    @cached_property
    def precision(self) -> PrecisionResults:
        """Effect of rounding on held-out windows; where one diverges, on the last step before.

        It is measured with the trained step in the precision of the files, so that a faulty export
        does not change it.
        """
        steps = self.settings.horizon
        reference = self.evaluations[0]
        exact, (rounded, *_) = reference.rollout.part(0)
        truth = held_out_windows(self.dataset, self.exported.interface, steps).truth
        near = near_start(self.pair, reference.probe, exact)
        last = np.maximum(near.sum(axis=1), 1) - 1  # (N,): last step before the rollout diverges
        # The float64 step, so that `error` and `loss` refer to the same trajectory.
        error = rms_at(wrapped(exact - truth, self.angle), last)
        loss = rms_at(wrapped(rounded - exact, self.angle), last)
        allowed = negligible_loss(error, training_scale(self.dataset).resolution, self.std)
        rows = zip(self.simulator.states, loss, error, allowed, strict=True)
        return PrecisionResults(
            dtype=self.exported.interface.dtype,
            steps=steps,
            passed=bool((loss <= allowed).all()),
            channels={
                name: ChannelPrecision(self.simulator.units[name], *map(float, values))
                for name, *values in rows
            },
        )

    @cached_property
    def physics(self) -> dict[str, PhysicsResult]:
        """Results of the physical checks that the task declares, by name."""
        return physical_checks(self.simulator, self.probes[0], self.std, self.settings)

    def check_behavior(self) -> list[Gate]:
        """Check precision and physics."""
        return [precision_gate(self.precision), *physics_gates(self.physics)]

    @cached_property
    def analysis(self) -> Analysis:
        """Errors of the model and its references on the test split."""
        simulator = self.simulator
        settings = self.settings
        references = self.references
        measurement = Measurement(settings.horizon, settings.stride)
        if self.counted is not None:
            measurement = replace(measurement, margin=self.counted.margin, steps=self.counted.steps)
        over_windows = references.predictors() if references else {"persistence": Persistence()}
        episodes = references.free_run() if references else over_windows
        whole = {MODEL: simulator, **estimated_starts(episodes, simulator)}
        predictors = {MODEL: simulator, **estimated_starts(over_windows, simulator)}
        return analyze(predictors, self.dataset, "test", measurement, whole)

    @cached_property
    def outputs(self) -> dict[str, OutputAccuracy]:
        """Errors of the outputs on the test split, by name."""
        settings = self.settings
        data = self.dataset
        return output_accuracy(
            self.simulator, data, data, "test", settings.horizon, settings.stride
        )

    @cached_property
    def stability(self) -> Stability:
        """Divergence of long rollouts."""
        return stability(self.simulator, self.dataset)

    def measure(self) -> list[Gate]:
        """Measure the errors on the test split, and return the gates that they are finite."""
        errors = finite("finite errors", bool(np.isfinite(self.analysis.model.by_step).all()))
        return [errors, *outputs_gate(self.outputs)]

    def throughput_of(self) -> tuple[Probe, int, Sequence[int]]:
        """Return windows of the test split, their horizon, and the numbers of threads to time."""
        return self.probes[0], self.probes[0].actions.shape[1], (1, THREADS)

    def document(self) -> Verification:
        """Return accuracy, comparisons, stability and training."""
        analysis = self.analysis
        exported = self.exported_summary
        return Verification(
            form="dynamics",
            model=self.model,
            metrics=metrics_of(analysis.errors),
            accuracy={who: accuracy(model_errors) for who, model_errors in analysis.errors.items()},
            against=analysis.comparisons,
            outputs=self.outputs,
            windows=window_counts(analysis.model),
            analysis=analysis_results(analysis),
            references=self.references.facts() if self.references else None,
            counted=self.counted,
            precision=self.precision,
            sensitivity=sensitivity(self.simulator, self.probes[0], self.std),
            stability=self.stability,
            physics=self.physics,
            closed_loop=self.closed_loop,
            c99=exported.c99 if exported else None,
        )

    def write_files(self, folder: Path) -> None:
        """Write nothing: the report has all results."""


@QUIETLY
def rms_at(differences: Floats, last: NDArray[np.int64]) -> Floats:
    """Return the RMS at step `last` of each window: (N, T, S), (N,) -> (S,), in units."""
    # Paired indexes: one step for each window, (N, S), not the (N, N, S) of two slices.
    return np.sqrt(np.square(differences[np.arange(len(last)), last]).mean(axis=0))


def negligible_loss(error: Floats, resolution: Floats, std: Floats) -> Floats:
    """Return the largest negligible loss of each state: (S,), (S,), (S,) -> (S,), in units.

    Args:
        error: RMS error of the model; not finite if it diverges.
        resolution: sensor resolution.
        std: standard deviation in training.
    """
    allowed = np.where(np.isfinite(error), _SHARE * error, 0.0)
    return np.maximum(allowed, np.maximum(resolution, _LITTLE * std))


def precision_gate(precision: PrecisionResults) -> Gate:
    """Return the line of the verdict, with the state whose loss is the largest share of allowed."""

    def share(name: str) -> float:
        channel = precision.channels[name]
        ratio = channel.loss / channel.allowed
        return ratio if math.isfinite(ratio) else math.inf

    name = max(precision.channels, key=share)
    worst = precision.channels[name]
    unit = in_unit(worst.unit)
    value = (
        f"{precision.dtype} loses {worst.loss:.3g}{unit} of {name} over "
        f"{precision.steps} steps; the error of the model is {worst.error:.3g}{unit}"
    )
    return Gate("precision", precision.passed, value, f"at most {worst.allowed:.3g}{unit}")
