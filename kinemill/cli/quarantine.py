"""`kinemill data quarantine`: list, release and reject quarantined recordings."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from kinemill.cli.data import Because
from kinemill.cli.log_results import MOST_REASONS, show_reasons
from kinemill.cli.output import JsonOption, Limit, Offset, TaskName, document, table
from kinemill.reports.control_characters import escape_controls
from kinemill.store import Home, Json

RecordingName = Annotated[
    str, typer.Argument(help="Recording name, or content hash or its prefix.")
]


def list_held_back(
    task: TaskName, limit: Limit = 100, offset: Offset = 0, as_json: JsonOption = False
) -> None:
    """List recordings that are not fully accepted.

    Example: kinemill data quarantine list my_robot
    """
    from kinemill.task import load_task
    from kinemill.validate.recording_status import held_back

    loaded = load_task(task)
    page = held_back(loaded, Home.resolve(), offset, limit)
    recordings = [item.to_json() for item in page.recordings]
    if as_json:
        counts = {"total": page.total, "not_validated": page.pending}
        document({"task": loaded.name, **counts, "recordings": recordings})
        return
    for item in recordings:
        typer.echo(
            f"{item['status']:<12} {escape_controls(item['name'])} ({item['recording'][:16]})"
        )
        if item["decision"]:
            typer.echo(f"    - {_spell_decision(item['decision'])}")
        else:
            show_reasons(item["reasons"], MOST_REASONS)
    count = (
        f"{len(recordings)} of {page.total}" if len(recordings) < page.total else str(page.total)
    )
    typer.echo(f"{count} in quarantine of {loaded.name}")
    if page.pending:
        typer.echo(f"{page.pending} not validated yet: kinemill run {loaded.name}")


def show_recording(task: TaskName, recording: RecordingName, as_json: JsonOption = False) -> None:
    """Show the status, faults and decisions of a recording.

    Example: kinemill data show my_robot run1.csv
    """
    from kinemill.ingest.decisions import DECISIONS, current_decisions
    from kinemill.ingest.edit_recording import edit_rows
    from kinemill.ingest.inspection import find_member
    from kinemill.task import load_task
    from kinemill.validate.recording_status import status_of

    loaded = load_task(task)
    home = Home.resolve()
    member = find_member(loaded, home, recording)
    status = status_of(loaded, home, member, current_decisions(home, loaded.name).get(member.hash))
    made = DECISIONS.read(home, loaded.name)
    trail = [decision.to_json() for decision in made if decision.recording == member.hash]
    edits = [vars(row) for row in edit_rows(loaded, home, member.hash) if row.undone is None]
    if as_json:
        document({"task": loaded.name, **status.to_json(), "edits": edits, "audit": trail})
        return
    typer.echo(f"{escape_controls(member.name)} ({member.hash[:16]}): {status.status}")
    show_reasons(status.reasons)
    _print_rows("edits", ["number", "edit", "who", "when", "because"], edits)
    _print_rows("decisions", ["decision", "who", "when", "because"], trail)


def _print_rows(title: str, columns: list[str], rows: list[Json]) -> None:
    if rows:
        table(title, columns, [[row[column] for column in columns] for row in rows])


def release(
    task: TaskName, recording: RecordingName, because: Because = "", as_json: JsonOption = False
) -> None:
    """Accept a recording despite its faults.

    Example: kinemill data quarantine release my_robot run1.csv
    """
    from kinemill.validate.quarantine_decisions import release as decide

    _decide(decide, task, recording, because, as_json=as_json)


def reject(
    task: TaskName, recording: RecordingName, because: Because = "", as_json: JsonOption = False
) -> None:
    """Exclude a recording from datasets.

    Example: kinemill data quarantine reject my_robot run1.csv
    """
    from kinemill.validate.quarantine_decisions import reject as decide

    _decide(decide, task, recording, because, as_json=as_json)


def undo(
    task: TaskName, recording: RecordingName, because: Because = "", as_json: JsonOption = False
) -> None:
    """Withdraw the decision on a recording.

    Example: kinemill data quarantine undo my_robot run1.csv
    """
    from kinemill.validate.quarantine_decisions import withdraw as decide

    _decide(decide, task, recording, because, as_json=as_json)


def _decide(
    decide: Callable[..., Any], task: str, recording: str, because: str, *, as_json: bool
) -> None:
    from kinemill.task import load_task

    loaded = load_task(task)
    made = decide(loaded, Home.resolve(), recording, because).to_json()
    if as_json:
        document({"task": loaded.name, **made})
        return
    typer.echo(f"{made['name']}: {_spell_decision(made)}")
    typer.echo(f"the next kinemill run {loaded.name} updates episodes, dataset and model")


def _spell_decision(made: Json) -> str:
    because = f": {made['because']}" if made["because"] else ""
    return f"{made['decision']}, {made['who']}, {made['when']}{because}"
