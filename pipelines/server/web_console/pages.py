"""Pages about versions, runs and held-back recordings; templates have their texts."""

from collections.abc import Sequence

from kinemill.errors import BadInput, KinemillError
from kinemill.register.comparison_page import comparison_sections
from kinemill.register.gate.headline import headline_of
from kinemill.register.version_comparison import compare
from kinemill.register.versions import CHAMPION, Version
from kinemill.store.home import Home
from kinemill.store.versioned_cache import VersionedCache
from kinemill.task import Task
from kinemill.validate.recording_status import RecordingStatus
from kinemill_dagster.pipelines.server.rest.documents import RunDocument
from kinemill_dagster.pipelines.server.rest.run_documents import ENDED
from kinemill_dagster.pipelines.server.web_console.layout import console_page, without_commands

_COMPARISONS = VersionedCache[str](32)  # both models are simulated on the test split for a result


def run_page(run: RunDocument) -> str:
    """Return the page of a run; its script follows the run until it has ended."""
    return console_page(
        f"{run.task}: run {run.id[:8]}",
        "run.html.j2",
        run.task,
        run=run,
        ended=run.status in ENDED,
        version=run.model and run.model.rpartition("/")[2],
        problem=without_commands(run.error or ""),
    )


def decision_page(version: Version, champion: int | None) -> str:
    """Return the page with the forms for a version."""
    return console_page(
        f"{version.task} {version.number}: decision",
        "decision.html.j2",
        version.task,
        version=version,
        champion=champion,
        lead=without_commands(headline_of(version).text),
        is_champion=CHAMPION in version.aliases,
        passed=version.decision == CHAMPION,
    )


def quarantine_page(task: str, recordings: Sequence[RecordingStatus], total: int) -> str:
    """Return the page with the recordings that are held back, and a form for each."""
    return console_page(
        f"{task}: quarantine",
        "quarantine.html.j2",
        task,
        task=task,
        recordings=recordings,
        total=total,
        plain=without_commands,
    )


def compare_page(task: Task, home: Home, versions: Sequence[Version], a: str, b: str) -> str:
    """Return the page with the form, and the comparison of versions `a` and `b` if they are named.

    `versions` are newest first.
    """
    first = next(
        (item for item in versions if CHAMPION in item.aliases), [*versions, None, None][1]
    )
    second = next((item for item in versions if item is not first), None)
    result = problem = ""
    if a and b:
        try:
            result = _comparison(task, home, versions, a, b)
        except KinemillError as error:
            problem = without_commands(str(error))
    return console_page(
        f"{task.name}: compare versions",
        "compare.html.j2",
        task.name,
        task=task.name,
        texts={str(item.number): f"version {item.number}, {item.status}" for item in versions},
        a=a or (first and str(first.number)),
        b=b or (second and str(second.number)),
        result=result,
        problem=problem,
    )


def _comparison(task: Task, home: Home, versions: Sequence[Version], a: str, b: str) -> str:
    """Return the measured comparison as HTML."""
    if a == b:
        raise BadInput(f"version {a}", "is selected twice", fix="select two versions")
    states = tuple((item.number, item.status, item.source) for item in versions)
    return _COMPARISONS.get(
        (home, task.name, a, b),
        lambda: states,
        lambda: comparison_sections(compare(task, home, f":{a}", f":{b}")),
    )
