"""`kinemill data quarantine`: list, release and reject quarantined recordings."""

from functools import partial
from typing import Annotated, Literal

import typer

from kinemill.cli.data import Because
from kinemill.cli.log_results import MOST_REASONS, show_reasons
from kinemill.cli.output import Limit, Offset, Output, Table, TaskName
from kinemill.reports.control_characters import escape_controls
from kinemill.store import Home, Json

RecordingName = Annotated[
    str, typer.Argument(help="Recording name, or content hash or its prefix.")
]


def list_held_back(task: TaskName, limit: Limit = 100, offset: Offset = 0) -> Output:
    """List recordings that are not fully accepted.

    Example: kinemill data quarantine list my_robot
    """
    from kinemill.task import load_task
    from kinemill.validate.recording_status import held_back

    loaded = load_task(task)
    page = held_back(loaded, Home.resolve(), offset, limit)
    recordings = [item.to_json() for item in page.recordings]
    counts = {"total": page.total, "not_validated": page.pending}
    first = f"{len(recordings)} of " if len(recordings) < page.total else ""
    pending = f"{page.pending} not validated yet: kinemill run {loaded.name}"
    return Output(
        {"task": loaded.name, **counts, "recordings": recordings},
        *(partial(_print_held_back, item) for item in recordings),
        f"{first}{page.total} in quarantine of {loaded.name}",
        *([pending] if page.pending else []),
    )


def _print_held_back(item: Json) -> None:
    typer.echo(f"{item['status']:<12} {escape_controls(item['name'])} ({item['recording'][:16]})")
    if item["decision"]:
        typer.echo(f"    - {_spell_decision(item['decision'])}")
    else:
        show_reasons(item["reasons"], MOST_REASONS)


def show_recording(task: TaskName, recording: RecordingName) -> Output:
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
    trail = [vars(decision) for decision in made if decision.recording == member.hash]
    edits = [vars(row) for row in edit_rows(loaded, home, member.hash) if row.undone is None]
    about = ["who", "when", "because"]
    return Output(
        {"task": loaded.name, **status.to_json(), "edits": edits, "audit": trail},
        f"{escape_controls(member.name)} ({member.hash[:16]}): {status.status}",
        lambda: show_reasons(status.reasons),
        *([Table("edits", ["number", "edit", *about], edits)] if edits else []),
        *([Table("decisions", ["decision", *about], trail)] if trail else []),
    )


def release(task: TaskName, recording: RecordingName, because: Because = "") -> Output:
    """Accept a recording despite its faults.

    Example: kinemill data quarantine release my_robot run1.csv
    """
    return _decide(task, "release", recording, because)


def reject(task: TaskName, recording: RecordingName, because: Because = "") -> Output:
    """Exclude a recording from datasets.

    Example: kinemill data quarantine reject my_robot run1.csv
    """
    return _decide(task, "reject", recording, because)


def undo(task: TaskName, recording: RecordingName, because: Because = "") -> Output:
    """Withdraw the decision on a recording.

    Example: kinemill data quarantine undo my_robot run1.csv
    """
    return _decide(task, "undo", recording, because)


def _decide(
    task: str, decision: Literal["release", "reject", "undo"], recording: str, because: str
) -> Output:
    from kinemill.api.recordings import decide_quarantine
    from kinemill.task import load_task

    loaded = load_task(task)
    made = vars(decide_quarantine(loaded, Home.resolve(), decision, recording, because))
    return Output(
        {"task": loaded.name, **made},
        f"{made['name']}: {_spell_decision(made)}",
        f"the next kinemill run {loaded.name} updates episodes, dataset and model",
    )


def _spell_decision(made: Json) -> str:
    because = f": {made['because']}" if made["because"] else ""
    return f"{made['decision']}, {made['who']}, {made['when']}{because}"
