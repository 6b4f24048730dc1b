"""Registry of near-duplicates: which recordings are the same run.

When a recording is evaluated for the first time and repeats an earlier one, the note
`store/duplicates/<task>/<recording>.json` names its root: the root of the earliest recording that
it repeats. Notes never change, so later data move no episode to another split. Within one batch,
recordings are registered in the order of their hashes. The catalog holds a copy of the notes, so
that reading all of them opens no file.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

from kinemill.catalog.history import batches
from kinemill.catalog.sketches import enter_notes, read_notes
from kinemill.store import as_json, aside_of, from_json_value, read_json, to_json_value
from kinemill.store.atomic_write import Move, settle
from kinemill.store.fault_injection import fault_point
from kinemill.store.formats import Format
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.store.remote_sync import bring_new, send, withdraw
from kinemill.task import Task
from kinemill.validate.duplicates.index import BATCH, Duplicate, DuplicatePair, Sketched, open_index

FORMAT = Format("note on near-duplicates", 1)
MAX_PAIRS = 20  # listed pairs


@dataclass(frozen=True)
class DuplicatePairs:
    """The pairs of near-duplicates.

    Attributes:
        nearest: the pairs with the smallest distances.
    """

    total: int
    nearest: list[DuplicatePair]


@dataclass(frozen=True)
class DuplicateNote:
    """The stored note on a recording that repeats earlier ones.

    Attributes:
        recording: content hash.
        root: the recording that it belongs to; None if only its own parts repeat each other.
        parts: root of each of its parts that repeats another, as `recording/part`.
    """

    recording: str
    root: str | None
    parts: dict[str, str]

    @property
    def roots(self) -> dict[str, str]:
        """Root of the recording as a whole, under "", and of each of its parts."""
        return self.parts if self.root is None else {"": self.root, **self.parts}


def restore_duplicates(task: Task, home: Home, evaluated: Callable[[], Iterable[Sketched]]) -> bool:
    """Fill the index if it was lost or compares in another way now; return whether it was filled.

    No notes are published: those of earlier recordings are in the store. One transaction, so that
    a killed process leaves an empty index.
    """
    with lock(home, f"duplicates-{task.name}"), open_index(home, task) as index:
        if index.is_new:
            index.add(evaluated())
        return index.is_new


def register_duplicates(
    task: Task, home: Home, new: Iterable[Sketched], removed: Iterable[str] = ()
) -> None:
    """Add recordings to the index, and publish a note on each new near-duplicate.

    The function is idempotent. After a crash there are notes, which stay, or an index without the
    batch, which the next call adds.
    """
    fresh = sorted(new, key=lambda item: (item.recording, item.part))
    by_recording = (list(group) for _, group in groupby(fresh, key=lambda item: item.recording))
    with lock(home, f"duplicates-{task.name}"):
        bring_new(home, _folder(home, task.name))
        if hashes := list(removed):
            with open_index(home, task) as index:
                index.remove(hashes)
        for batch in batches(by_recording, BATCH):  # so that other tasks can write in between
            _register(task, home, [*chain.from_iterable(batch)])
        _enter_notes(home, task.name)


def find_pairs(task: Task, home: Home) -> DuplicatePairs:
    """Return the pairs of near-duplicates."""
    with open_index(home, task) as index:
        return DuplicatePairs(*index.pairs(MAX_PAIRS))


def duplicate_groups(home: Home, task: str) -> dict[str, str]:
    """Return the root of every recording that repeats another, and of every `recording/part`."""
    paths = _paths(home, task)
    copies = read_notes(home, task)
    groups: dict[str, str] = {}
    for recording in sorted(paths):
        roots = copies.get(recording) or _read(paths[recording]).roots
        for part, root in roots.items():
            groups[f"{recording}/{part}" if part else recording] = root
    return groups


def _enter_notes(home: Home, task: str) -> None:
    """Let the catalog hold the notes of the store and no others."""
    paths = _paths(home, task)
    copies = read_notes(home, task)
    new = paths.keys() - copies
    lost = copies.keys() - paths
    if new or lost:
        notes = {recording: _read(paths[recording]).roots for recording in sorted(new)}
        enter_notes(home, task, notes, lost)


def _paths(home: Home, task: str) -> dict[str, Path]:
    return {path.stem: path for path in _folder(home, task).glob("*.json")}


def forget_duplicates(home: Home, task: Task, recording: str) -> None:
    """Remove the note on a recording, and the recording from the index."""
    with lock(home, f"duplicates-{task.name}"):
        with open_index(home, task) as index:
            index.forget(recording)
        withdraw(home, path := _path(home, task.name, recording))
        path.unlink(missing_ok=True)
        enter_notes(home, task.name, {}, [recording])


def _folder(home: Home, task: str) -> Path:
    return home.store / "duplicates" / task


def _path(home: Home, task: str, recording: str) -> Path:
    return _folder(home, task) / f"{recording}.json"


def _read(path: Path) -> DuplicateNote:
    return from_json_value(FORMAT.open(path, read_json(path)), DuplicateNote, path)


def _register(task: Task, home: Home, fresh: Sequence[Sketched]) -> None:
    """Add recordings to the index, and publish their notes before that is committed."""
    with open_index(home, task) as index:
        registered = index.registered({item.recording for item in fresh})
        duplicates = index.add(fresh)
        notes: dict[Path, DuplicateNote] = {}
        for recording, units in groupby(fresh, key=lambda item: item.recording):
            by_part = {
                item.part: duplicates[item.unit] for item in units if item.unit in duplicates
            }
            path = _path(home, task.name, recording)
            if by_part and recording not in registered and not path.is_file():
                notes[path] = _make_note(home, task.name, recording, by_part, notes)
        _publish(home, notes)
        fault_point("duplicates.registered")


def _publish(home: Home, notes: Mapping[Path, DuplicateNote]) -> None:
    """Publish notes in one step, in the order in which they depend on each other."""
    moves: list[Move] = []
    try:
        for path, note in notes.items():
            moves.append(Move(aside_of(path), path))
            moves[-1].aside.write_bytes(as_json(FORMAT.stamp(to_json_value(note))))
        send(home, moves)
        settle(moves)
    finally:
        for move in moves:
            move.aside.unlink(missing_ok=True)


def _make_note(
    home: Home,
    task: str,
    recording: str,
    by_part: dict[str, list[Duplicate]],
    notes: Mapping[Path, DuplicateNote],
) -> DuplicateNote:
    """Return the note on a recording."""

    def note_of(duplicate: Duplicate) -> DuplicateNote:
        path = _path(home, task, duplicate.recording)
        if path in notes:
            return notes[path]
        return _read(path) if path.is_file() else DuplicateNote(duplicate.recording, None, {})

    parts: dict[str, str] = {}
    for part, (first, *_) in by_part.items():
        if part:
            roots = parts if first.recording == recording else note_of(first).parts
            parts[part] = roots.get(first.part, first.unit)
    candidates = [
        match for matches in by_part.values() for match in matches if match.recording != recording
    ]
    earliest = min(candidates, key=lambda match: match.number, default=None)
    root = (note_of(earliest).root or earliest.recording) if earliest else None
    return DuplicateNote(recording, root, parts)
