"""Documents of `kinemill model compare`: `comparison.json` of dynamics models and of policies."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from kinemill.register.audit_log import read_events
from kinemill.register.robot_trials import RobotTrials, trials_of, worse_p
from kinemill.register.versions import Version, VersionLine
from kinemill.store.numbers import Interval, Number
from kinemill.verify.analysis import accuracy, window_counts
from kinemill.verify.comparison import NRMSE, Comparisons
from kinemill.verify.errors import Errors
from kinemill.verify.results import ChannelAccuracy, WindowCounts

Side = Literal["a", "b"]


@dataclass(frozen=True)
class ComparedVersion(VersionLine):
    """One of the two versions: a line of the list, with its decision and trials on a robot."""

    decision: str | None
    trials: RobotTrials | None

    @classmethod
    def of(cls, item: Version) -> "ComparedVersion":
        """Return a version as it is registered."""
        trials = trials_of(item.number, read_events(item.home, item.task))
        return cls(**vars(VersionLine.of(item)), decision=item.decision, trials=trials)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Fields of both kinds of comparison.

    Attributes:
        dataset: number of the dataset version, the newer of the two.
        a, b: the versions.
        differs: differences of their interfaces.
        better: the better version; None if the difference is not significant.
    """

    task: str
    dataset: int
    a: ComparedVersion
    b: ComparedVersion
    differs: list[str]
    better: Side | None

    @property
    def names(self) -> tuple[str, str]:
        """Both versions, as `version 3`."""
        return f"version {self.a.version}", f"version {self.b.version}"

    @property
    def trials_text(self) -> str:
        """The trials of both versions on a robot, and whether they differ; "" without any."""
        first, second = self.a.trials, self.b.trials
        if first is None and second is None:
            return ""
        text = "; ".join(
            f"{name} {trials or 'none'}"
            for name, trials in zip(self.names, (first, second), strict=True)
        )
        if first is None or second is None:
            return f"trials on the robot: {text}"
        p = min(1.0, 2.0 * min(worse_p(first, second), worse_p(second, first)))
        return f"trials on the robot: {text}; p = {p:.2g} that such a difference is by chance"

    @property
    def winner(self) -> str | None:
        """Name of the better version; None if the difference is not significant."""
        return self.names[self.better == "b"] if self.better else None


@dataclass(frozen=True)
class ComparedErrors:
    """nRMSE of both, paired 95 % interval of `b` / `a`, and the detectable difference."""

    a: Number
    b: Number
    interval: Interval
    detectable: Number

    @property
    def ratio(self) -> float:
        """Error of `b` over that of `a`, no unit; NaN if undefined."""
        return ratio_of(self.b, self.a)


@dataclass(frozen=True)
class ComparedChannel:
    """Errors of both on one channel, in its unit."""

    unit: str
    a: ChannelAccuracy
    b: ChannelAccuracy

    @property
    def ratio(self) -> float:
        """Error of `b` over that of `a`, no unit; NaN if undefined."""
        return ratio_of(self.b.rmse, self.a.rmse)


@dataclass(frozen=True, kw_only=True)
class DynamicsComparison(Compared):
    """Two versions of a dynamics model, or of a policy from logs, on the same test rows.

    Attributes:
        nrmse: mean over channels at the horizon.
        channels: errors by channel.
        horizons: `b` against `a`, by steps or `free_run`, and by channel or `nrmse`.
    """

    windows: WindowCounts
    nrmse: ComparedErrors
    channels: dict[str, ComparedChannel]
    horizons: Comparisons
    form: Literal["dynamics"] = "dynamics"


@dataclass(frozen=True)
class ComparedOutcome:
    """Mean outcome of both, and b - a with its paired 95 % interval."""

    a: Number
    b: Number
    difference: Number
    interval: Interval


@dataclass(frozen=True)
class ComparedStart:
    """Returns of both from the same start."""

    seed: int
    a: Number
    b: Number


@dataclass(frozen=True, kw_only=True)
class PolicyComparison(Compared):
    """Two versions of a policy from the same starts in the environment of the task."""

    returns: Annotated[ComparedOutcome, Field(alias="return")]
    success: ComparedOutcome | None
    episodes: list[ComparedStart]
    form: Literal["policy"] = "policy"

    @property
    def trial_metrics(self) -> dict[str, ComparedOutcome]:
        """`return`, and `success` where the environment reports it."""
        return {"return": self.returns} | ({"success": self.success} if self.success else {})


def ratio_of(error: float, reference: float) -> float:
    """Return `one` / `other`, or NaN if that is not finite."""
    return error / reference if reference and np.isfinite(error) else float("nan")


def compare_errors(
    first: Errors, second: Errors, horizons: Comparisons, compared: Compared
) -> DynamicsComparison:
    """Return the comparison of errors on the same windows; `horizons`: second against first."""
    result = horizons[str(first.horizon)][NRMSE]
    better = "b" if result.high < 1.0 else "a" if result.low > 1.0 else None
    others = accuracy(second).channels
    return DynamicsComparison(
        **vars(replace(compared, better=better)),
        windows=replace(window_counts(first), effective_n=result.effective_n, unit=result.unit),
        nrmse=ComparedErrors(
            first.nrmse, second.nrmse, (result.low, result.high), result.detectable
        ),
        channels={
            name: ComparedChannel(line.unit, line, others[name])
            for name, line in accuracy(first).channels.items()
        },
        horizons=horizons,
    )
