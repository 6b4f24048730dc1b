"""`kinemill data edit` and `kinemill data edits`: correct how recordings are read, reversibly."""

from typing import Annotated

import typer

from kinemill.cli.data import Because
from kinemill.cli.output import Limit, Offset, Output, Table, TaskName
from kinemill.errors import BadInput
from kinemill.store import to_json_value

Which = Annotated[
    str | None, typer.Argument(help="Recording name, content hash or its prefix, or episode id.")
]
Part = Annotated[str | None, typer.Option(help="Part of the log that times refer to.")]


def edit(
    task: TaskName,
    recording: Which = None,
    where: str | None = None,
    exclude: Annotated[str | None, typer.Option(metavar="FROM:TO")] = None,
    split: Annotated[float | None, typer.Option(metavar="S")] = None,
    part: Part = None,
    merge: Annotated[str | None, typer.Option(metavar="OTHER")] = None,
    max_gap: Annotated[float | None, typer.Option(min=0.0)] = None,
    undo: bool = False,
    number: Annotated[int | None, typer.Option(min=1)] = None,
    because: Because = "",
) -> Output:
    """Edit how a recording is read; reversible.

    The log file does not change. Times are s since its first timestamp.

    Example: kinemill data edit my_robot run1.csv --exclude 3.2:4.5

    Args:
        where: Edit all recordings that a query finds.
        exclude: Leave out a span, s.
        split: Cut into two tracks at a time.
        merge: Continue with a recording.
        max_gap: Longest gap of a merge, s.
        undo: Withdraw an edit.
        number: Edit to withdraw; default: the last.
    """
    from kinemill.api.edits import edit_members, undo_edit
    from kinemill.task import load_task
    from kinemill.verify.phrases import counted

    loaded = load_task(task)
    arguments = {
        "exclude": _span(exclude),
        "split": split,
        "part": part or None,
        "merge": merge,
        "max_gap": max_gap,
    }
    if undo:
        _require_nothing([name for name, value in arguments.items() if value is not None])
        acts = undo_edit(loaded, recording, number, where=where, because=because)
    else:
        acts = [edit_members(loaded, recording, where, arguments, because)]
    return Output(
        {"task": loaded.name, "acts": [to_json_value(act) for act in acts]},
        *(
            f"{act.change.spell() if act.change else f'undo edit {act.undoes}'}: "
            f"{counted(len(act.recordings), 'recordings')} (edit {act.number})"
            for act in acts
        ),
        f"the next kinemill run {loaded.name} updates episodes, dataset and model",
    )


def _span(text: str | None) -> tuple[float, float] | None:
    """Return the two times of `--exclude`."""
    if text is None:
        return None
    start, _, stop = text.partition(":")
    return _seconds(start), _seconds(stop)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        problem = f"{text!r} is not a number"
        fix = "write --exclude 3.2:4.5"
        raise BadInput("--exclude", problem, expected="a number", fix=fix) from None


def _require_nothing(named: list[str]) -> None:
    if named:
        options = ", ".join(f"--{name}" for name in named)
        raise BadInput(
            "--undo", f"cannot be combined with {options}", fix="undo first, then edit again"
        )


def list_edits(
    task: TaskName, recording: Which = None, limit: Limit = 100, offset: Offset = 0
) -> Output:
    """List the edits of a task's recordings: who, when and why.

    Example: kinemill data edits my_robot run1.csv
    """
    from kinemill.api.edits import list_edits as all_edits
    from kinemill.task import load_task

    loaded = load_task(task)
    rows = all_edits(loaded, recording)
    page = rows.slice(offset, limit)
    lines = page.to_dicts()
    title = f"edits of {loaded.name}, {page.height} of {rows.height}"
    columns = ["number", "name", "edit", "who", "when", "because", "undone"]
    document = {"task": loaded.name, "total": rows.height, "edits": lines}
    return Output(document, Table(title, columns, lines))
