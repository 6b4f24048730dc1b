"""Composition of the document of one pipeline run from the results of its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from kinemill.register.document import EpisodeCounts, RunDocument
from kinemill.register.stage import Registration
from kinemill.register.versions import SHORT
from kinemill.task.portfolio import Selection
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.validate.summary import EpisodesSummary
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
        warnings: warnings about the dataset, and candidates that the budget left out.
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
