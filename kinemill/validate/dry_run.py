"""Dry run of a log: the same code as an ingest, outside of the home.

Nothing is written into the home, and no log becomes known by being looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.ingest import Recording
from kinemill.ingest.decisions import BARRED_STATUSES, current_decisions
from kinemill.ingest.file_stat import is_file
from kinemill.ingest.files import require_channels, scan, why_unread
from kinemill.ingest.inspection import read_aside
from kinemill.ingest.membership import find_member
from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.report import unread
from kinemill.ingest.rows import read_rows
from kinemill.store import Json, file_digest
from kinemill.store.home import Home
from kinemill.store.json_io import valid_text
from kinemill.task import Task
from kinemill.validate.episodes import evaluate_into


@dataclass(frozen=True)
class AcceptedEpisode:
    """An episode of a log that would be accepted.

    Attributes:
        id: recording hash and index.
        recording: content hash of the log.
        name: name of the log.
        rows: number of time steps.
        start: row of the recording that it begins with.
        part: part of the recording; empty where that is one.
        values: values (n,) by channel; empty where the task's `learn` part needs none.
        extent: mean, largest size, deviation, and deviation of the change from row to row of each
            number of the task, (4, k).
    """

    id: str
    recording: str
    name: str
    rows: int
    start: int
    part: str
    values: dict[str, NDArray[Any]]
    extent: NDArray[np.float64]


def dry_run(
    task: Task, home: Home, path: Path, accepted: list[AcceptedEpisode] | None = None
) -> list[Json]:
    """Return the entries that logs would get under `files` in the report, with their episodes.

    Args:
        task: how they would be read and judged.
        home: where they may be known already; only looked at.
        path: a log, or a folder of logs.
        accepted: the accepted episodes are appended to it.

    Raises:
        BadInput: there is no such file or folder, the folder holds no log, or the task declares
            no channels.
    """
    require_channels(task)
    if is_file(path):
        return [_dry_run_log(task, home, path, valid_text(path.name), accepted)]
    logs = scan(task, path).logs
    if not logs:
        raise BadInput(path, f"holds no log that {task.name} wants", fix="name one or more logs")
    return [
        _dry_run_log(task, home, file_stat.path, file_stat.label, accepted) for file_stat in logs
    ]


def gives_nothing(entry: Json) -> bool:
    """Return whether a log gives no episode, unless a person decided to leave it out."""
    decided_so = any(item["check"] in BARRED_STATUSES for item in entry["reasons"])
    return not entry["episodes"] and not decided_so


def _dry_run_log(
    task: Task, home: Home, path: Path, name: str, accepted: list[AcceptedEpisode] | None
) -> Json:
    """Return the entry of one log that would be called `name` at first sight."""
    try:
        hash_ = file_digest(path)
    except OSError as error:
        return _entry(path, None, "unstable", [unread(why_unread(error))])
    member = find_member(home, task.name, hash_)
    decision = current_decisions(home, task.name).get(hash_)
    if decision and decision.bars:
        return _entry(path, hash_, "known", [decision.reason(task.name)])
    name = member.name if member else name
    if not task.ingest.wants(name):
        return _entry(path, hash_, "known" if member else "quarantined", [_excluded_name(name)])
    with TemporaryDirectory(prefix="kinemill-check-") as scratch:
        recording = read_aside(task, home, path, Path(scratch))
        evaluated = (
            evaluate_into(task, recording, Path(scratch)) if recording.summary["tracks"] else {}
        )
        if accepted is not None:
            accepted += _accepted(task, name, hash_, Path(scratch), evaluated.get("episodes", []))
    return _verdict(path, recording, evaluated, is_ingested=member is not None)


def _accepted(
    task: Task, name: str, hash_: str, folder: Path, episodes: list[Json]
) -> Iterator[AcceptedEpisode]:
    clip_channels = task.numbers if task.learn.reads_clips else []
    for episode in episodes:
        frame = read_rows(folder / episode["file"], ["time_s", *task.numbers])
        start, part = round(float(frame["time_s"][0]) / task.dt), str(episode.get("part", ""))
        columns = {own: frame[own].to_numpy() for own in clip_channels}
        rows = frame.select(task.numbers).to_numpy().astype(np.float64)
        change = np.diff(rows, axis=0).std(axis=0) if len(rows) > 1 else 0.0 * rows[0]
        extent = np.stack([rows.mean(axis=0), np.abs(rows).max(axis=0), rows.std(axis=0), change])
        yield AcceptedEpisode(
            episode["id"], hash_, name, episode["rows"], start, part, columns, extent
        )


def _verdict(path: Path, recording: Recording, evaluated: Json, *, is_ingested: bool) -> Json:
    episodes = evaluated.get("episodes", [])
    status = "known" if is_ingested else "episodes" if episodes else "quarantined"
    reasons = [*recording.summary["reasons"], *evaluated.get("reasons", [])]
    entry = _entry(path, recording.hash, status, reasons)
    rows = sum(episode["rows"] for episode in episodes)
    return {**entry, "episodes": len(episodes), "rows": rows}


def _entry(path: Path, hash_: str | None, status: str, reasons: list[Reason]) -> Json:
    return {
        "file": valid_text(str(path)),
        "hash": hash_,
        "outcome": status,
        "episodes": 0,
        "rows": 0,
        "reasons": reasons,
    }


def _excluded_name(name: str) -> Reason:
    return reason(
        "patterns",
        "file",
        f"the name {name!r} is not wanted",
        expected="a name that `ingest.include` and `exclude` admit",
        fix="change the patterns, or the name before it is first read",
    )
