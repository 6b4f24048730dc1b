"""What the gate's rules look at, and what they answer: a `GateInputs`, and its verdicts."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kinemill.task import Task
from kinemill.verify.comparison import Comparison
from kinemill.verify.losses import Horizons

Value = str | float
NOBODY = "no champion"


@dataclass(frozen=True)
class Verdict:
    """One line of a decision: what was asked, what was found, and whether it is enough.

    Attributes:
        rule: name of the line.
        passed: whether it holds.
        found: what was found.
        wanted: what was asked.
        undecided: whether it fails for want of test data alone, which makes a champion provisional.
    """

    rule: str
    passed: bool
    found: Value
    wanted: Value
    undecided: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as a JSON object."""
        return {
            "rule": self.rule,
            "passed": self.passed,
            "found": self.found,
            "wanted": self.wanted,
            "undecided": self.undecided,
        }


@dataclass(frozen=True)
class Measured:
    """Errors of one model on the test split, as the gate itself has found them.

    Attributes:
        error: `promote.metric`; infinite where its rollouts diverge.
        channels: RMSE at the horizon by channel, in its unit.
        windows: how many were looked at.
        episodes: of the test split that they begin in.
        history: rows known at the start of each window; of trials 0.
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
        model: `promote.metric` of the challenger; infinite where its rollouts diverge.
        reference: of the other one.
        headline: the two compared by `promote.metric` at the horizon; None where it is a return, a
            share of successes, or only claimed.
        interval: 95 % of model / reference, or of model - reference where more is better.
        horizons: the two compared at every horizon and on every channel; none of policies.
        itself: whether the challenger answers as this reference does.
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


@dataclass(frozen=True)
class Champion:
    """The reigning champion, measured on the challenger's own test split.

    Attributes:
        version: its version in the registry.
        measured: its errors on the same windows as `rival`, or None when there are none.
        rival: the challenger's errors on those windows.
        paired: the challenger compared with it, or None.
        problem: why it could not be measured, for a person to read.
        same: whether it is the very model that challenges it.
        differs: in what its interface is another; None where that cannot be told.
        provisional: whether there was too little test data when it became champion.
        reference: whether it is a reference instead of a trained model.
    """

    version: int
    measured: Measured | None = None
    rival: Measured | None = None
    paired: Paired | None = None
    problem: str | None = None
    same: bool = False
    differs: tuple[str, ...] | None = ()
    provisional: bool = False
    reference: bool = False


@dataclass(frozen=True)
class Repeated:
    """Shares of rows that repeat training rows, as the dataset version states them.

    Attributes:
        near_duplicates: of the test rows, from other recordings of the same run.
        repeated: of the test rows, that return in training rows of their own recording.
        validation: of the validation rows, of either kind.
    """

    near_duplicates: float = math.nan
    repeated: float = math.nan
    validation: float = math.nan

    @property
    def test(self) -> float:
        """Of the test rows, of either kind."""
        return self.near_duplicates + self.repeated


@dataclass(frozen=True)
class Approval:
    """A person's word on a version: who, when (ISO 8601, UTC), and whether it may break users."""

    who: str
    at: str
    breaking: bool = False


@dataclass(frozen=True)
class GateInputs:
    """What rules judge.

    Attributes:
        task: its wishes.
        verification: what the verification says of the challenger.
        champion: None if there never was one.
        measured: the challenger's errors, taken again from the registered files.
        references: the challenger compared with each reference there is on this data, by name.
        absent: references that this data has none of, and why.
        problem: why the challenger could not be measured.
        size: of the challenger's ONNX files, bytes.
        age: of its dataset, s.
        served: whether the serving runtime loaded it and got an answer, and what came of it.
        approval: a person's word on it, if there is one.
        repeated: how much of its validation and test data repeats its training data.
    """

    task: Task
    verification: dict[str, Any]
    champion: Champion | None = None
    measured: Measured | None = None
    references: Mapping[str, Paired] = field(default_factory=dict[str, Paired])
    absent: Mapping[str, str] = field(default_factory=dict[str, str])
    problem: str = ""
    size: float = math.nan
    age: float = math.nan
    served: tuple[bool, str] = (False, "was not tried")
    approval: Approval | None = None
    repeated: Repeated = Repeated()


def number(value: object) -> float:
    """Read a measured number; what is none, such as null, is NaN, which passes no rule."""
    return float(value) if isinstance(value, int | float) else math.nan


def shown(value: float) -> Value:
    """Return a number as JSON can hold it: finite ones as they are, others as text."""
    return value if math.isfinite(value) else str(value)
