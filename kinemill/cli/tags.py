"""`kinemill data tag` and `kinemill data tags`: tag recordings, and list tags."""

from typing import Annotated

import typer

from kinemill.cli.data import Recording
from kinemill.cli.output import Limit, Offset, Output, Table, TaskName
from kinemill.reports.control_characters import escape_controls

_HASH = 16  # displayed characters of a content hash


def tag(
    task: TaskName,
    recording: Recording,
    name: Annotated[str, typer.Argument(metavar="TAG")],
    start: Annotated[float | None, typer.Option("--from")] = None,
    stop: Annotated[float | None, typer.Option("--to")] = None,
    note: str = "",
    remove: bool = False,
) -> Output:
    """Tag a recording, or a span of time in it.

    Example: kinemill data tag my_robot run1.csv slip --from 1.2 --to 3.4

    Args:
        name: Text of the tag.
        start: Start of the span, s.
        stop: End of the span, s.
        note: Note.
        remove: Remove the tag.
    """
    from kinemill.ingest.inspection import find_member
    from kinemill.search.tags import TagDetails, add_tag, remove_tag
    from kinemill.store import Home, to_json_value
    from kinemill.task import load_task

    loaded = load_task(task)
    home = Home.resolve()
    member = find_member(loaded, home, recording)
    if remove:
        act = remove_tag(home, loaded.name, [member.hash], name)
    else:
        details = TagDetails(start, stop, note)
        act = add_tag(home, loaded.name, [member.hash], name, details)
    done = "is removed from" if act.removed else "is set on"
    return Output(
        {"task": loaded.name, "name": member.name, **to_json_value(act)},
        f"{act.tag} {done} {escape_controls(member.name)} ({member.hash[:_HASH]})",
    )


def list_tags(task: TaskName, limit: Limit = 100, offset: Offset = 0) -> Output:
    """List the tags of a task's recordings.

    Example: kinemill data tags my_robot
    """
    from kinemill.ingest.membership import find_member
    from kinemill.search.tags import TAGS, current_tags
    from kinemill.store.home import Home
    from kinemill.task import load_task

    loaded = load_task(task)
    home = Home.resolve()
    TAGS.fetch(home, loaded.name)
    pairs = [
        (stored, hash_) for stored in current_tags(home, loaded.name) for hash_ in stored.recordings
    ]
    lines: list[dict[str, str | float | None]] = []
    fields = ("tag", "start_s", "stop_s", "note", "who", "when")
    for stored, hash_ in pairs[offset:][:limit]:
        member = find_member(home, loaded.name, hash_)
        of = {"recording": hash_, "name": member.name if member else None}
        lines.append(of | {field: getattr(stored, field) for field in fields})
    title = f"tags of {loaded.name}, {len(lines)} of {len(pairs)}"
    document = {"task": loaded.name, "total": len(pairs), "tags": lines}
    return Output(document, Table(title, ["name", *fields], lines))
