"""Read logs for a measurement by the task's rules, without storing them.

Symbols: N rows, C channels (states, then actions).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.files import require_channels, scan
from kinemill.ingest.inspection import find_member, read_aside
from kinemill.ingest.membership import keep_raw
from kinemill.ingest.rows import read_rows
from kinemill.runtime import wrapped
from kinemill.runtime.window_metrics import Floats
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate.episodes import evaluate_into
from kinemill.verify.document import LogsFacts

SPLIT = "test"  # split of all episodes of such logs


@dataclass(frozen=True)
class Logs:
    """Logs outside the store.

    Attributes:
        path: the log, or the folder of logs.
        rows: their accepted episodes, all of the split `test`.
        accepted: names of the logs with an accepted episode.
        refused: names of the logs without one.
    """

    path: Path
    rows: PackedDataset
    accepted: tuple[str, ...]
    refused: tuple[str, ...]

    def facts(self) -> LogsFacts:
        """Return the logs for a document."""
        return LogsFacts(
            path=str(self.path),
            accepted=list(self.accepted),
            refused=list(self.refused),
            episodes=len(self.rows.episodes),
            rows=len(self.rows.values),
        )


def read_logs(task: Task, home: Home, path: Path) -> Logs:
    """Read a log, or a folder of logs, like ingest and validate; the home is read only.

    Args:
        task: its rules accept episodes.
        home: with decisions about known recordings.
        path: a log or a folder.

    Raises:
        BadInput: there is no such log, no episode is accepted, or the task declares no channels.
    """
    require_channels(task)
    if not path.exists():
        raise BadInput(path, "does not exist", expected="a log, or a folder of logs")
    logs = {path.name: path}
    if path.is_dir():
        logs = {log.name: log.path for log in scan(task, path).logs}
    accepted, refused, episodes, hashes = list[str](), list[str](), list[_Episode](), set[str]()
    for name, file in logs.items():
        read, hash_ = _read(task, home, name, file)
        (accepted if read else refused).append(name)
        if hash_ not in hashes:  # a copy is no second measurement
            episodes += read
        hashes.add(hash_)
    if not episodes:
        raise BadInput(
            path,
            f"holds no episode that {task.name} accepts, in {len(logs)} logs",
            fix=f"kinemill data check {path} --task {task.name} shows the reasons",
        )
    return Logs(path, _pack(task, episodes), tuple(accepted), tuple(refused))


def read_episode(task: Task, home: Home, which: str) -> Logs:
    """Read an episode of the home, or a whole recording, by the present rules of the task.

    Args:
        task: its rules accept episodes.
        home: with the raw bytes.
        which: id of an episode, or name or hash of a recording.

    Raises:
        BadInput: there is none, or no episode is accepted.
        CorruptArtifact: its raw bytes are missing or damaged.
    """
    member = find_member(task, home, which)
    raw, _ = keep_raw(home, member, None)
    episodes, _ = _read(task, home, member.name, raw)
    named = [episode for episode in episodes if episode.id == which] or episodes
    if not named:
        fix = f"kinemill data show {task.name} {member.hash[:16]}"
        raise BadInput(which, "holds no accepted episode", fix=fix)
    return Logs(Path(member.name), _pack(task, named), (member.name,), ())


@dataclass(frozen=True)
class _Episode:
    """An accepted episode and its rows, (rows, C), with its outputs, (rows, Y)."""

    id: str
    recording: str
    name: str
    rows: Floats
    outputs: Floats


def _read(task: Task, home: Home, name: str, path: Path) -> tuple[list[_Episode], str]:
    """Return the accepted episodes of one log, and its content hash."""
    hash_ = file_digest(path)
    decision = current_decisions(home, task.name).get(hash_)
    if (decision and decision.bars) or not task.ingest.wants(name):
        return [], hash_
    with TemporaryDirectory(prefix="kinemill-logs-") as scratch:
        folder = Path(scratch)
        recording = read_aside(task, home, path, folder)
        if not recording.summary.tracks:
            return [], hash_
        return [
            _Episode(entry.id, hash_, name, *_rows(task, folder / entry.file))
            for entry in evaluate_into(task, recording, folder).episodes
        ], hash_


def _rows(task: Task, file: Path) -> tuple[Floats, Floats]:
    """Return rows (N, C), angles without whole turns, as in datasets, and outputs (N, Y)."""
    angle = np.array([task.channels[name].kind == "angle" for name in task.columns])
    frame = read_rows(file, [*task.columns, *task.outputs])
    rows = frame.select(task.columns).to_numpy().astype(np.float64)
    outputs = frame.select(task.outputs).to_numpy().reshape(len(rows), -1)
    return rows - np.where(angle, rows[0] - wrapped(rows[0], angle), 0.0), outputs


def _pack(task: Task, episodes: list[_Episode]) -> PackedDataset:
    """Concatenate episodes."""
    packed, start = list[PackedEpisode](), 0
    for one in episodes:
        stop = start + len(one.rows)
        packed.append(PackedEpisode(one.id, one.recording, one.name, SPLIT, start, stop))
        start = stop
    parts = [one.rows for one in episodes]
    values = np.concatenate(parts)
    states = len(task.states)
    moved = np.concatenate([np.diff(part[:, :states], axis=0) for part in parts])
    statistics = values.mean(axis=0), values.std(axis=0), moved.std(axis=0)
    dataset = PackedDataset.of_task(task, packed, values.astype(np.float32), statistics)
    outputs = np.concatenate([one.outputs for one in episodes]).astype(np.float32)
    return replace(dataset, output_values=outputs)
