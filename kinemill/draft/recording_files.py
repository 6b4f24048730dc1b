"""Folders in which no file is a log: each recording is several files of different columns.

Names show which files belong together: `run1/u.csv` and `run1/y.csv`, or `run1_u.csv` and
`run1_y.csv`. Columns decide: files with the same columns are recordings.
"""

import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import NamedTuple

from kinemill.draft.joined_files import (
    MOST_FILES,
    JoinedTable,
    is_unnamed,
    short_names,
    table_by_row,
    write_joined,
)
from kinemill.draft.schema_inference import columns_of
from kinemill.errors import BadInput
from kinemill.ingest.clock import Floats
from kinemill.ingest.file_stat import read_file_stat
from kinemill.ingest.files import wait_for_settled
from kinemill.ingest.name_heuristics import guess, is_stamp
from kinemill.store import Json

AGE = 2.0  # s since the last change, from which a file is complete
DEPTH = 3  # words of a file name that are tried as the name of a quantity or recording


class RecordingFiles(NamedTuple):
    """The files of one recording.

    Attributes:
        name: of the recording.
        paths: its files, sorted.
        missing: names of files that most recordings have, and this one lacks.
    """

    name: str
    paths: list[Path]
    missing: list[str]


_Key = tuple[tuple[str, ...], str]  # recording and quantity of a file
_Columns = tuple[Mapping[str, Floats], list[str]]  # numbers, and names of other columns


def split_recordings(paths: Sequence[Path]) -> list[RecordingFiles]:
    """Return the files of each of several recordings, sorted; empty if they are not of several.

    Files are of one recording if their columns differ. The first recording decides for all.
    """
    for rule in _rules():
        groups = _groups({path: key for path in paths if (key := rule(path))})
        complete = [group for group in groups if not group.missing]
        if len(complete) > 1 and _method(complete[0].paths):
            return groups
    return []


def join_each(
    source: Path, paths: Sequence[Path], folder: Path, join: Callable[[Sequence[Path]], JoinedTable]
) -> Iterator[Json]:
    """Join the files of each of several recordings into a new CSV file.

    A log that exists does not change, and a recording that cannot be joined does not affect the
    others. Files that are still written are waited for, and refused if they do not settle.

    Args:
        source: file or folder that was named, for errors.
        paths: the files of all recordings.
        folder: receives the logs; it is made if it does not exist.
        join: joins the columns of the files of one recording.

    Yields:
        `recording`, `file` and `problem` (empty if the log exists), with `JoinedTable.summary` if
        it is new.

    Raises:
        BadInput: The files are not of several recordings.
    """
    recordings = split_recordings(paths)
    if not recordings:
        expected = "folders or names with one file for each quantity: run1/u.csv, or run1_u.csv"
        raise BadInput(source, "holds no recordings of several files", expected=expected)
    folder.mkdir(parents=True, exist_ok=True)
    targets = {recording.name: folder / f"{recording.name}.csv" for recording in recordings}
    new = [
        path
        for recording in recordings
        if not targets[recording.name].exists()
        for path in recording.paths
    ]
    stats = (read_file_stat(str(path.parent), path.name) for path in new)
    _, unstable = wait_for_settled([*filter(None, stats)], AGE)
    changing = {file_stat.path for file_stat in unstable}
    for recording in recordings:
        result = {"recording": recording.name, "file": str(targets[recording.name]), "problem": ""}
        try:
            if not targets[recording.name].exists():
                _refuse_incomplete(recording, changing)
                result |= write_joined(recording.paths, targets[recording.name], join).summary(
                    recording.paths
                )
        except BadInput as error:
            result["problem"] = str(error)
        yield result


def _refuse_incomplete(recording: RecordingFiles, changing: Set[Path]) -> None:
    """Check that all files of a recording exist and are complete.

    Raises:
        BadInput: One is missing, or still written.
    """
    if recording.missing:
        problem = f"lacks {', '.join(recording.missing)}, which most recordings have"
        raise BadInput(recording.paths[0].parent, problem)
    if unstable := sorted(changing & set(recording.paths)):
        raise BadInput(unstable[0], "is still written", fix="repeat the command later")


def join_hint(folder: Path, paths: Sequence[Path]) -> str | None:
    """Return the command that joins the files of one or several recordings of a folder, or None."""
    recordings = split_recordings(paths)
    if not recordings and len({path.parent for path in paths}) > 1:
        return None
    files = next(
        (recording.paths for recording in recordings if not recording.missing), list(paths)
    )
    if not (by := _method(files)):
        return None
    options = (" --each" if recordings else "") + (" --by time" if by == "time" else "")
    target = f"{folder.name}_joined{'' if recordings else '.csv'}"
    return f"join them: kinemill data join {shlex.quote(str(folder))}{options} --to {target}"


