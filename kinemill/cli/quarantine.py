"""`kinemill quarantine`: list held-back recordings, release or reject them."""

from typing import Annotated, Any, Literal

import typer

from kinemill.cli.data import Because
from kinemill.cli.log_results import MOST_REASONS, show_reasons, spell_name
from kinemill.cli.output import Json, Limit, Offset, TaskName, document, table

Action = Literal["list", "show", "release", "reject", "undo"]


def quarantine(
    task: TaskName,
    action: Annotated[
        Action, typer.Argument(help="Action; all except `list` need a recording.")
    ] = "list",
    recording: Annotated[
        str | None, typer.Argument(help="Recording name, or content hash or its prefix.")
    ] = None,
    because: Because = "",
    limit: Limit = 100,
    offset: Offset = 0,
    as_json: Json = False,
) -> None:
    """List, show, release or reject quarantined recordings.

    `undo` withdraws an earlier decision.

    Example: kinemill quarantine my_robot release run1.csv
    """
    from kinemill.errors import BadInput
    from kinemill.store.home import Home
    from kinemill.task import load_task

    loaded, home = load_task(task), Home.resolve()
    if action == "list":
        _list(loaded, home, offset, limit, as_json=as_json)
        return
    if recording is None:
        raise BadInput(action, "no recording named", fix=f"kinemill quarantine {task} list")
    if action == "show":
        _show(loaded, home, recording, as_json=as_json)
        return
    _decide(loaded, home, action, recording, because, as_json=as_json)


def _list(task: Any, home: Any, offset: int, limit: int, *, as_json: bool) -> None:
    from kinemill.validate.recording_status import held_back

    found = held_back(task, home, offset, limit)
    held = [item.to_json() for item in found.shown]
    if as_json:
        counts = {"total": found.total, "not_validated": found.pending}
        document({"task": task.name, **counts, "recordings": held})
        return
    for item in held:
        typer.echo(f"{item['standing']:<12} {spell_name(item['name'])} ({item['recording'][:16]})")
        if item["decision"]:
            typer.echo(f"    - {_decision(item['decision'])}")
        else:
            show_reasons(item["reasons"], MOST_REASONS)
    shown = f"{len(held)} of {found.total}" if len(held) < found.total else str(found.total)
    typer.echo(f"{shown} held back of {task.name}")
    if found.pending:
        typer.echo(f"{found.pending} not validated yet: kinemill run {task.name}")


def _decision(made: dict[str, Any] | None) -> str:
    if made is None:
        return ""
    because = f": {made['because']}" if made["because"] else ""
    return f"{made['decision']}, {made['who']}, {made['when']}{because}"


def _show(task: Any, home: Any, which: str, *, as_json: bool) -> None:
    from kinemill.ingest.decisions import audit, decided
    from kinemill.ingest.inspection import find_member
    from kinemill.validate.recording_status import standing_of

    member = find_member(task, home, which)
    standing = standing_of(task, home, member, decided(home, task.name).get(member.hash))
    trail = [made.to_json() for made in audit(home, task.name) if made.recording == member.hash]
    found = {"task": task.name, **standing.to_json(), "audit": trail}
    if as_json:
        document(found)
        return
    typer.echo(f"{spell_name(member.name)} ({member.hash[:16]}): {standing.word}")
    show_reasons(standing.reasons)
    if not trail:
        return
    columns = ["decision", "who", "when", "because"]
    table("decisions", columns, [[item[key] for key in columns] for item in trail])


def _decide(task: Any, home: Any, action: str, which: str, because: str, *, as_json: bool) -> None:
    from kinemill.validate import quarantine_decisions

    doing = {
        "release": quarantine_decisions.release,
        "reject": quarantine_decisions.reject,
        "undo": quarantine_decisions.withdraw,
    }
    made = doing[action](task, home, which, because).to_json()
    if as_json:
        document({"task": task.name, **made})
        return
    typer.echo(f"{made['name']}: {_decision(made)}")
    typer.echo(f"kinemill run {task.name} follows it: episodes, dataset and model change by it")


COMMANDS = [quarantine]
