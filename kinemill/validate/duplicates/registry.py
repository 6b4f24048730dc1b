"""Which recordings are the same run once more: noted when a recording comes, and never changed.

When a recording is judged for the first time and repeats one that was known before, the note
`store/twins/<task>/<recording>.json` says with which one it belongs together: the root of the
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
from kinemill.validate.duplicates.index import Sketched, Twin, TwinIndex, open_index
from kinemill.validate.duplicates.similarity import Json

FORMAT = Format("note on near-duplicates", 1)
SHOWN = 20  # pairs named


@dataclass(frozen=True)
class Repeats:
    """The pairs of recordings that are the same run.

    Attributes:
        total: number of pairs.
        shown: the nearest of them: `{"pair": [name, name], "distance"}`.
    """

    total: int
    shown: list[Json]


def note_twins(
    task: Task,
    home: Home,
    new: Iterable[Sketched],
    known: Callable[[], Iterable[Sketched]],
    *,
    total: int,
    gone: Iterable[str] = (),
) -> Repeats:
    """Enter recordings into the index, and note of each that repeats another where it belongs.

    Asking again with the same recordings changes nothing. A crash leaves notes, which stay, or an
    index that lacks the batch, which is then entered the next time.

    Args:
        task: gives states, kinds and limits.
        home: where notes and index are.
        new: what was judged and was not known before; its order does not matter.
        known: yields what was known before; asked only where the index lacks some;
            they are entered in that order.
        total: number that `known` would yield.
        gone: hashes of recordings that no longer belong to the task.
    """
    fresh = sorted(new, key=lambda item: (item.recording, item.part))
    with lock(home, f"twins-{task.name}"), open_index(home, task) as index:
        bring_new(home, _folder(home, task.name))
        index.remove(gone)
        if index.anew or len(index) < total:
            index.add(known())
        _note(task, home, index, fresh)
        fault_point("twins.noted")
        return Repeats(*index.pairs(SHOWN))


def twin_groups(home: Home, task: str) -> dict[str, str]:
    """Return the root of every recording that repeats another, and of every `recording/part`."""
    groups: dict[str, str] = {}
    for path in sorted(_folder(home, task).glob("*.json")):
        note = FORMAT.open(path, read_json(path))
        if note["root"] is not None:
            groups[note["recording"]] = note["root"]
        groups |= {f"{note['recording']}/{part}": root for part, root in note["parts"].items()}
    return groups


def forget_twins(home: Home, task: Task, recording: str) -> None:
    """Remove the note on a recording, and the recording from the index."""
    with lock(home, f"twins-{task.name}"), open_index(home, task) as index:
        index.forget(recording)
        withdraw(home, path := _path(home, task.name, recording))
        path.unlink(missing_ok=True)


def _folder(home: Home, task: str) -> Path:
    return home.store / "twins" / task


def _path(home: Home, task: str, recording: str) -> Path:
    return _folder(home, task) / f"{recording}.json"


def _note(task: Task, home: Home, index: TwinIndex, fresh: list[Sketched]) -> None:
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
    home: Home, task: str, recording: str, twins: dict[str, list[Twin]], notes: Mapping[Path, Json]
) -> Json:
    """Return the note on a recording.

    Args:
        home: where notes are.
        task: name of it.
        recording: hash of it.
        twins: those of its parts, in the order of these.
        notes: those that are about to be published.
    """

    def read(twin: Twin) -> Json:
        path = _path(home, task, twin.recording)
        if path in notes:
            return notes[path]
        return FORMAT.open(path, read_json(path)) if path.is_file() else {"root": None, "parts": {}}

    parts: dict[str, str] = {}
    for part, (twin, *_) in twins.items():
        if part:
            roots = parts if twin.recording == recording else read(twin)["parts"]
            parts[part] = roots.get(twin.part, twin.unit)
    others = [twin for each in twins.values() for twin in each if twin.recording != recording]
    earliest = min(others, key=lambda twin: twin.number, default=None)
    root = (read(earliest)["root"] or earliest.recording) if earliest else None
    return FORMAT.stamp({"recording": recording, "root": root, "parts": parts})
