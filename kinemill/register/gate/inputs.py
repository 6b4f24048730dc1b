"""Inputs of gate rules, and the measurements that fill them."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kinemill.register.comparison_results import Compared, DynamicsComparison, PolicyComparison
from kinemill.register.robot_trials import RobotTrials
from kinemill.register.verdict import Value
from kinemill.registry import Links
from kinemill.runtime import Policy, Simulator
from kinemill.selection.divergence import Runs
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task
from kinemill.verify.comparison import Comparison
from kinemill.verify.document import Verification
from kinemill.verify.losses import Horizons
from kinemill.verify.phrases import counted

NO_CHAMPION = "no champion"


@dataclass(frozen=True)
class Measured:
    """Errors of one model on the test split, as measured by the gate.

    Attributes:
        error: `promote.metric`; infinite where its rollouts diverge.
        channels: RMSE at the horizon by channel, in its unit.
        episodes: number of test episodes in which they begin.
        history: rows of history at the start of each window; 0 for trials.
    """

    error: float
    channels: dict[str, float]
    windows: int
    episodes: int
    history: int = 0


@dataclass(frozen=True)
class Paired:
    """The challenger and one other model on the same rows, or from the same starts.

    Attributes:
        model: `promote.metric` of the challenger; infinite if its rollouts diverge.
        reference: `promote.metric` of the other model.
        headline: comparison by `promote.metric` at the horizon; None for a return or a success
            rate, or without a comparison.
        interval: 95 % interval of model / reference, or of model - reference if more is better.
        horizons: comparisons at every horizon and channel; empty for policies.
        itself: whether the challenger predicts the same as this reference.
    """

    model: float
    reference: float
    headline: Comparison | None = None
    interval: tuple[float, float] = (math.nan, math.nan)
    horizons: Horizons = field(default_factory=dict[str, Mapping[str, Comparison]])
    itself: bool = False

    @classmethod
    def of(
        cls, model: float, reference: float, headline: Comparison, horizons: Horizons
    ) -> "Paired":
        """Pair two models by a comparison of their errors."""
        interval = headline.low, headline.high
        return cls(model, reference, headline, interval, horizons)


@dataclass(frozen=True, kw_only=True)
class ChampionComparison:
    """Challenger and champion on the same rows, or from the same starts.

    Attributes:
        measured: the champion's errors on the same windows as `challenger`; None if not measured.
        challenger: the challenger's errors on those windows.
        paired: the challenger compared with the champion, or None.
        left_out: number of test episodes without comparison: the champion was trained on them.
    """

    measured: Measured | None = None
    challenger: Measured | None = None
    paired: Paired | None = None
    left_out: int = 0


@dataclass(frozen=True)
class Champion(ChampionComparison):
    """The champion, measured on the challenger's test split.

    Attributes:
        version: its version in the registry.
        problem: why it could not be measured.
        same: whether the challenger is the same model.
        differs: differences of the interfaces; None if unknown.
        provisional: whether it became champion with too little test data.
        reference: whether it is a reference instead of a trained model.
    """

    version: int
    problem: str | None = None
    same: bool = False
    differs: tuple[str, ...] | None = ()
    provisional: bool = False
    reference: bool = False

    @property
    def name(self) -> str:
        """The champion in a line of the decision."""
        text = f"champion version {self.version}"
        if not self.left_out:
            return text
        return f"{text} without {counted(self.left_out, 'test episodes')} that it was trained on"


@dataclass(frozen=True)
class RowOverlap:
    """Shares of rows that repeat training rows, from the dataset version.

    Attributes:
        copies: share of the test rows that are equal to training rows.
        repetitions: share of the test rows that repeat a trained motion with new noise.
        validation: share of the validation rows that are equal to training rows.
    """

    copies: float = math.nan
    repetitions: float = math.nan
    validation: float = math.nan


@dataclass(frozen=True)
class Approval:
    """Approval of a version: who, when (ISO 8601, UTC), and whether it may break users."""

    who: str
    at: str
    breaking: bool = False


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The gate's measurements of a challenger.

    Attributes:
        measured: errors of the registered files; None if they could not be measured.
        references: comparisons with each reference on the same rows, by name; empty for a policy,
            whose verification contains the comparison.
        absent: reason by name for each reference that does not exist for this data.
        problem: why it could not be measured.
        runs: recorded episodes that it simulated to their end; None for policies.
    """

    measured: Measured | None = None
    references: Mapping[str, Paired] = field(default_factory=dict[str, Paired])
    absent: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""
    runs: Runs | None = None


@dataclass(frozen=True)
class GateInputs(Findings):
    """Inputs of the gate rules: the measurements of a challenger, and what else is known.

    Attributes:
        task: task that configures the rules in its `promote` part.
        verification: verification document of the challenger.
        champion: the champion; None if the task never had one.
        size: size of the challenger's ONNX files, bytes.
        age: age of its dataset, s.
        served: whether the serving runtime loaded it and predicted, and a message.
        approval: approval by a user, if any.
        overlap: shares of its validation and test data that repeat its training data.
        trials: its counted trials on a robot; None without any.
        champion_trials: those of the champion.
    """

    task: Task
    verification: Verification
    champion: Champion | None = None
    size: float = math.nan
    age: float = math.nan
    served: tuple[bool, str] = (False, "was not tried")
    approval: Approval | None = None
    overlap: RowOverlap = RowOverlap()
    trials: RobotTrials | None = None
    champion_trials: RobotTrials | None = None


def to_json_number(value: float) -> Value:
    """Return a number for JSON: finite as float, otherwise as text."""
    return value if math.isfinite(value) else str(value)


# A loaded model: a simulator or a policy.
Loaded = Simulator | Policy

# Takes the folder of a bundle; returns whether it loads and predicts, and a message.
Serve = Callable[[Path], tuple[bool, str]]


class Measurements(Protocol):
    """Measures models for the gate."""

    def measure(self, challenger: Loaded) -> Findings:
        """Measure a loaded model, and compare it with the references.

        Raises:
            BadInput: It cannot be measured on this test split.
        """
        ...

    def compare(
        self, challenger: Loaded, champion: Loaded, trained_on: Path | None = None
    ) -> ChampionComparison:
        """Compare two loaded models on rows that neither was trained on.

        `trained_on` is the folder of the champion's dataset version; None if it was deleted.

        Raises:
            BadInput: They cannot be measured on this test split.
        """
        ...

    def serve(self, folder: Path) -> tuple[bool, str]:
        """Return whether the bundle in `folder` runs in a new process, and a message."""
        ...

    def age(self) -> float:
        """Return the age of the dataset, s."""
        ...

    def measure_overlap(self) -> RowOverlap:
        """Return the shares of validation and test rows that repeat training rows."""
        ...

    def compare_versions(
        self, a: Loaded, b: Loaded, compared: Compared
    ) -> DynamicsComparison | PolicyComparison:
        """Compare the models of two versions for `kinemill model compare`."""
        ...


# Members measure models on a dataset version; the name is `learn.gives` of the task.
MEASUREMENTS: Links[Callable[[Task, Home, ArtifactRef], Measurements]] = Links(
    "kind of model",
    {
        "dynamics": "kinemill.register.gate.measurements",
        "policy": "kinemill.policies.gate_measurements",
    },
)
