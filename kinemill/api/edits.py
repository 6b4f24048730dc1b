"""Edit recordings reversibly: exclude, split, merge; list and undo edits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, Unpack, cast

from kinemill.api.recordings import search_page
from kinemill.api.training import TaskLike, resolve_task
from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.task import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.ingest.edits import Edit, EditChange
    from kinemill.ingest.membership import Member


class EditArguments(TypedDict, total=False):
    """Arguments of an edit, exactly one kind. Times are s since the first timestamp.

    Attributes:
        exclude: first and last time of a span that is left out, s.
        split: time at which the recording is split into two tracks, s.
        part: part of the log to which times refer; required if the log has several.
        merge: recording that continues this one.
        max_gap: longest gap between both recordings, s; default: that of the task.
    """

    exclude: tuple[float, float]
    split: float
    part: str
    merge: str
    max_gap: float


def edit_recording(
    task: "TaskLike",
    recording: str | None = None,
    *,
    where: str | None = None,
    because: str = "",
    **change: Unpack[EditArguments],
) -> "Edit":
    """Edit how recordings are read, until the edit is undone; log files never change.

    The next ingest or run reads the recordings with the edit.

    Example:
        km.edit_recording("arm", "run1.csv", exclude=(3.2, 4.5), because="gripper was stuck")
        km.edit_recording("arm", where="robot = 'r7'", split=60.0)

    Args:
        task: a task, its name or file.
        recording: name, content hash or its beginning, or id of an episode.
        where: query of the recordings to edit, instead of one; see docs/data.md.
        because: reason, kept with the edit.
        **change: exactly one of the kinds of `EditArguments`.

    Raises:
        BadInput: The task or a recording is unknown, or the edit does not apply to a recording,
            which the message names. Nothing is changed then.
    """
    return edit_members(resolve_task(task), recording, where, change, because)


def edit_members(
    task: Task, recording: str | None, where: str | None, change: Mapping[str, object], because: str
) -> "Edit":
    """Edit recordings as `edit_recording`, with `EditArguments` as a mapping; None is unset.

    Raises:
        BadInput: As in `edit_recording`.
    """
    from kinemill.ingest import edit_recording as edits

    home = Home.resolve()
    arguments = cast(
        "EditArguments", {name: value for name, value in change.items() if value is not None}
    )
    members = _selected(task, home, recording, where)
    return edits.edit(task, home, members, _change(task, home, arguments), because)


def undo_edit(
    task: "TaskLike",
    recording: str | None = None,
    number: int | None = None,
    *,
    where: str | None = None,
    because: str = "",
) -> "list[Edit]":
    """Withdraw an edit; the next ingest reads the recordings without it.

    Args:
        task: a task, its name or file.
        recording: name, content hash or its beginning, or id of an episode.
        number: number of the edit; default: the last one of each recording.
        where: query of the recordings, instead of one.
        because: reason, stored with the withdrawal.

    Raises:
        BadInput: The task or a recording is unknown, or a recording has no such edit.
    """
    from kinemill.ingest import edit_recording as edits

    resolved, home = resolve_task(task), Home.resolve()
    return edits.undo(resolved, home, _selected(resolved, home, recording, where), number, because)


def list_edits(task: "TaskLike", recording: str | None = None) -> "pl.DataFrame":
    """Return the edits of a task's recordings, one row per edit and recording, oldest first.

    Columns: number, recording (content hash), name, kind, edit (in words), who, when, because, and
    `undone`, the time at which it was withdrawn, or null.

    Args:
        task: a task, its name or file.
        recording: recording of the edits; default: all.

    Raises:
        BadInput: The task or the recording is unknown.
    """
    import polars as pl

    from kinemill.ingest.edit_recording import EditRow, edit_rows
    from kinemill.ingest.inspection import find_member

    resolved, home = resolve_task(task), Home.resolve()
    hash_ = None if recording is None else find_member(resolved, home, recording).hash
    texts = {name: pl.String for name in EditRow.__dataclass_fields__ if name != "number"}
    rows = [vars(row) for row in edit_rows(resolved, home, hash_)]
    return pl.DataFrame(rows, schema={"number": pl.Int64, **texts})


def _selected(task: Task, home: Home, recording: str | None, where: str | None) -> "list[Member]":
    """Return the recordings of a name or a query.

    Raises:
        BadInput: None or both are set, or nothing matches.
    """
    from kinemill.ingest import membership
    from kinemill.ingest.inspection import find_member

    if (recording is None) == (where is None):
        problem = "neither a recording nor a query" if where is None else "a recording and a query"
        fix = "set a recording, or select several with a query (--where)"
        raise BadInput("edit", f"has {problem}", expected="one of both", fix=fix)
    if recording is not None:
        return [find_member(task, home, recording)]

    hashes = search_page(task, where or "", ["recording"]).frame["recording"]
    members = [membership.find_member(home, task.name, hash_) for hash_ in hashes]
    return [member for member in members if member is not None]


def _change(task: Task, home: Home, arguments: EditArguments) -> "EditChange":
    """Return the change of the arguments.

    Raises:
        BadInput: None or several are set, or the other recording of a merge is unknown.
    """
    from kinemill.ingest.edits import KINDS, EditChange
    from kinemill.ingest.inspection import find_member

    named = [kind for kind in KINDS if kind in arguments]
    if len(named) != 1:
        problem = f"{' and '.join(named)} together" if named else "no change"
        expected = f"one of {', '.join(KINDS)}"
        raise BadInput("edit", f"names {problem}", expected=expected, fix="make one edit at a time")
    part = arguments.get("part", "")
    if "exclude" in arguments:
        start, stop = arguments["exclude"]
        return EditChange("exclude", start_s=float(start), stop_s=float(stop), part=part)
    if "split" in arguments:
        return EditChange("split", start_s=float(arguments["split"]), part=part)
    merged = find_member(task, home, arguments.get("merge", ""))
    gap = arguments.get("max_gap", task.max_gap)
    return EditChange("merge", merged=merged.hash, merged_name=merged.name, max_gap_s=float(gap))
