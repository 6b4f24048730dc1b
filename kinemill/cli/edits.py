"""`kinemill data edit` and `kinemill data edits`: correct how recordings are read, reversibly."""

from typing import Annotated

import typer

from kinemill.cli.data import Because
from kinemill.cli.log_results import spell_name
from kinemill.cli.output import JsonOption, Limit, Offset, TaskName, document, table

Which = Annotated[
    str | None, typer.Argument(help="Recording name, content hash or its prefix, or episode id.")
]


def edit(
    task: TaskName,
    recording: Which = None,
    where: Annotated[
        str | None, typer.Option("--where", help="Edit all recordings that a query finds.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option("--exclude", metavar="FROM:TO", help="Leave out a span, s.")
    ] = None,
    split: Annotated[
        float | None, typer.Option("--split", metavar="S", help="Cut into two tracks at a time.")
    ] = None,
    part: Annotated[str, typer.Option("--part", help="Part of the log that times are of.")] = "",
    merge: Annotated[
        str | None, typer.Option("--merge", metavar="OTHER", help="Continue with a recording.")
    ] = None,
    max_gap: Annotated[
        float | None, typer.Option("--max-gap", min=0.0, help="Longest gap of a merge, s.")
    ] = None,
    rename: Annotated[
        str | None,
        typer.Option("--rename", metavar="CHANNEL=COLUMN", help="Read from another column."),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option("--scale", metavar="CHANNEL=FACTOR", help="Multiply the recorded values."),
    ] = None,
    offset: Annotated[
        str | None,
        typer.Option("--offset", metavar="CHANNEL=VALUE", help="Add to the recorded values."),
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", metavar="CHANNEL=UNIT", help="Read in another unit.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Withdraw an edit.")] = False,
    number: Annotated[
        int | None, typer.Option("--number", min=1, help="Edit to withdraw; default: the last.")
    ] = None,
    because: Because = "",
    as_json: JsonOption = False,
) -> None:
    """Edit how a recording is read, until it is undone.

    The bytes of the log stay as they are. Times are s since its first stamp.

    Example: kinemill data edit my_robot run1.csv --exclude 3.2:4.5
    """
    from kinemill.api.edits import edit_members, undo_edit
    from kinemill.store import to_json_value
    from kinemill.task import load_task

    loaded = load_task(task)
    arguments = {
        "exclude": _span(exclude),
        "split": split,
        "part": part or None,
        "merge": merge,
        "max_gap": max_gap,
        "rename": _pair("--rename", rename),
        "scale": _scaled("--scale", scale),
        "offset": _scaled("--offset", offset),
        "unit": _pair("--unit", unit),
    }
    if undo:
        _require_nothing([name for name, value in arguments.items() if value is not None])
        acts = undo_edit(loaded, recording, number, where=where, because=because)
    else:
        acts = [edit_members(loaded, recording, where, arguments, because)]
    if as_json:
        document({"task": loaded.name, "acts": [to_json_value(act) for act in acts]})
        return
    for act in acts:
        what = act.change.spell() if act.change else f"undo edit {act.undoes}"
        count = len(act.recordings)
        typer.echo(f"{what}: {count} recording{'s' * (count != 1)} (edit {act.number})")
    typer.echo(f"the next kinemill run {loaded.name} updates episodes, dataset and model")


def _span(text: str | None) -> tuple[float, float] | None:
    """Return the two times of `--exclude`."""
    if text is None:
        return None
    start, _, stop = text.partition(":")
    return _number("--exclude", start, "3.2:4.5"), _number("--exclude", stop, "3.2:4.5")


def _pair(option: str, text: str | None) -> tuple[str, str] | None:
    """Return a channel and its value.

    Raises:
        BadInput: The text has no channel or no value.
    """
    from kinemill.errors import BadInput

    if text is None:
        return None
    channel, _, value = (part.strip() for part in text.partition("="))
    if not channel or not value:
        fix = f"write {option} angle=..."
        raise BadInput(f"{option} {text}", "is no pair", expected="CHANNEL=VALUE", fix=fix)
    return channel, value


def _scaled(option: str, text: str | None) -> tuple[str, float] | None:
    pair = _pair(option, text)
    return pair and (pair[0], _number(option, pair[1], "angle=0.5"))


def _number(option: str, text: str, example: str) -> float:
    from kinemill.errors import BadInput

    try:
        return float(text)
    except ValueError:
        problem, fix = f"{text!r} is no number", f"write {option} {example}"
        raise BadInput(option, problem, expected="a number", fix=fix) from None


def _require_nothing(named: list[str]) -> None:
    from kinemill.errors import BadInput

    if named:
        options = ", ".join(f"--{name}" for name in named)
        raise BadInput("--undo", f"comes with {options}", fix="undo first, then edit again")


def list_edits(
    task: TaskName,
    recording: Which = None,
    limit: Limit = 100,
    offset: Offset = 0,
    as_json: JsonOption = False,
) -> None:
    """List the edits of a task's recordings: who, when and why.

    Example: kinemill data edits my_robot run1.csv
    """
    from kinemill.api.edits import list_edits as all_edits
    from kinemill.task import load_task

    loaded = load_task(task)
    every = all_edits(loaded, recording)
    page = every.slice(offset, limit)
    if as_json:
        document({"task": loaded.name, "total": every.height, "edits": page.to_dicts()})
        return
    columns = ["number", "name", "edit", "who", "when", "because", "undone"]
    rows = [[spell_name(c) if isinstance(c, str) else c for c in r] for r in page[columns].rows()]
    table(f"edits of {loaded.name}, {page.height} of {every.height}", columns, rows)
