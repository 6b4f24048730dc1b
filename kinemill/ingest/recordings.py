"""Recordings: inputs of their key, reading, and opening published ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kinemill.catalog import CatalogEntry
from kinemill.errors import BadLog, spell_failure
from kinemill.ingest.channel_stats import channel_stats
from kinemill.ingest.edited_log import NO_EDITS, LogEdits, read_edited
from kinemill.ingest.files import readers, recognize, refuse_unsupported
from kinemill.ingest.media import store_media
from kinemill.ingest.membership import Member
from kinemill.ingest.raw import RawLog, Reader, Reason, Unreadable, reason, refused_part
from kinemill.ingest.recording_summary import RecordingSummary, TrackFile
from kinemill.ingest.rows import SUFFIX, write_rows
from kinemill.ingest.snapshot import Snapshot
from kinemill.ingest.tracks import Tracks, make_tracks
from kinemill.store import ArtifactRef, Json, open_ref
from kinemill.store.disk_space import is_fault_of_content
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import Source, Task

VERSION = 30
STAGE = "recording"
_OPTIONAL = ("texts", "derived", "of", "cutoff", "expression")  # keys that most channels lack


@dataclass(frozen=True)
class Recording:
    """A published recording: `folder` holds the tracks that its summary lists."""

    hash: str
    name: str
    ref: ArtifactRef
    folder: Path
    summary: RecordingSummary
    released: bool = False  # manually: faults that checks find are ignored


def load_recordings(home: Home, ref: ArtifactRef) -> list[Recording]:
    """Return the recordings of a snapshot, sorted by hash, after checking all their bytes.

    Raises:
        CorruptArtifact: the snapshot or one of its recordings is damaged.
    """
    return [open_recording(home, entry) for entry in Snapshot(home, ref)]


def open_recording(home: Home, entry: CatalogEntry) -> Recording:
    """Return the recording of a snapshot's entry, after checking its bytes.

    Raises:
        CorruptArtifact: it is damaged.
    """
    folder = open_ref(home, entry.ref)
    summary = RecordingSummary.read_folder(folder)
    return Recording(entry.hash, entry.name, entry.ref, folder, summary, entry.released)


def reading_rules(task: Task) -> Json:
    """Return the parts of the task that recordings depend on."""
    patterns = {"include": task.ingest.include, "exclude": task.ingest.exclude}
    meta = {"sidecar": task.ingest.meta.sidecar}
    return {"version": VERSION, "columns": task.columns, **_reading_part(task), **patterns, **meta}


def recording_inputs(task: Task, member: Member, edits: LogEdits = NO_EDITS) -> Json:
    """Return the inputs of the key of a recording, with the edits that hold for it."""
    inputs = {
        "version": VERSION,
        "hash": member.hash,
        "suffix": member.suffix,
        "columns": task.columns,
        "task": _reading_part(task),
    }
    return inputs | ({"edits": edits.to_json()} if edits else {})


def _reading_part(task: Task) -> Json:
    """Return the part of the task that recordings depend on, without patterns and waiting times."""
    part = task.part("dt", "channels", "ingest")
    unrelated = {"include", "exclude", "min_file_age", "watch", "meta", "partition_by"}
    # A task without parts has no key `parts`.
    unrelated |= set[str]() if part["ingest"]["parts"] else {"parts"}
    return {
        "dt": part["dt"],
        "channels": {
            name: {key: channel[key] for key in ("role", "kind", "unit", "source")}
            | {
                "resample": {
                    key: setting for key, setting in channel["resample"].items() if setting != 0
                }
            }
            | ({"shape": channel["shape"]} if channel["shape"] else {})
            | {key: channel[key] for key in _OPTIONAL if channel.get(key)}
            for name, channel in part["channels"].items()
        },
        "ingest": {key: value for key, value in part["ingest"].items() if key not in unrelated},
    }


def read_into(
    task: Task, member: Member, raw: Path, folder: Path, edits: LogEdits = NO_EDITS
) -> RecordingSummary:
    """Read the bytes at `raw` with edits, write the tracks into `folder`, return the summary."""
    form = recognize(task, raw)
    parts = _store_parts(task, form, raw, folder, edits)
    listed = list[TrackFile]()
    for part, frame in [(part, frame) for part, tracks in parts for frame in tracks.frames]:
        index = len(listed)
        name = f"track-{index:04d}{SUFFIX}"
        write_rows(frame, folder / name)
        start = float(frame["time_s"][0])
        listed.append(TrackFile(index, frame.height, start, name, part))
    return RecordingSummary(
        hash=member.hash,
        format=form,
        rows=sum(tracks.rows for _, tracks in parts),
        dropped_rows=sum(tracks.dropped_rows for _, tracks in parts),
        tracks=listed,
        reasons=[_of_part(part, item) for part, tracks in parts for item in tracks.reasons],
        channels=channel_stats(
            [frame for _, tracks in parts for frame in tracks.frames], task.numbers
        ),
        start=min((t.start for _, t in parts if t.start is not None), default=None),
        merged=sorted(edits.merged),
    )


def _of_part(part: str, item: Reason) -> Reason:
    return {**item, "where": f"{part}, {item['where']}"} if part else item


def _store_parts(
    task: Task, form: str, raw: Path, folder: Path, edits: LogEdits
) -> list[tuple[str, Tracks]]:
    """Read a log and write its media into `folder`; a log that trips a reader has no tracks.

    A library that decodes damaged bytes may raise anything. This affects this log only.

    Raises:
        OSError: the store cannot be read or written, which concerns every log.
    """
    try:
        return store_media(_read(task, form, raw, edits), folder)
    except Exception as error:
        if not is_fault_of_content(error):
            raise
        for path in folder.iterdir():
            path.unlink()
        expected = f"a log that the reader of {form} can read"
        fix = "report this fault of kinemill"
        where = ("format", "file", f"the reader of {form} failed: {spell_failure(error)}")
        return [("", Tracks([], 0, 0, [reason(*where, expected=expected, fix=fix)]))]


def _read(task: Task, form: str, raw: Path, edits: LogEdits) -> list[tuple[str, Tracks]]:
    """Read a log: the tracks of each of its parts, or of the nameless one that is all of it."""
    try:
        refuse_unsupported(task, raw)
        logs = read_edited(task, raw, edits, read_logs)
        return [(valid_text(log.part), make_tracks(log, task)) for log in logs]
    except Unreadable as error:
        reasons = error.reasons
    except BadLog as error:
        fix = error.fix or "correct the log"
        where = "file" if error.where == str(raw) else error.where
        expected = error.expected or f"a log that {form} can read"
        reasons = [reason("format", where, error.problem, expected=expected, fix=fix)]
    return [("", Tracks([], 0, 0, reasons))]


def read_logs(task: Task, path: Path) -> list[RawLog]:
    """Read a file in its format, without edits.

    Raises:
        Unreadable: It cannot be read as the task describes it.
    """
    return read_parts(readers(task)[recognize(task, path)], path, task)


def read_parts(reader: Reader, path: Path, task: Task) -> list[RawLog]:
    """Read a file once, or once for each experiment that `ingest.parts` names.

    A part has its own columns and its own clock, and becomes separate tracks. A part that cannot
    be read does not affect the others.

    Raises:
        Unreadable: No part can be read, all for the same reason.
    """
    if not task.ingest.parts:
        return _as_list(reader.read(path, task))
    logs = list[RawLog]()
    failed = list[Unreadable]()
    for part, sources in task.ingest.parts.items():
        try:
            part_logs = _as_list(reader.read(path, _task_of_part(task, sources)))
        except Unreadable as error:
            failed.append(error)
            logs.append(refused_part(part, [_name_part(item, part) for item in error.reasons]))
        else:
            logs += [replace(log, part=f"{log.part}/{part}".lstrip("/")) for log in part_logs]
    if len(failed) == len(logs) and all(failure.reasons == failed[0].reasons for failure in failed):
        raise failed[0]  # the fault is in the file, not in the parts
    return logs


def _as_list(logs: RawLog | list[RawLog]) -> list[RawLog]:
    return logs if isinstance(logs, list) else [logs]


def _task_of_part(task: Task, sources: Mapping[str, list[Source]]) -> Task:
    """Return the task with the columns of one part."""
    channels = {
        name: channel.model_copy(update={"source": sources.get(name, channel.source)})
        for name, channel in task.channels.items()
    }
    time = [source.name for source in sources.get("time", [])] or task.ingest.time
    ingest = task.ingest.model_copy(update={"time": time})
    return task.model_copy(update={"channels": channels, "ingest": ingest})


def _name_part(item: Reason, part: str) -> Reason:
    """Return the reason with the key that names the columns of the part in its fix."""
    channel = item["channel"]
    usual = f"`channels.{channel}.source`" if channel else "`ingest.time`"
    part_setting = f"`ingest.parts.{part}.{channel or 'time'}`"
    return {**item, "fix": (item["fix"] or "").replace(usual, part_setting)}
