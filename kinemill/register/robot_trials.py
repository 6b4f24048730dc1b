"""Counted trials of a version on a robot, such as 17 successes of 20.

The audit log holds them, as it holds approvals, and MLflow shows them as a tag of the version. The
last record of a version counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinemill.errors import BadInput
from kinemill.register.audit_log import TRIALS, Event
from kinemill.store.numbers import Interval


@dataclass(frozen=True)
class RobotTrials:
    """Counted trials of one version.

    Attributes:
        successes: number of successful trials.
        of: number of trials.
        interval: 95 % interval of the success rate (Clopper and Pearson, 1934).
        who: user who recorded them.
        at: ISO 8601, UTC.
        note: text of the user.
    """

    successes: int
    of: int
    interval: Interval
    who: str
    at: str
    note: str

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.successes} of {self.of} (95 %: {low:.1%} to {high:.1%})"


def check_counts(successes: int, of: int) -> None:
    """Raise BadInput unless 0 <= successes <= of, of at least one trial."""
    if of < 1 or not 0 <= successes <= of:
        raise BadInput(
            "trials",
            f"{successes} successes of {of} trials",
            expected="at least one trial, and 0 to all of them successful",
            fix="--success 17 --of 20 means that 17 of 20 trials succeeded",
        )


def trials_of(number: int | None, events: Sequence[Event]) -> RobotTrials | None:
    """Return the last recorded trials of a version; None without any."""
    records = [event for event in events if event.what == TRIALS and event.version == number]
    if not records:
        return None
    last = records[-1]
    interval = success_interval(last.successes, last.trials)
    return RobotTrials(last.successes, last.trials, interval, last.who, last.at, last.why)


def success_interval(successes: int, of: int) -> Interval:
    """Return the 95 % interval of a success rate; it covers the rate in at least 95 % of cases."""
    from scipy.stats import binomtest  # which takes 0.5 s to import

    ends = binomtest(successes, of).proportion_ci(confidence_level=0.95, method="exact")
    return float(ends.low), float(ends.high)


def worse_p(trials: RobotTrials, reference: RobotTrials) -> float:
    """Return the p-value of Fisher's exact test that `trials` succeed less often."""
    from scipy.stats import fisher_exact

    counts = [[record.successes, record.of - record.successes] for record in (trials, reference)]
    result: Any = fisher_exact(counts, alternative="less")  # whose type has no attributes
    return float(result.pvalue)
