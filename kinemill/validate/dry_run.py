"""Dry run of logs: the same code as ingest and validation, without writing into the home."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from kinemill.ingest import Recording
from kinemill.ingest.decisions import BARRED_STATUSES, current_decisions
from kinemill.ingest.file_stat import is_file
from kinemill.ingest.files import no_logs, require_channels, scan, why_unread
from kinemill.ingest.inspection import read_aside
from kinemill.ingest.log_digest import log_digest
from kinemill.ingest.membership import find_member
from kinemill.ingest.raw import Reason, reason
from kinemill.ingest.report import unread
from kinemill.ingest.rows import read_rows
from kinemill.store import Home, Json
from kinemill.store.json_io import valid_text
from kinemill.task import Task
from kinemill.validate.action_fit import comparable, find_action_faults
from kinemill.validate.duplicates.similarity import Course, course, duplicate_distances, sketch
from kinemill.validate.episodes import RecordingResult, evaluate_into
from kinemill.validate.results import find_unit_outliers, usual_stds


@dataclass(frozen=True)
class AcceptedEpisode:
    """An episode of a log that would be accepted.

    Attributes:
        id: recording hash and index.
        recording: content hash of the log.
        rows: number of time steps.
        start: first row in the recording.
        part: part of the recording; empty if the recording has one run.
        values: values (n,) by channel; empty unless the `learn` part of the task reads clips.
        extent: mean, largest magnitude, standard deviation, and standard deviation of the change
            per row of each numeric channel, (4, k).
        sample: values (n,) of states and actions where these change most, to compare logs.
    """

    id: str
    recording: str
    name: str
    rows: int
    start: int
    part: str
    values: dict[str, NDArray[np.float64]]
    extent: NDArray[np.float64]
    sample: dict[str, NDArray[np.float64]]


def dry_run(
    task: Task, home: Home, path: Path, accepted: list[AcceptedEpisode] | None = None
) -> list[Json]:
    """Return the entries of logs as the ingest report would list them.

    The home is only read. Accepted episodes are appended to `accepted`.

    Raises:
        BadInput: The file or folder does not exist, the folder has no log, or the task declares
            no channels.
    """
    require_channels(task)
    if is_file(path):
        return [dry_run_log(task, home, path, valid_text(path.name), accepted)]
    result = scan(task, path)
    logs = result.logs
    if not logs:
        raise no_logs(task, path, [f"{name}: {why}" for name, why in result.ignored.items()])
    return [
        dry_run_log(task, home, file_stat.path, file_stat.label, accepted) for file_stat in logs
    ]


def compare_logs(accepted: Sequence[AcceptedEpisode], task: Task) -> list[str]:
    """Return how logs differ from the others: in their actions, or in their units."""
    by_length = sorted(accepted, key=lambda episode: episode.rows)
    samples = {episode.name: episode.sample for episode in by_length}  # the longest of each log
    faults = [f"{fault.log}: {fault.what}" for fault in find_action_faults(samples, task)]
    statistics = {
        name: {f"{channel}:std": [float(np.nanstd(values))] for channel, values in rows.items()}
        for name, rows in samples.items()
    }
    usual = usual_stds([*statistics.values()], task)
    outliers = [
        outlier
        for name, stds in statistics.items()
        for outlier in find_unit_outliers(name, stds, usual, task)
    ]
    return [
        *faults,
        *(f"{item.recording}: {' and '.join(item.channels)}: {item.actual}" for item in outliers),
    ]


def find_copies(
    entries: Sequence[Json], accepted: Sequence[AcceptedEpisode], task: Task
) -> list[str]:
    """Return which logs are an earlier one in other bytes or under another name.

    Logs of the same run whose values or ends differ are near-duplicates, as in a run. Of a long
    episode, only the sample is compared value by value.
    """
    episodes = dict[str, list[AcceptedEpisode]]()
    for episode in accepted:
        episodes.setdefault(episode.recording, []).append(episode)
    files = dict[object, str]()  # of the first log with a content
    courses = dict[str, Course]()
    copies = list[str]()
    for entry in entries:
        file, hash_ = str(entry["file"]), entry["hash"]
        if not hash_:
            continue
        content = tuple(map(_content, episodes.get(hash_, []))) or hash_
        if content in files:
            copies.append(f"{file}: an exact copy of {files[content]}")
            continue
        files[content] = file
        if hash_ not in episodes or task.dataset.near_duplicates == "apart":
            continue
        new = course(sketch([episode.sample for episode in episodes[hash_]], task), task)
        distances = duplicate_distances(new, [*courses.values()]) if courses else []
        for earlier, distance in zip(courses, distances, strict=True):
            if distance is not None:
                apart = f"their states are {distance:.2g} of their deviation apart"
                copies.append(f"{file}: a near-duplicate of {earlier}: {apart}")
                break
        courses[file] = new
    return copies


def _content(episode: AcceptedEpisode) -> tuple[int, bytes, bytes]:
    values = sha256(np.stack([*episode.sample.values()]).tobytes()).digest()
    return episode.rows, episode.extent.tobytes(), values


def gives_nothing(entry: Json) -> bool:
    """Return whether a log has no accepted episode and no decision that excludes it."""
    is_excluded = any(item["check"] in BARRED_STATUSES for item in entry["reasons"])
    return not entry["episodes"] and not is_excluded


def dry_run_log(
    task: Task, home: Home, path: Path, name: str, accepted: list[AcceptedEpisode] | None
) -> Json:
    """Return the entry of one log; `name` is its name if it is not ingested yet."""
    try:
        hash_ = log_digest(task, path)
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
        result = RecordingResult(hash_)
        if recording.summary.tracks:
            result = evaluate_into(task, recording, Path(scratch))
        if accepted is not None:
            accepted += _accepted(task, name, Path(scratch), result)
    return _verdict(path, recording, result, is_ingested=member is not None)


def _accepted(
    task: Task, name: str, folder: Path, result: RecordingResult
) -> Iterator[AcceptedEpisode]:
    clip_channels = task.numbers if task.learn.reads_clips else []
    for episode in result.episodes:
        frame = read_rows(folder / episode.file, ["time_s", *task.numbers])
        start = round(float(frame["time_s"][0]) / task.dt)
        columns = {channel: frame[channel].to_numpy() for channel in clip_channels}
        rows = frame.select(task.numbers).to_numpy().astype(np.float64)
        change = np.diff(rows, axis=0).std(axis=0) if len(rows) > 1 else 0.0 * rows[0]
        extent = np.stack([rows.mean(axis=0), np.abs(rows).max(axis=0), rows.std(axis=0), change])
        sample = comparable({name: frame[name].to_numpy() for name in task.columns}, task)
        yield AcceptedEpisode(
            episode.id,
            result.hash,
            name,
            episode.rows,
            start,
            episode.part,
            columns,
            extent,
            sample,
        )


def _verdict(
    path: Path, recording: Recording, result: RecordingResult, *, is_ingested: bool
) -> Json:
    status = "known" if is_ingested else "episodes" if result.episodes else "quarantined"
    reasons = [*recording.summary.reasons, *result.reasons]
    rows = sum(episode.rows for episode in result.episodes)
    entry = _entry(path, recording.hash, status, reasons)
    lost = {"dropped_rows": result.dropped_rows, "dropped": result.dropped}
    counts = {"episodes": len(result.episodes), "rows": rows, **lost}
    return {**entry, **counts}


def _entry(path: Path, hash_: str | None, status: str, reasons: list[Reason]) -> Json:
    return {
        "file": valid_text(str(path)),
        "hash": hash_,
        "outcome": status,
        "episodes": 0,
        "rows": 0,
        "dropped_rows": 0,
        "dropped": {},
        "reasons": reasons,
    }


def _excluded_name(name: str) -> Reason:
    return reason(
        "patterns",
        "file",
        f"the name {name!r} is excluded",
        expected="a name that `ingest.include` and `ingest.exclude` accept",
        fix="change the patterns, or rename the log before its first ingest",
    )
