"""Document of one pipeline run, which `kinemill run --json` prints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kinemill.register.stage import Registration
from kinemill.register.verdict import Verdict
from kinemill.register.versions import SHORT
from kinemill.task.portfolio import Selection
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.validate.summary import EpisodesSummary
from kinemill.verify.check_results import CheckSummary
from kinemill.verify.document import Verification
from kinemill.verify.headline import headline
from kinemill.verify.results import Metrics


@dataclass(frozen=True)
class RunFacts:
    """Results of the stages of one run; None for stages that were not reached.

    Attributes:
        cached: number of ingested files without new data.
        episodes: summary of the stage `episodes`.
        dataset: digest of the dataset.
        verification: document of the verification.
        selection: candidates of the run.
        registration: registration of the selected candidate.
        report: path of the report with the decision.
        seconds: wall time by stage, s.
        warnings: warnings about the dataset.
    """

    task: str
    cached: int = 0
    episodes: EpisodesSummary | None = None
    dataset: str | None = None
    verification: Verification | None = None
    selection: Selection | None = None
    registration: Registration | None = None
    report: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    warnings: Sequence[str] = ()


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


def run_document(facts: RunFacts) -> RunDocument:
    """Compose the `run` document; without a registration its status is `failed`."""
    registration = facts.registration
    verified = facts.verification
    episodes = facts.episodes
    return RunDocument(
        task=facts.task,
        status=registration.status if registration else "failed",
        headline=_headline(facts),
        episodes=EpisodeCounts(
            episodes.accepted if episodes else 0,
            episodes.quarantined if episodes else 0,
            facts.cached,
        ),
        dataset=facts.dataset[:SHORT] if facts.dataset else None,
        metrics=_metrics(verified, registration.champion_errors if registration else {}),
        verification=verified.summary if verified else None,
        selection=facts.selection,
        version=registration.version if registration else None,
        alias=registration.alias if registration else None,
        provisional=registration.provisional if registration else "",
        gate=registration.gate if registration else [],
        report=facts.report,
        warnings=list(facts.warnings),
        seconds={stage: round(value, 3) for stage, value in facts.seconds.items()},
    )


def _headline(facts: RunFacts) -> str:
    """Return the headline of the model; empty if none was verified."""
    if facts.registration:
        return facts.registration.headline
    return headline(facts.verification).text if facts.verification else ""


def _metrics(verification: Verification | None, champion: Mapping[str, float | None]) -> Metrics:
    """Return the metrics of a verification with the champion's outcomes in the environment."""
    metrics = verification.metrics if verification else Metrics()

    def with_champion(name: str, values: dict[str, float] | None) -> dict[str, float] | None:
        measured = champion.get(name)
        number = float("nan") if measured is None else measured
        return values and {**values, "champion": number}

    return replace(
        metrics,
        returns=with_champion(RETURN, metrics.returns),
        success=with_champion(SUCCESS, metrics.success),
    )
