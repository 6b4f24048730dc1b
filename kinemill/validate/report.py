"""Report page of the validation stage: checks and findings.

The page is one file that opens offline. Names and texts come from logs, so jinja2 escapes them.
"""

from dataclasses import dataclass
from typing import Any

from kinemill.ingest.raw import Reason
from kinemill.reports import templates
from kinemill.reports.components import style
from kinemill.task import Task
from kinemill.validate.check_results import CheckResult

Json = dict[str, Any]

FAULTY = 100  # listed recordings
REASONS = 8  # listed reasons of one recording


@dataclass(frozen=True)
class QuarantinedRecording:
    """A recording without an accepted episode, as `quarantine.json` lists it.

    Attributes:
        recording: content hash.
        name: name of the log.
        reasons: the first reasons.
        omitted: number of further reasons.
    """

    recording: str
    name: str
    reasons: list[Reason]
    omitted: int


@dataclass(frozen=True)
class RecordingSample(QuarantinedRecording):
    """A recording in the report, with the number of its accepted episodes."""

    episodes: int


def render(
    task: Task, summary: object, checks: list[CheckResult], samples: list[RecordingSample]
) -> str:
    """Return the page as HTML.

    Args:
        task: its name, time step and rule on faults.
        summary: the `EpisodesSummary` of the stage.
        checks: all results.
        samples: recordings with findings, the first ones by content hash.
    """
    return templates.render(
        "validate/page.html.j2",
        numbers=_numbers,
        spell=_spell,
        task=task,
        summary=summary,
        style=style(),
        failed=[check for check in checks if not check.passed],
        passed=[check for check in checks if check.passed],
        quarantine=[item for item in samples if not item.episodes],
        partly=[item for item in samples if item.episodes],
    )


def _numbers(values: Json) -> str:
    """Format the numbers of a check as `name value, name value`; lists are shown separately."""
    listed = {"failing", "measured", "check", "fix"}
    return ", ".join(
        f"{name} {_spell(value)}"
        for name, value in values.items()
        if name not in listed and value is not None
    )


def _spell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return " / ".join(map(_spell, value)) if isinstance(value, list) else str(value)
