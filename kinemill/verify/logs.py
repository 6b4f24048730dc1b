"""Read logs for a measurement with the rules of the task, without storing them.

Symbols: N rows, C channels (states, then actions).
"""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.aux_arrays import Media, open_aux
from kinemill.dataset.media import MediaSet
from kinemill.dataset.segments import Segment
from kinemill.errors import BadInput
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.files import require_channels, scan
from kinemill.ingest.inspection import find_member, read_aside
from kinemill.ingest.log_digest import log_digest
from kinemill.ingest.membership import keep_raw
from kinemill.ingest.rows import read_rows
from kinemill.runtime import Floats, whole_turns
from kinemill.store import Home
from kinemill.task import Task
from kinemill.validate.episodes import evaluate_into
from kinemill.verify.document import LogsFacts

SPLIT = "test"  # every episode of such logs is in this split


@dataclass(frozen=True)
class Logs:
    """Logs outside the store.

    Attributes:
        path: the log, or the folder of logs.
        rows: accepted episodes, all in the split `test`.
        accepted: names of the logs with an accepted episode.
        refused: names of the logs without an accepted episode.
        media: images, texts, observations and rewards; None without such channels.
        scratch: folder of `media`, which is deleted together with this object.
    """

    path: Path
    rows: PackedDataset
    accepted: tuple[str, ...]
    refused: tuple[str, ...]
    media: MediaSet | None = None
    scratch: TemporaryDirectory[str] | None = field(default=None, repr=False)

    def facts(self) -> LogsFacts:
        """Return the description of the logs as a part of a document."""
        return LogsFacts(
            path=str(self.path),
            accepted=list(self.accepted),
            refused=list(self.refused),
            episodes=len(self.rows.episodes),
            rows=len(self.rows.values),
        )


def read_logs(task: Task, home: Home, path: Path) -> Logs:
    """Read a log, or a folder of logs, like ingest and validate; the home is not changed.

    Raises:
        BadInput: The log does not exist, no episode is accepted, or the task declares no channels.
    """
    require_channels(task)
    if not path.exists():
        raise BadInput(path, "does not exist", expected="a log, or a folder of logs")
    logs = {path.name: path}
    if path.is_dir():
        logs = {log.name: log.path for log in scan(task, path).logs}
    accepted = list[str]()
    refused = list[str]()
    episodes = list[_Episode]()
    hashes = set[str]()
    scratch = TemporaryDirectory(prefix="kinemill-logs-")
    for number, (name, file) in enumerate(logs.items()):
        read, hash_ = _read(task, home, name, file, Path(scratch.name, str(number)))
        (accepted if read else refused).append(name)
        if hash_ not in hashes:  # a copy of a log is not an independent measurement
            episodes += read
        hashes.add(hash_)
    if not episodes:
        raise BadInput(
            path,
            f"has no episode that {task.name} accepts, in {len(logs)} logs",
            fix=f"kinemill data check {path} --task {task.name} shows the reasons",
        )
    rows = _pack(task, episodes)
    media = _media(task, home, episodes, rows, Path(scratch.name))
    return Logs(path, rows, tuple(accepted), tuple(refused), media, scratch)


def read_episode(task: Task, home: Home, which: str) -> Logs:
    """Read an episode of the home, or a whole recording, with the current rules of the task.

    `which` is the id of an episode, or name or hash of a recording.

    Raises:
        BadInput: It does not exist, or no episode is accepted.
        CorruptArtifact: The raw bytes are missing or damaged.
    """
    member = find_member(task, home, which)
    raw, _ = keep_raw(home, member, None)
    scratch = TemporaryDirectory(prefix="kinemill-logs-")
    episodes, _ = _read(task, home, member.name, raw, Path(scratch.name, "0"))
    named = [episode for episode in episodes if episode.id == which] or episodes
    if not named:
        fix = f"kinemill data show {task.name} {member.hash[:16]}"
        raise BadInput(which, "has no accepted episode", fix=fix)
    rows = _pack(task, named)
    media = _media(task, home, named, rows, Path(scratch.name))
    return Logs(Path(member.name), rows, (member.name,), (), media, scratch)


