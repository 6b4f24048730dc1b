"""The start page of the server: what happened, what needs attention, and what to do next."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import dagster as dg

from kinemill.errors import KinemillError
from kinemill.register.audit_log import Event
from kinemill.register.gate.headline import headline_of
from kinemill.reports.components import html_page, name_of, table
from kinemill.store.home import Home
from kinemill.task import list_tasks
from kinemill_dagster.pipelines.alerts import NewAlert, drifts, quarantines, refusals
from kinemill_dagster.pipelines.home_state import RegisteredTask, registered_task, valid_task
from kinemill_dagster.pipelines.server.rest.run_documents import Runs, status_of
from kinemill_dagster.pipelines.server.web_console.layout import PREFIX as CONSOLE
from kinemill_dagster.pipelines.server.web_console.layout import without_commands
from kinemill_dagster.resources.links import TASKS

_QUARANTINE_SHARE = 0.2  # above this share the page shows the quarantined recordings
_LISTED = 20  # lines of "needs attention"
_RECENT = 10
_REASON = 160  # decisions, characters of a reason
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


def start_page(home: Home, runs: Runs | None) -> str:
    """Return the start page as one HTML document."""
    rows = [_row(home, runs, name, path) for name, path in list_tasks().items()]
    sections = [
        '<header><div><div class="eyebrow">kinemill</div><h1>Overview</h1></div></header>',
        _attention(rows),
        _next_steps(rows),
        _tasks(rows),
        _decisions(rows),
    ]
    return html_page("kinemill", sections)


def _row(home: Home, runs: Runs | None, name: str, path: Path) -> _Row:
    problems = list(_problems(home, name, path))
    try:
        registered = registered_task(home, name)
    except KinemillError as error:
        registered = RegisteredTask()
        problems.append(_lines(str(error)))
    run = next(iter(runs.records(1, name)), None) if runs else None
    if runs and run and run.dagster_run.status in _BAD:
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


def _problem(alert: NewAlert) -> str:
    body = alert.body if isinstance(alert.body, str) else alert.body()
    task = escape(alert.event.task)
    links = {
        "quarantine": (f"{CONSOLE}/quarantine/{task}", "Quarantine"),
        "drift": (f"{CONSOLE}/recordings/{task}", "Recordings"),
        "refused": (f"{TASKS}/{task}", "Versions"),
        "waiting": (f"{TASKS}/{task}", "Versions"),
    }
    address, text = links[alert.kind]
    return f'{escape(alert.title)}<br>{_lines(body)}<br><a href="{address}">{text}</a>'


def _lines(text: str) -> str:
    lines = without_commands(text).splitlines()
    return f"<small>{'<br>'.join(escape(line) for line in lines if line)}</small>"


def _attention(rows: Sequence[_Row]) -> str:
    lines = [[name_of(row.name), problem] for row in rows for problem in row.problems]
    if not lines:
        return ""
    more = f"<p>and {len(lines) - _LISTED} more</p>" if len(lines) > _LISTED else ""
    listed = table(["Task", "Needs attention"], lines[:_LISTED], fixed=True)
    return f"<h2>Needs attention</h2>{listed}{more}"


def _next_steps(rows: Sequence[_Row]) -> str:
    """Return the next commands for a project without tasks, and for tasks without a model."""
    if not rows:
        steps = [f'<a href="{CONSOLE}/new">Draft a task from the logs of a robot</a>']
    else:
        steps = [
            f"{name_of(row.name)} has no model yet: put logs into its drop folder and "
            f'<a href="{CONSOLE}/start/{escape(row.name)}">start a run</a>'
            for row in rows
            if not row.registered.versions and row.run is None
        ][:_LISTED]
    items = "".join(f"<li>{step}</li>" for step in steps)
    return f"<h2>Next steps</h2><ul>{items}</ul>" if steps else ""


def _tasks(rows: Sequence[_Row]) -> str:
    lines = [
        [
            f'<a href="{TASKS}/{escape(row.name)}">{name_of(row.name)}</a>',
            _champion(row),
            _run(row.run),
            _forms(row.name),
        ]
        for row in rows
    ]
    listed = table(["Task", "Champion", "Last run, UTC", ""], lines, fixed=True)
    return f"<h2>Tasks</h2>{listed}" if lines else ""


def _forms(task: str) -> str:
    """Return the links to the forms of a task, each on one line."""
    return "<br>".join(
        f'<a style="white-space: nowrap" href="{CONSOLE}/{form}/{escape(task)}">{text}</a>'
        for form, text in _FORMS.items()
    )


def _decisions(rows: Sequence[_Row]) -> str:
    """Return the newest decisions of all tasks: gate, promotions, rollbacks, canaries."""
    events = [(event, row.name) for row in rows for event in row.registered.events]
    newest = sorted(events, key=lambda item: item[0].at, reverse=True)[:_RECENT]
    lines = [
        [
            escape(event.at[:16].replace("T", " ")),
            f'<a href="{TASKS}/{escape(task)}/{event.version or ""}">{escape(task)} '
            f"{event.version or 'no champion'}</a>",
            f"{escape(event.label)}, {_author(event)}",
            f"<small>{escape(textwrap.shorten(event.why, _REASON))}</small>",
        ]
        for event, task in newest
    ]
    listed = table(["When, UTC", "Version", "Decision", "Reason"], lines, fixed=True)
    return f"<h2>Recent decisions</h2>{listed}" if lines else ""


def _author(event: Event) -> str:
    """Return who decided: the gate, in a run of a user, or the user."""
    return f"by {'the gate, in a run of ' if event.what in _BY_GATE else ''}{escape(event.who)}"


def _champion(row: _Row) -> str:
    champion = row.registered.champion
    if champion is None:
        return "none"
    address = f"{TASKS}/{row.name}/{champion.number}"
    text = escape(headline_of(champion).performance)
    return f'<a href="{escape(address)}">version {champion.number}</a><br><small>{text}</small>'


def _run(record: dg.RunRecord | None) -> str:
    if record is None:
        return "none"
    run = record.dagster_run
    moment = record.create_timestamp.astimezone(UTC)
    age = datetime.now(UTC) - moment
    when = f"{moment:%H:%M}" if age.days < 1 else f"{moment:%Y-%m-%d %H:%M}"
    return f'<a href="{CONSOLE}/runs/{run.run_id}">{status_of(record)}</a>, {when}'
