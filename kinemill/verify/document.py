"""Documents of this stage: `verification.json`, `evaluation.json` and the artifact summary.

A part that was not measured is None or empty, so that a rule of the gate that needs it fails.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from kinemill.export.summary import C99Facts
from kinemill.selection.reference_facts import ReferencesFacts
from kinemill.store import ArtifactRef, Home, open_ref, read_document
from kinemill.store.numbers import Interval, Number
from kinemill.verify.check_results import (
    CheckSummary,
    Latency,
    Machine,
    NanPropagation,
    OutputAccuracy,
    Parity,
    PhysicsResult,
    Structure,
    Throughput,
)
from kinemill.verify.checklist import Gate
from kinemill.verify.cold_start import ColdStart
from kinemill.verify.comparison import Comparison, Comparisons, final
from kinemill.verify.losses import Counted
from kinemill.verify.results import (
    Accuracy,
    AnalysisResults,
    ClosedLoop,
    Metrics,
    PolicyGain,
    PrecisionResults,
    Sensitivity,
    Stability,
    TorchTrials,
    TrialResults,
    WindowCounts,
)

VERIFICATION = "verification.json"
EVALUATION = "evaluation.json"


@dataclass(frozen=True)
class ModelKind:
    """Kind of a dynamics model.

    Attributes:
        kind: type of `learn.model`, such as `mlp`.
        history: rows of history.
        reference: name of the reference that this model is; None for a trained model.
    """

    kind: str = ""
    history: int | None = None
    reference: str | None = None


@dataclass(frozen=True)
class Assessment:
    """Errors of a model and its comparisons, in `verification.json` and `evaluation.json`.

    Attributes:
        form: `dynamics` or `policy`.
        passed: whether every check passed; None if nothing was checked.
        gates: lines of the verdict.
        model: kind of the model; None for policies and evaluations.
        metrics: errors at the horizon, or outcomes of trials.
        accuracy: errors in detail, by name of the model, `model` first.
        against: the model compared with each reference, by horizon and channel.
        gains: differences of a policy from `random`, by name.
        outputs: errors of channels that are predicted but not fed back, by name.
        windows: amount of test data behind the errors.
        analysis: free run, residuals, worst episodes, calibration; None for policies.
        references: selection of the references; None without references.
        counted: comparisons that count in the gate; None for all of them.
    """

    task: str = ""
    form: Literal["dynamics", "policy"] = "dynamics"
    passed: bool | None = None
    gates: list[Gate] = field(default_factory=list[Gate])
    model: ModelKind | None = None
    metrics: Metrics = field(default_factory=Metrics)
    accuracy: dict[str, Accuracy] = field(default_factory=dict[str, Accuracy])
    against: dict[str, Comparisons] = field(default_factory=dict[str, Comparisons])
    gains: dict[str, PolicyGain] = field(default_factory=dict[str, PolicyGain])
    outputs: dict[str, OutputAccuracy] = field(default_factory=dict[str, OutputAccuracy])
    windows: WindowCounts = field(default_factory=WindowCounts)
    analysis: AnalysisResults | None = None
    references: ReferencesFacts | None = None
    counted: Counted | None = None

    def comparison(self, reference: str) -> Comparison | None:
        """Return the comparison of nRMSE with a reference at the horizon; None without one."""
        return final(self.against.get(reference, {}))


@dataclass(frozen=True)
class Verification(Assessment):
    """`verification.json`: results of all checks of the exported files, and the measurements.

    Attributes:
        summary: the parts that the gate reads first.
        parity: comparisons with the trained network.
        nan: effects of NaN in each input.
        files: contents of each ONNX file.
        latency_ms: latency of each call, ms; a task can limit the first.
        throughput: steps/s of batches.
        cold_start, machine: times of a new process, and the machine that measured times.
        dataset: digest of the dataset.
        versions: versions of the libraries that made the files.
        precision, sensitivity, stability, physics, closed_loop: checks of dynamics models.
        c99: the C code.
        trials: outcomes in the environment of `model` and `random`.
        torch_trials: the same episodes with the policy in torch.
    """

    summary: CheckSummary = field(default_factory=CheckSummary)
    parity: list[Parity] = field(default_factory=list[Parity])
    nan: list[NanPropagation] = field(default_factory=list[NanPropagation])
    files: list[Structure] = field(default_factory=list[Structure])
    latency_ms: dict[str, Latency] = field(default_factory=dict[str, Latency])
    throughput: list[Throughput] = field(default_factory=list[Throughput])
    cold_start: ColdStart | None = None
    machine: Machine | None = None
    dataset: str = ""
    versions: dict[str, str] = field(default_factory=dict[str, str])
    precision: PrecisionResults | None = None
    sensitivity: Sensitivity | None = None
    stability: Stability | None = None
    physics: dict[str, PhysicsResult] = field(default_factory=dict[str, PhysicsResult])
    closed_loop: ClosedLoop | None = None
    c99: C99Facts | None = None
    trials: dict[str, TrialResults] = field(default_factory=dict[str, TrialResults])
    torch_trials: TorchTrials | None = None


@dataclass(frozen=True)
class VerificationSummary:
    """Summary of the artifact `verification`."""

    passed: bool
    form: str
    metrics: Metrics
    nrmse_interval: dict[str, Interval]
    checks: CheckSummary


def read_verification(folder: Path) -> Verification:
    """Read `verification.json` in a folder.

    Raises:
        CorruptArtifact: It is not valid JSON, or a field has another type.
    """
    return read_document(folder / VERIFICATION, Verification)


def open_verification(home: Home, ref: ArtifactRef) -> Verification:
    """Read the document of an artifact `verification`."""
    return read_verification(open_ref(home, ref))


@dataclass(frozen=True)
class EvaluatedModel:
    """Model of an evaluation: address, version if registered, folder, digest of the dataset."""

    name: str
    version: int | None
    folder: str
    dataset: str


@dataclass(frozen=True)
class LogsFacts:
    """Logs of an evaluation: path, names of accepted and refused logs, episodes and rows."""

    path: str
    accepted: list[str]
    refused: list[str]
    episodes: int
    rows: int


@dataclass(frozen=True)
class ExampleFacts:
    """A drawn window: its current row is `row` of an episode, `seconds` s after its start."""

    title: str
    episode: str
    name: str
    row: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class LogEvaluation(Assessment):
    """`evaluation.json` of a dynamics model."""

    source: EvaluatedModel
    logs: LogsFacts
    notes: list[str]
    examples: list[ExampleFacts]


@dataclass(frozen=True)
class ChannelCurves:
    """Differences of one action: RMS in `unit`, or with choices the share of rows that differ.

    Attributes:
        unit: unit of the action, or `share of rows`.
        by_time: differences over the time of an episode, at `ActionCurves.seconds`.
        by_step: differences at each step after a reset; None for a policy without memory.
    """

    unit: str
    by_time: list[Number]
    by_step: list[Number] | None


@dataclass(frozen=True)
class ActionCurves:
    """Differences from logged actions over time.

    Attributes:
        dt: time step, s.
        seconds: mean time of the rows of each part of the episodes, s after their start.
        rows: number of rows of each part.
    """

    dt: float
    seconds: list[Number]
    rows: list[int]
    channels: dict[str, ChannelCurves]


@dataclass(frozen=True)
class PolicyEvaluation:
    """`evaluation.json` of a policy; None for parts that were not requested.

    Attributes:
        logs: logs with the compared actions.
        actions: differences from the logged actions: `model`, and `repeat` if it observes actions.
        curves: these differences over time.
        environment: environment of the trials, such as `gymnasium, variant heavy`.
        trials: episodes of `model`, `random`, and `champion` if that is another version.
        gains: differences of `model` from the others, from the same starts.
        notes: remarks, for example why a part is missing.
    """

    task: str
    source: EvaluatedModel
    logs: LogsFacts | None = None
    actions: dict[str, Accuracy] | None = None
    curves: ActionCurves | None = None
    environment: str | None = None
    trials: dict[str, TrialResults] = field(default_factory=dict[str, TrialResults])
    gains: dict[str, PolicyGain] = field(default_factory=dict[str, PolicyGain])
    notes: list[str] = field(default_factory=list[str])
