"""Any logs as something to measure on: read and judged by the task's rules, kept nowhere.

Symbols: N rows, C channels (states, then actions).
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.errors import BadInput
from kinemill.ingest.decisions import decided
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

SPLIT = "test"  # the episodes of logs that are judged are all of this split


@dataclass(frozen=True)
class Logs:
    """Logs that were read aside.

    Attributes:
        where: the log, or the folder of logs.
        rows: their accepted episodes, all of the split `test`.
        taken: names of the logs with an accepted episode.
        refused: names of the logs without one.
    """

    where: Path
    rows: PackedDataset
    taken: tuple[str, ...]
    refused: tuple[str, ...]


def read_logs(task: Task, home: Home, where: Path) -> Logs:
    """Read a log, or a folder of logs, as ingest and validate would; the home is only looked at.

    Args:
        task: how logs are read and judged.
        home: where they may be known, and decided about, already.
        where: a log or a folder.

    Raises:
        BadInput: there is no such log, nothing of it is accepted, or the task declares no channels.
    """
    require_channels(task)
    if not where.exists():
        raise BadInput(where, "is not there", expected="a log, or a folder of logs")
    found = {where.name: where}
    if where.is_dir():
        found = {sight.name: sight.path for sight in scan(task, where).logs}
    taken, refused, pieces, seen = list[str](), list[str](), list[_Piece](), set[str]()
    for name, path in found.items():
        read, hash_ = _read(task, home, name, path)
        (taken if read else refused).append(name)
        if hash_ not in seen:  # a copy is no second measurement
            pieces += read
        seen.add(hash_)
    if not pieces:
        raise BadInput(
            where,
            f"holds no log of which {task.name} accepts a stretch; {len(found)} looked at",
            fix=f"kinemill data check {where} --task {task.name} says why",
        )
    return Logs(where, _pack(task, pieces), tuple(taken), tuple(refused))


def read_episode(task: Task, home: Home, which: str) -> Logs:
    """Read an episode that the home knows, or all of a recording, judged by the present rules.

    Args:
        task: how its episodes were read and judged.
        home: where its raw bytes are.
        which: id of an episode, or name or hash of a recording.

    Raises:
        BadInput: there is none, or nothing of it is accepted.
        CorruptArtifact: its raw bytes are gone or damaged.
    """
    member = find_member(task, home, which)
    raw, _ = keep_raw(home, member, None)
    pieces, _ = _read(task, home, member.name, raw)
    named = [piece for piece in pieces if piece.id == which] or pieces
    if not named:
        fix = f"kinemill data show {task.name} {member.hash[:16]}"
        raise BadInput(which, "holds nothing that is accepted", fix=fix)
    return Logs(Path(member.name), _pack(task, named), (member.name,), ())


@dataclass(frozen=True)
class _Piece:
    """An accepted episode and its rows, (rows, C)."""

    id: str
    recording: str
    name: str
    rows: Floats


def _read(task: Task, home: Home, name: str, path: Path) -> tuple[list[_Piece], str]:
    """Return the accepted episodes of one log, and its content hash."""
    hash_ = file_digest(path)
    decision = decided(home, task.name).get(hash_)
    if (decision and decision.bars) or not task.ingest.wants(name):
        return [], hash_
    with TemporaryDirectory(prefix="kinemill-logs-") as scratch:
        folder = Path(scratch)
        recording = read_aside(task, home, path, folder)
        judged = evaluate_into(task, recording, folder) if recording.summary["tracks"] else {}
        return [
            _Piece(entry["id"], hash_, name, _rows(task, folder / entry["file"]))
            for entry in judged.get("episodes", [])
        ], hash_


def _rows(task: Task, file: Path) -> Floats:
    """Return rows (rows, C), angles without whole turns, as datasets have them."""
    angle = np.array([task.channels[name].kind == "angle" for name in task.columns])
    frame = read_rows(file, task.columns)
    rows = frame.select(task.columns).to_numpy().astype(np.float64)
    return rows - np.where(angle, rows[0] - wrapped(rows[0], angle), 0.0)


def _pack(task: Task, pieces: list[_Piece]) -> PackedDataset:
    """Lay episodes one after the other."""
    packed, start = list[PackedEpisode](), 0
    for piece in pieces:
        stop = start + len(piece.rows)
        packed.append(PackedEpisode(piece.id, piece.recording, piece.name, SPLIT, start, stop))
        start = stop
    parts = [piece.rows for piece in pieces]
    values = np.concatenate(parts)
    states = len(task.states)
    moved = np.concatenate([np.diff(part[:, :states], axis=0) for part in parts])
    statistics = values.mean(axis=0), values.std(axis=0), moved.std(axis=0)
    return PackedDataset.describing(task, packed, values.astype(np.float32), statistics)
