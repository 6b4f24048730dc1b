"""Which recordings are the same run once more: noted when a recording comes, and never changed.

When a recording is judged for the first time and repeats one that was known before, the note
`store/duplicates/<task>/<recording>.json` says with which one it belongs together: the root of the
earliest that it repeats. Because notes never change, data that comes later moves no episode from
one side of a split to the other. In one batch recordings come in the order of their hashes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from kinemill.store import as_json, aside_of, read_json
from kinemill.store.atomic_write import Move, settle
from kinemill.store.fault_injection import fault_point
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.store.remote_sync import bring_new, send, withdraw
from kinemill.task import Task
from kinemill.validate.duplicates.index import Duplicate, DuplicateIndex, Sketched, open_index
from kinemill.validate.duplicates.similarity import Json

FORMAT = Format("note on near-duplicates", 1)
MAX_PAIRS = 20  # pairs named


@dataclass(frozen=True)
class DuplicatePairs:
    """The pairs of recordings that are the same run.

    Attributes:
        total: number of pairs.
        nearest: the nearest of them: `{"pair": [name, name], "distance"}`.
    """

    total: int
    nearest: list[Json]


def register_duplicates(
    task: Task,
    home: Home,
    new: Iterable[Sketched],
    registered: Callable[[], Iterable[Sketched]],
    *,
    total: int,
    removed: Iterable[str] = (),
) -> DuplicatePairs:
    """Enter recordings into the index, and note of each that repeats another where it belongs.

    Asking again with the same recordings changes nothing. A crash leaves notes, which stay, or an
    index that lacks the batch, which is then entered the next time.

    Args:
        task: gives states, kinds and limits.
        home: where notes and index are.
        new: what was judged and was not known before; its order does not matter.
        registered: yields what was known before; asked only where the index lacks some;
            they are entered in that order.
        total: number that `registered` would yield.
        removed: hashes of recordings that no longer belong to the task.
    """
    fresh = sorted(new, key=lambda item: (item.recording, item.part))
    with lock(home, f"duplicates-{task.name}"), open_index(home, task) as index:
        bring_new(home, _folder(home, task.name))
        index.remove(removed)
        if index.anew or len(index) < total:
            index.add(registered())
        _register(task, home, index, fresh)
        fault_point("duplicates.registered")
        return DuplicatePairs(*index.pairs(MAX_PAIRS))


def duplicate_groups(home: Home, task: str) -> dict[str, str]:
    """Return the root of every recording that repeats another, and of every `recording/part`."""
    groups: dict[str, str] = {}
    for path in sorted(_folder(home, task).glob("*.json")):
        note = FORMAT.open(path, read_json(path))
        if note["root"] is not None:
            groups[note["recording"]] = note["root"]
        groups |= {f"{note['recording']}/{part}": root for part, root in note["parts"].items()}
    return groups


def forget_duplicates(home: Home, task: Task, recording: str) -> None:
    """Remove the note on a recording, and the recording from the index."""
    with lock(home, f"duplicates-{task.name}"), open_index(home, task) as index:
        index.forget(recording)
        withdraw(home, path := _path(home, task.name, recording))
        path.unlink(missing_ok=True)


def _folder(home: Home, task: str) -> Path:
    return home.store / "duplicates" / task


def _path(home: Home, task: str, recording: str) -> Path:
    return _folder(home, task) / f"{recording}.json"


def _register(task: Task, home: Home, index: DuplicateIndex, fresh: list[Sketched]) -> None:
    registered = {item.recording for item in fresh if index.knows(item.recording)}
    duplicates = index.add(fresh)
    notes: dict[Path, Json] = {}
    for recording, units in groupby(fresh, key=lambda item: item.recording):
        by_part = {item.part: duplicates[item.unit] for item in units if item.unit in duplicates}
        path = _path(home, task.name, recording)
        if by_part and recording not in registered and not path.is_file():
            notes[path] = _document(home, task.name, recording, by_part, notes)
    _publish(home, notes)


def _publish(home: Home, notes: Mapping[Path, Json]) -> None:
    """Publish notes together, in the order in which they build on each other."""
    moves: list[Move] = []
    try:
        for path, note in notes.items():
            moves.append(Move(aside_of(path), path))
            moves[-1].aside.write_bytes(as_json(note))
        send(home, moves)
        settle(moves)
    finally:
        for move in moves:
            move.aside.unlink(missing_ok=True)


def _document(
    home: Home,
    task: str,
    recording: str,
    duplicates: dict[str, list[Duplicate]],
    notes: Mapping[Path, Json],
) -> Json:
    """Return the note on a recording.

    Args:
        home: where notes are.
        task: name of it.
        recording: hash of it.
        duplicates: those of its parts, in the order of these.
        notes: those that are about to be published.
    """

    def read(duplicate: Duplicate) -> Json:
        path = _path(home, task, duplicate.recording)
        if path in notes:
            return notes[path]
        return FORMAT.open(path, read_json(path)) if path.is_file() else {"root": None, "parts": {}}

    parts: dict[str, str] = {}
    for part, (duplicate, *_) in duplicates.items():
        if part:
            roots = parts if duplicate.recording == recording else read(duplicate)["parts"]
            parts[part] = roots.get(duplicate.part, duplicate.unit)
    others = [
        duplicate
        for each in duplicates.values()
        for duplicate in each
        if duplicate.recording != recording
    ]
    earliest = min(others, key=lambda duplicate: duplicate.number, default=None)
    root = (read(earliest)["root"] or earliest.recording) if earliest else None
    return FORMAT.stamp({"recording": recording, "root": root, "parts": parts})
