"""Document of one pipeline run, which `kinemill run --json` prints."""

from dataclasses import dataclass, field

from kinemill.register.verdict import Verdict
from kinemill.task.portfolio import Selection
from kinemill.verify.check_results import CheckSummary
from kinemill.verify.results import Metrics


@dataclass(frozen=True)
class EpisodeCounts:
    """Number of accepted episodes, of quarantined recordings, and of files without new data."""

    accepted: int = 0
    quarantined: int = 0
    cached: int = 0


@dataclass(frozen=True)
class RunDocument:
    """Result of one pipeline run.

    Attributes:
        status: `done`, `refused` or `unchanged`; `failed` without a registration.
        headline: one sentence about the model; "" if none was verified.
        episodes: counts of the data.
        dataset: short digest of the dataset; None if the run made none.
        metrics: errors, or for policies in an environment the outcomes, by name of the model. The
            gate measured the champion's value; NaN without a champion.
        verification: results of the first checks; None if nothing was verified.
        selection: the candidates of the run; None for a policy.
        version: number of the version; None if nothing was registered.
        alias: alias of the version.
        provisional: why the champion is provisional; "" if it is not.
        gate: verdicts of the gate.
        report: path of the report with the decision.
        warnings: warnings about the dataset, and candidates that the budget left out.
        seconds: wall time by stage, s.
    """

    task: str
    status: str
    headline: str = ""
    episodes: EpisodeCounts = field(default_factory=EpisodeCounts)
    dataset: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    verification: CheckSummary | None = None
    selection: Selection | None = None
    version: int | None = None
    alias: str | None = None
    provisional: str = ""
    gate: list[Verdict] = field(default_factory=list[Verdict])
    report: str | None = None
    warnings: list[str] = field(default_factory=list[str])
    seconds: dict[str, float] = field(default_factory=dict[str, float])
