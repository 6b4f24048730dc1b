"""Document of one pipeline run, which `kinemill run --json` prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from kinemill.register.stage import Registration
from kinemill.register.verdict import Verdict
from kinemill.task.portfolio import Selection
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.verify.check_results import CheckSummary
from kinemill.verify.document import Verification
from kinemill.verify.headline import headline
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
        warnings: warnings about the dataset.
        seconds: wall time by stage, s.
    """

    task: str
    status: str = "failed"
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

    def with_results(
        self, verification: Verification | None, registration: Registration | None
    ) -> "RunDocument":
        """Return the document with a verification and a registration, if the run reached them."""
        document = self
        if verification:
            champion = registration.champion_errors if registration else {}
            document = replace(
                document,
                headline=headline(verification).text,
                metrics=_metrics(verification.metrics, champion),
                verification=verification.summary,
            )
        if registration:
            names = ("status", "headline", "version", "alias", "provisional", "gate")
            document = replace(document, **{name: getattr(registration, name) for name in names})
        return document


def _metrics(metrics: Metrics, champion: Mapping[str, float | None]) -> Metrics:
    """Return the metrics of a verification with the champion's outcomes in the environment."""

    def with_champion(name: str, values: dict[str, float] | None) -> dict[str, float] | None:
        measured = champion.get(name)
        number = float("nan") if measured is None else measured
        return values and {**values, "champion": number}

    return replace(
        metrics,
        returns=with_champion(RETURN, metrics.returns),
        success=with_champion(SUCCESS, metrics.success),
    )