@dataclass(frozen=True)
class _Episode:
    """An accepted episode.

    Attributes:
        recording: content hash of its log.
        name: name of its log.
        file: file with its rows, which may be deleted already.
        rows: states and actions, (N, C), in units; angles are continuous, as in datasets.
        extra_channels: one row per step; images and texts are references to files.
    """

    id: str
    recording: str
    name: str
    file: Path
    rows: Floats
    extra_channels: pl.DataFrame


def _read(
    task: Task, home: Home, name: str, path: Path, folder: Path
) -> tuple[list[_Episode], str]:
    """Read one log into `folder`; return its accepted episodes and its content hash."""
    hash_ = log_digest(task, path)
    decision = current_decisions(home, task.name).get(hash_)
    if (decision and decision.bars) or not task.ingest.wants(name):
        return [], hash_
    folder.mkdir()
    recording = read_aside(task, home, path, folder)
    episodes = evaluate_into(task, recording, folder).episodes if recording.summary.tracks else []
    read = [_read_episode(task, entry.id, hash_, name, folder / entry.file) for entry in episodes]
    if not task.media or not read:
        shutil.rmtree(folder)  # all rows are in memory; only images and texts are read from disk
    return read, hash_


def _read_episode(task: Task, id_: str, hash_: str, name: str, file: Path) -> _Episode:
    angle = np.array([task.channels[column].kind == "angle" for column in task.columns])
    frame = read_rows(file, task.recorded)
    rows = frame.select(task.columns).to_numpy().astype(np.float64)
    # As in datasets, an angle starts within half a turn. One offset keeps the episode continuous.
    rows -= whole_turns(rows[0], angle)
    return _Episode(id_, hash_, name, file, rows, frame.drop(task.columns))


def _pack(task: Task, episodes: list[_Episode]) -> PackedDataset:
    """Concatenate episodes."""
    packed = list[PackedEpisode]()
    start = 0
    for episode in episodes:
        stop = start + len(episode.rows)
        packed.append(
            PackedEpisode(episode.id, episode.recording, episode.name, SPLIT, start, stop)
        )
        start = stop
    parts = [episode.rows for episode in episodes]
    values = np.concatenate(parts)
    states = len(task.states)
    # Within episodes: from the end of one to the start of the next there is no time step.
    moved = np.concatenate([np.diff(part[:, :states], axis=0) for part in parts])
    statistics = values.mean(axis=0), values.std(axis=0), moved.std(axis=0)
    dataset = PackedDataset.of_task(task, packed, [values.astype(np.float32)], statistics)
    outputs = [
        episode.extra_channels.select(task.outputs).to_numpy().reshape(len(episode.rows), -1)
        for episode in episodes
    ]
    return replace(dataset, output_values=np.concatenate(outputs).astype(np.float32))


def _media(
    task: Task, home: Home, episodes: list[_Episode], rows: PackedDataset, folder: Path
) -> MediaSet | None:
    """Write the additional channels to `folder` in the format of a dataset."""
    writer = open_aux(task, folder)
    if writer is None:
        return None
    segment = Segment("logs", rows.total_rows)
    writer.open(segment.key, segment.rows)
    for episode, packed in zip(episodes, rows.episodes, strict=True):
        rows_of_episode = slice(packed.start, packed.stop)
        writer.add(
            rows_of_episode, packed.recording, packed.name, episode.extra_channels, episode.file
        )
    writer.finish([segment])
    media = Media.read(folder)
    assert media is not None
    recordings = {episode.recording: episode.file.parent for episode in episodes}
    return MediaSet(
        home, folder, media, {episode.id: episode for episode in rows.episodes}, recordings
    )
