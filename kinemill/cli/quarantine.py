"""`kinemill data quarantine`: list, release and reject quarantined recordings."""

from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from kinemill.cli.data import Because
from kinemill.cli.log_results import MOST_REASONS, show_reasons, spell_name
from kinemill.cli.output import JsonOption, Limit, Offset, TaskName, document, table
from kinemill.ingest.decisions import DECISIONS, Decision, current_decisions
from kinemill.ingest.inspection import find_member
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.document import Task

RecordingName = Annotated[
    str, typer.Argument(help="Recording name, or content hash or its prefix.")
]


def list_held_back(
    task: TaskName, limit: Limit = 100, offset: Offset = 0, as_json: JsonOption = False
) -> None:
    """List recordings that are not fully accepted.

    Example: kinemill data quarantine list my_robot
    """
    _list(load_task(task), Home.resolve(), offset, limit, as_json=as_json)


def show_recording(task: TaskName, recording: RecordingName, as_json: JsonOption = False) -> None:
    """Show the status, faults and decisions of a recording.

    Example: kinemill data show my_robot run1.csv
    """
    _show(load_task(task), Home.resolve(), recording, as_json=as_json)


def release(
    task: TaskName, recording: RecordingName, because: Because = "", as_json: JsonOption = False
) -> None:
    """Accept a recording despite its faults.

    Example: kinemill data quarantine release my_robot run1.csv
    """
    from kinemill.validate import quarantine_decisions

    _decide(quarantine_decisions.release, task, recording, because, as_json=as_json)


def reject(
    task: TaskName, recording: RecordingName, because: Because = "", as_json: JsonOption = False
) -> None:
    """Exclude a recording from datasets.

    Example: kinemill data quarantine reject my_robot run1.csv
    """
    from kinemill.validate import quarantine_decisions

    _decide(quarantine_decisions.reject, task, recording, because, as_json=as_json)


def undo(
    task: TaskName, recording: RecordingName, because: Because = "", as_json: JsonOption = False
) -> None:
    """Withdraw the decision on a recording.

    Example: kinemill data quarantine undo my_robot run1.csv
    """
    from kinemill.validate import quarantine_decisions

    _decide(quarantine_decisions.withdraw, task, recording, because, as_json=as_json)


def _list(task: Task, home: Home, offset: int, limit: int, *, as_json: bool) -> None:
    from kinemill.validate.recording_status import held_back

    page = held_back(task, home, offset, limit)
    recordings = [item.to_json() for item in page.recordings]
    if as_json:
        counts = {"total": page.total, "not_validated": page.pending}
        document({"task": task.name, **counts, "recordings": recordings})
        return
    for item in recordings:
        typer.echo(f"{item['status']:<12} {spell_name(item['name'])} ({item['recording'][:16]})")
        if item["decision"]:
            typer.echo(f"    - {_decision(item['decision'])}")
        else:
            show_reasons(item["reasons"], MOST_REASONS)
    count = (
        f"{len(recordings)} of {page.total}" if len(recordings) < page.total else str(page.total)
    )
    typer.echo(f"{count} in quarantine of {task.name}")
    if page.pending:
        typer.echo(f"{page.pending} not validated yet: kinemill run {task.name}")


def _decision(made: Mapping[str, object] | None) -> str:
    if made is None:
        return ""
    because = f": {made['because']}" if made["because"] else ""
    return f"{made['decision']}, {made['who']}, {made['when']}{because}"


def _show(task: Task, home: Home, which: str, *, as_json: bool) -> None:
    from kinemill.ingest.edit_recording import edit_rows
    from kinemill.validate.recording_status import status_of

    member = find_member(task, home, which)
    status = status_of(task, home, member, current_decisions(home, task.name).get(member.hash))
    trail = [
        made.to_json() for made in DECISIONS.read(home, task.name) if made.recording == member.hash
    ]
    edits = [vars(row) for row in edit_rows(task, home, member.hash) if row.undone is None]
    summary = {"task": task.name, **status.to_json(), "edits": edits, "audit": trail}
    if as_json:
        document(summary)
        return
    typer.echo(f"{spell_name(member.name)} ({member.hash[:16]}): {status.status}")
    show_reasons(status.reasons)
    if edits:
        keys = ["number", "edit", "who", "when", "because"]
        table("edits", keys, [[item[key] for key in keys] for item in edits])
    if not trail:
        return
    columns = ["decision", "who", "when", "because"]
    table("decisions", columns, [[item[key] for key in columns] for item in trail])


def _decide(
    decide: Callable[[Task, Home, str, str], Decision],
    task: str,
    recording: str,
    because: str,
    *,
    as_json: bool,
) -> None:
    loaded = load_task(task)
    made = decide(loaded, Home.resolve(), recording, because).to_json()
    if as_json:
        document({"task": loaded.name, **made})
        return
    typer.echo(f"{made['name']}: {_decision(made)}")
    typer.echo(f"the next kinemill run {loaded.name} updates episodes, dataset and model")