def _rules() -> Iterator[Callable[[Path], _Key | None]]:
    """Yield functions that return recording and quantity of a file by its name, or None."""
    yield lambda path: (path.parent.parts, path.name)
    depths = range(1, DEPTH + 1)
    for sign, is_quantity_last in ((-1, True), (1, True), (1, False)):
        for depth in depths:
            yield partial(_split_name, at=sign * depth, is_quantity_last=is_quantity_last)


def _split_name(path: Path, *, at: int, is_quantity_last: bool) -> _Key | None:
    words = [word for word in re.split(r"[^0-9A-Za-z]+", path.stem) if word]
    first = words[:at]
    last = words[at:]
    recording, quantity = (first, last) if is_quantity_last else (last, first)
    if not first or not last:
        return None
    return (*path.parent.parts, "_".join(recording)), "_".join(quantity) + path.suffix


def _groups(keys: Mapping[Path, _Key]) -> list[RecordingFiles]:
    """Return recordings with two or more of the quantities that most recordings have."""
    files = dict[tuple[str, ...], dict[str, Path]]()
    for path, (recording, quantity) in sorted(keys.items()):
        files.setdefault(recording, {})[quantity] = path
    counted = Counter(quantity for paths in files.values() for quantity in paths)
    used = sorted(quantity for quantity, count in counted.items() if 2 * count > len(files))
    if not 2 <= len(used) <= MOST_FILES:
        return []
    shared = _shared_length(list(files))
    return [
        RecordingFiles(
            "_".join(recording[shared:]),
            [paths[quantity] for quantity in used if quantity in paths],
            [quantity for quantity in used if quantity not in paths],
        )
        for recording, paths in files.items()
        if not paths.keys().isdisjoint(used)
    ]


def _shared_length(names: Sequence[tuple[str, ...]]) -> int:
    """Return the number of first parts that all names share, without the last part of any."""
    shortest = min(map(len, names)) - 1
    same = (len({name[at] for name in names}) == 1 for at in range(shortest))
    return next((at for at, is_same in enumerate(same) if not is_same), shortest)


def _method(paths: Sequence[Path]) -> str:
    """Return how files of one recording are joined, row or time; empty if they are not of one."""
    if not 1 < len(paths) <= MOST_FILES:
        return ""
    try:
        columns = dict(_until_repeated(paths))
    except (BadInput, OSError):
        return ""
    if len(columns) < len(paths) or not _may_be_parts(columns):
        return ""
    if all(any(map(is_stamp, (*numbers, *texts))) for numbers, texts in columns.values()):
        has_values = all(not all(map(is_stamp, numbers)) for numbers, _ in columns.values())
        return "time" if has_values else ""
    try:
        table_by_row({path: numbers for path, (numbers, _) in columns.items()})
    except BadInput:
        return ""
    return "row"


def _until_repeated(paths: Sequence[Path]) -> Iterator[tuple[Path, _Columns]]:
    """Yield the columns of files, and end before one that repeats a column: it is a recording."""
    names = set[str]()
    for path in paths:
        numbers, texts = columns_of(path)
        named = set[str]() if is_unnamed(numbers) else {n for n in numbers if not is_stamp(n)}
        if names & named:
            return
        names |= named
        yield path, (numbers, texts)


def _may_be_parts(columns: Mapping[Path, _Columns]) -> bool:
    """Return whether no file can be a recording, by the number and the meaning of its columns."""
    names_by_file = {
        path: [name for name in numbers if not is_stamp(name)]
        for path, (numbers, _) in columns.items()
    }
    is_plain = any(is_unnamed(names) and len(names) > 1 for names in names_by_file.values())
    if is_plain and not name_quantities(list(names_by_file)):
        return False  # recordings without headers
    return not all(
        {"action", "state"} <= {guess(name).role for name in names}
        for names in names_by_file.values()
    )


def name_quantities(paths: Sequence[Path]) -> bool:
    """Return whether files have the names of several quantities, such as x0, vx0, tau or time."""
    words = {re.sub(r"[\d_]+", "", name) for name in short_names(paths)}
    return sum(guess(word).what != "unknown" or is_stamp(word) for word in words) > 1
