"""Several experiments side by side in one file, each in columns of its own.

`ingest.parts` names them, and for each of them the columns of the channels, such as
`{train: {level: yEst, pump: uEst}, test: {level: yVal, pump: uVal}}`; what a part leaves out has
the column that `channels` names. Every part has its own clock, and comes out as tracks of its own.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kinemill.ingest.raw import RawLog, Reader, Reason, Unreadable, refused_part
from kinemill.task import Source, Task

TIME = "time"  # the name under which a part says where its stamps are


def read_parts(reader: Reader, path: Path, task: Task) -> list[RawLog]:
    """Read a file once, or once for each of the parts that the task names.

    A part that cannot be read does not spoil the others.

    Raises:
        BadLog: the file cannot be read at all.
    """
    if not task.ingest.parts:
        return _as_list(reader.read(path, task))
    logs, failed = list[RawLog](), list[Unreadable]()
    for part, sources in task.ingest.parts.items():
        try:
            part_logs = _as_list(reader.read(path, _task_of_part(task, sources)))
        except Unreadable as error:
            failed.append(error)
            logs.append(refused_part(part, [_name_part(item, part) for item in error.reasons]))
        else:
            logs += [replace(log, part=f"{log.part}/{part}".lstrip("/")) for log in part_logs]
    if len(failed) == len(logs) and all(one.reasons == failed[0].reasons for one in failed):
        raise failed[0]  # what is wrong is the file
    return logs


def _as_list(logs: RawLog | list[RawLog]) -> list[RawLog]:
    return logs if isinstance(logs, list) else [logs]


def _task_of_part(task: Task, sources: Mapping[str, list[Source]]) -> Task:
    """Return the task as it would be for one part alone."""
    channels = {
        name: channel.model_copy(update={"source": sources.get(name, channel.source)})
        for name, channel in task.channels.items()
    }
    time = [source.name for source in sources.get(TIME, [])] or task.ingest.time
    ingest = task.ingest.model_copy(update={"time": time})
    return task.model_copy(update={"channels": channels, "ingest": ingest})


def _name_part(item: Reason, part: str) -> Reason:
    """Say where in the task file a part names its columns."""
    channel = item["channel"]
    usual = f"`channels.{channel}.source`" if channel else "`ingest.time`"
    own = f"`ingest.parts.{part}.{channel or TIME}`"
    return {**item, "fix": (item["fix"] or "").replace(usual, own)}
