"""The start page of the server: what happened, what needs attention, and what to do next."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.register.gate.headline import headline_of
from kinemill.reports.components import html_page
from kinemill.reports.templates import render_in
from kinemill.store.home import Home
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.alerts import drifts, quarantines, refusals
from kinemill_dagster.pipelines.home_state import RegisteredTask, registered_task, valid_task
from kinemill_dagster.pipelines.server.rest.run_documents import Runs, status_of
from kinemill_dagster.pipelines.server.web_console.layout import FOLDER, without_commands
from kinemill_dagster.pipelines.server.web_console.layout import PREFIX as CONSOLE
from kinemill_dagster.resources.alerts import Alert
from kinemill_dagster.resources.links import TASKS

_QUARANTINE_SHARE = 0.2  # above this share the page shows the quarantined recordings
_LISTED = 20  # lines of "needs attention"
_RECENT = 10  # decisions
_REASON = 160  # characters of a reason
_FORMS = {"start": "Start a run", "recordings": "Recordings", "quarantine": "Quarantine"}
_BY_GATE = {"champion", "refused", "waiting"}
_BAD = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class _Row:
    """A task on the page: its registry, its last run, and its problems as HTML."""

    name: str
    registered: RegisteredTask
    run: dg.RunRecord | None
    problems: Sequence[str]


def start_page(home: Home, runs: Runs) -> str:
    """Return the start page as one HTML document."""
    paths = list_tasks()
    rows = [_row(home, runs, name, path) for name, path in paths.items()]
    problems = [(row.name, problem) for row in rows for problem in row.problems]
    events = [(event, row.name) for row in rows for event in row.registered.events]
    waiting = [row.name for row in rows if not row.registered.versions and row.run is None]
    body = render_in(
        FOLDER,
        "start.html.j2",
        console=CONSOLE,
        tasks=TASKS,
        problems=problems[:_LISTED],
        more=max(0, len(problems) - _LISTED),
        rows=[(row.name, _champion(row), _run(row.run)) for row in rows],
        waiting=[(name, _reads_logs(paths[name])) for name in waiting[:_LISTED]],
        events=sorted(events, key=lambda item: item[0].at, reverse=True)[:_RECENT],
        by_gate=_BY_GATE,
        forms=_FORMS,
        shorten=lambda text: textwrap.shorten(text, _REASON),
    )
    return html_page("kinemill", [body])


def _reads_logs(path: Path) -> bool:
    """Return whether a task learns from logs; True if its file is invalid."""
    try:
        return valid_task(path).learn.from_logs
    except KinemillError:
        return True


def _row(home: Home, runs: Runs, name: str, path: Path) -> _Row:
    problems = list(_problems(home, name, path))
    try:
        registered = registered_task(home, name)
    except KinemillError as error:
        registered = RegisteredTask()
        problems.append(_lines(str(error)))
    run = next(iter(runs.records(1, name)), None)
    if run and run.dagster_run.status in _BAD:
        problems.append(_failed_run(runs, run))
    return _Row(name, registered, run, problems)


def _problems(home: Home, name: str, path: Path) -> Iterator[str]:
    """Yield what needs attention in a task, as HTML."""
    try:
        valid_task(path)
    except KinemillError as error:
        yield f"the task file cannot be used<br>{_lines(str(error))}"
        return
    for source in (
        refusals(home, name),
        quarantines(home, name, _QUARANTINE_SHARE),
        drifts(home, name),
    ):
        try:
            yield from (_problem(alert) for alert in source)
        except KinemillError as error:  # a damaged document does not hide the others
            yield _lines(str(error))


def _failed_run(runs: Runs, record: dg.RunRecord) -> str:
    """Return the line about a last run without a result, with its reason."""
    run = runs.document(record)
    link = f'<a href="{CONSOLE}/runs/{run.id}">last run</a>'
    what = "was canceled" if run.status == "canceled" else "failed"
    reason = f"<br>{_lines(textwrap.shorten(run.error, _REASON))}" if run.error else ""
    return f"The {link} {what}.{reason}"


def _problem(alert: Alert) -> str:
    task = escape(alert.task)
    links = {
        "quarantine": (f"{CONSOLE}/quarantine/{task}", "Quarantine"),
        "drift": (f"{CONSOLE}/recordings/{task}", "Recordings"),
        "refused": (f"{TASKS}/{task}", "Versions"),
        "waiting": (f"{TASKS}/{task}", "Versions"),
    }
    address, text = links[alert.kind]
    return f'{escape(alert.title)}<br>{_lines(alert.text)}<br><a href="{address}">{text}</a>'


def _lines(text: str) -> str:
    lines = without_commands(text).splitlines()
    return f"<small>{'<br>'.join(escape(line) for line in lines if line)}</small>"


def _champion(row: _Row) -> tuple[int, str] | None:
    """Return number and errors of the champion."""
    champion = row.registered.champion
    return (champion.number, headline_of(champion).performance) if champion else None


def _run(record: dg.RunRecord | None) -> tuple[str, str, str] | None:
    """Return id, status and time of a run."""
    if record is None:
        return None
    moment = record.create_timestamp.astimezone(UTC)
    age = datetime.now(UTC) - moment
    when = f"{moment:%H:%M}" if age.days < 1 else f"{moment:%Y-%m-%d %H:%M}"
    return record.dagster_run.run_id, status_of(record), when
