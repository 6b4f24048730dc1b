"""The `run` document: the result of one pipeline run, as commands print it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kinemill.register.versions import SHORT
from kinemill.store import Json, to_json_value
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.verify.document import Verification
from kinemill.verify.headline import headline
from kinemill.verify.results import Metrics


@dataclass(frozen=True)
class RunFacts:
    """Results of the stages of one run; None for stages that were not reached.

    Attributes:
        task: name of the task.
        cached: number of ingested files without new data.
        episodes: summary of the stage `episodes`.
        dataset: digest of the dataset.
        verification: the document of the verification.
        selection: see `kinemill.register.reference_candidate.Candidates.to_json`.
        registration: a `Registration` as JSON.
        report: path of the report with the decision.
        seconds: wall time by stage, s.
        warnings: warnings about the dataset.
    """

    task: str
    cached: int = 0
    episodes: Json | None = None
    dataset: str | None = None
    verification: Verification | None = None
    selection: Json | None = None
    registration: Json | None = None
    report: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    warnings: Sequence[str] = ()


def run_document(facts: RunFacts) -> Json:
    """Compose the `run` document; without a registration its status is `failed`."""
    registration = facts.registration or {}
    return {
        "task": facts.task,
        "status": registration.get("status", "failed"),
        "headline": _headline(facts),
        "episodes": _episodes(facts),
        "dataset": facts.dataset[:SHORT] if facts.dataset else None,
        "metrics": _metrics(facts.verification, registration.get("summary", {})),
        "verification": _verification(facts.verification),
        "selection": facts.selection,
        "version": registration.get("version"),
        "alias": registration.get("alias"),
        "provisional": registration.get("summary", {}).get("provisional", ""),
        "gate": registration.get("gate", []),
        "report": facts.report,
        "warnings": list(facts.warnings),
        "seconds": {stage: round(value, 3) for stage, value in facts.seconds.items()},
    }


def _headline(facts: RunFacts) -> str:
    """Return the headline of the model; empty if none was verified."""
    if facts.registration:
        return facts.registration["summary"].get("headline", "")
    return headline(facts.verification).text if facts.verification else ""


def _episodes(facts: RunFacts) -> Json:
    summary = facts.episodes or {}
    return {
        "accepted": summary.get("accepted", 0),
        "quarantined": summary.get("quarantined", 0),
        "cached": facts.cached,
    }


def _metrics(verification: Verification | None, registered: Json) -> Json:
    """Return the errors, or for policies in an environment the returns, by name of the model.

    The champion's value is the one that the gate measured; null without a champion.
    """
    metrics: Json = to_json_value(verification.metrics if verification else Metrics())
    other = registered.get("champion", {})
    champion = {what: {"champion": other.get(what)} for what in (RETURN, SUCCESS) if metrics[what]}
    return metrics | {what: metrics[what] | value for what, value in champion.items()}


def _verification(verification: Verification | None) -> Json | None:
    return to_json_value(verification.summary) if verification else None
