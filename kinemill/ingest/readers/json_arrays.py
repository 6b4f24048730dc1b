"""JSON logs: one document of named arrays, `{"time": [...], "position": [...]}`.

Objects inside each other are groups (`imu/gyro[2]`), and a list of objects with arrays is a list
of episodes, `data(0)`. A list of objects without arrays is a table, one row each. `null` is a
missing value. A number such as `fs` or `dt` next to the arrays gives the rate of logs without
timestamps; texts and numbers at the top are metadata of the recording. An array of row objects
alone is read as JSON Lines are (`jsonl.py`), and reference motions by `motion_json.py`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from kinemill.ingest.name_heuristics import is_stamp
from kinemill.ingest.raw import About, ColumnAttributes, RawLog, Reader, Unreadable, reason
from kinemill.ingest.readers._arrays import Array, Values, damaged_file, unusable_array
from kinemill.ingest.readers._attributes import texts
from kinemill.ingest.readers._limits import parse_json
from kinemill.ingest.readers._tree import ArrayTree, labels_of, path_in, read_tree
from kinemill.ingest.readers.motion_json import KEYS
from kinemill.ingest.text_values import is_date, parse_dates
from kinemill.store import Json
from kinemill.task import Task
from kinemill.task.plugins import READERS

Content = Values | list[str] | str  # numbers (N, ...), texts (N,), or why an array is neither
_FEWEST_LABELS = 8  # of rows that show a frame
DEEPEST = 8  # depth of objects inside each other
_NUMBER = rb"(?:[-+]?\d[-+.\deE]*|null|NaN)"
# Numbers in an array. Possessive: a row of brackets would take seconds to backtrack.
_LONG = re.compile(rb"(?<!\[)\[[\s\[]*+(?:%b[\s,\[\]]++){32}" % _NUMBER)
_LABEL = re.compile(r"-?\d+(\.\d*)?(e-?\d+)?")  # of a row
# The first rows of a frame, an object with a number or an object under each label.
_FRAME = re.compile(rb'\{\s*"[^"{]+":\s*\{\s*"[^"{]+":\s*[-\d.n"]')
_DATES = re.compile(rb'\[\s*(?:"\d{4}-\d\d-\d\d[T ][^"]{5,24}",\s*){8}')
_OBJECTS = re.compile(r":\s*\[\s*(?=\{)")


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read the arrays that the task names, of each episode.

    Raises:
        Header: The task has no channels.
        Unreadable: The file is no JSON object, or is one episode without an array of a channel.
    """
    try:
        document = _Document(_parse(path))
    except RecursionError as error:
        raise damaged_file("JSON", error) from error
    return read_tree(document, task)


def _parse(path: Path) -> Json:
    content = parse_json(path)
    if not isinstance(content, dict):
        raise Unreadable(
            reason(
                "format",
                "file",
                f"JSON that is {_kind_of(content)}",
                expected="an object with an array for each channel, or an array of row objects",
                fix="write one array of numbers for each channel",
            )
        )
    return _of_frame(cast(Json, content))


def _of_frame(content: Json) -> Json:
    """Return a frame of pandas as named arrays: `to_json` writes objects by column or by row.

    Labels of rows that are no numbers of rows are the time.
    """
    inner = [value for value in content.values() if isinstance(value, dict)]
    if not 0 < len(inner) == len(content) or any(
        value.keys() != inner[0].keys() for value in inner
    ):
        return content
    names, labels = [*content], [*inner[0]]
    by_row = all(map(_is_label, names))
    if not by_row and not (len(labels) > 1 and all(map(_is_label, labels))):
        return content
    if by_row:
        names, labels = labels, names
    columns = {
        name: [row[name] for row in inner] if by_row else [*content[name].values()]
        for name in names
    }
    if labels == [str(row) for row in range(len(labels))]:
        return columns
    are_dates = any(map(is_date, labels))
    stamps = labels if are_dates else [float(label) for label in labels]
    return {"time": stamps, **columns}


def _is_label(name: str) -> bool:
    return _LABEL.fullmatch(name) is not None or is_date(name)


def _kind_of(content: object) -> str:
    if isinstance(content, list):
        return "an array without objects"
    return "a text" if isinstance(content, str) else "a single value"


class _Document(ArrayTree):
    """The arrays of a document, by the path of their names.

    Args:
        content: the object of the whole document.

    Raises:
        Unreadable: Objects are nested more than DEEPEST deep.
    """

    def __init__(self, content: Json) -> None:
        self._groups = list[str]()
        self.units = dict[str, ColumnAttributes]()
        self._contents, self._values = dict[str, Content](), dict[str, object]()
        self._add_object(content, "")
        declared = {name: _declared(values) for name, values in self._contents.items()}
        super().__init__(declared, self._groups)

    @property
    def clock(self) -> str:
        """The first array of dates, or the index of a frame that does not count its rows."""
        for name, values in self._contents.items():
            is_index = name.rpartition("/")[2] == "index" and isinstance(values, np.ndarray)
            if _are_dates(values) or (is_index and set(np.diff(cast(Values, values))) != {1}):
                return name
        return ""

    def number(self, group: str, name: str) -> float | None:
        value = self._values.get(path_in(group, name))
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
            return None
        return float(value)

    def texts(self, group: str, name: str) -> list[str] | None:
        path = path_in(group, name.removeprefix("@"))
        value = self._values.get(path)
        if isinstance(value, str):
            return [value]
        array = self._contents.get(path)
        return array if isinstance(array, list) else None

    def _add_object(self, content: Mapping[str, object], group: str) -> None:
        if group.count("/") >= DEEPEST:
            problem = f"objects inside each other, {group[:100]}"
            expected = f"at most {DEEPEST} of them"
            fix = "write the arrays of the channels nearer to the top"
            raise Unreadable(reason("format", "file", problem, expected=expected, fix=fix))
        for key, value in content.items():
            self._add(value, path_in(group, key))

    def _add(self, value: object, path: str) -> None:
        if isinstance(value, dict):
            self._groups.append(path)
            self._add_object(cast(dict[str, object], value), path)
        elif not isinstance(value, list):
            self._values[path] = value
        elif value and all(isinstance(item, dict) for item in value):
            self._add_objects(cast(list[dict[str, object]], value), path)
        else:
            self._contents[path] = _array_of(cast(list[object], value))

    def _add_objects(self, items: list[dict[str, object]], path: str) -> None:
        """Add a list of objects: a table of rows, or episodes if they hold long arrays."""
        if any(map(_has_arrays, items)):
            names = [str(item.get(key)) for key in _SIGNAL for item in items if key in item]
            if len({*names}) == len(items) == len(names) and self._add_signals(items, names, path):
                return
            for number, item in enumerate(items):
                self._add(item, f"{path}({number})")
            return
        rows = [dict(_flat(item)) for item in items]
        for key in dict.fromkeys(key for row in rows for key in row):
            self._contents[f"{path}/{key}"] = _array_of([row.get(key) for row in rows])

    def _add_signals(self, items: list[dict[str, object]], names: list[str], path: str) -> bool:
        """Add objects that hold the name and the values of a signal each; False for others."""
        lists = [{key: v for key, v in item.items() if isinstance(v, list)} for item in items]
        values = [[key for key in item if not is_stamp(key)] for item in lists]
        if any(len(keys) != 1 for keys in values):
            return False
        for item, arrays, name, (key,) in zip(items, lists, names, values, strict=True):
            stamps = arrays.keys() - {key}
            clocks = [arrays[stamp] for stamp in stamps]
            self._contents[f"{path}/{name}"] = _array_of(cast(list[object], arrays[key]))
            clock = (
                self._contents.setdefault(f"{path}/time", _array_of(clocks[0])) if clocks else ""
            )
            if clocks and not np.array_equal(clock, _array_of(clocks[0])):
                self._contents[f"{path}/{name}"] = "has a different clock than the first signal"
            unit = next((str(item[unit]) for unit in ("unit", "units") if unit in item), "")
            self.units |= {f"{path}/{name}": ColumnAttributes(unit=unit)} if unit else {}
        return True


_SIGNAL = ("name", "label", "signal", "channel")  # keys of the name of a signal
_LONGEST_VECTOR = 32  # numbers that a row holds under one name
_MOST_AXES = 4
_NAMES = {int: "numbers", float: "numbers", bool: "numbers", str: "texts", list: "arrays",
          dict: "objects"}  # fmt: skip


def _has_arrays(item: Mapping[str, object]) -> bool:
    """Return whether an object holds more than one row of numbers, anywhere inside."""
    for value in item.values():
        if isinstance(value, dict) and _has_arrays(cast(dict[str, object], value)):
            return True
        if isinstance(value, list) and value:
            items = cast(list[object], value)
            if len(items) > _LONGEST_VECTOR or isinstance(items[0], list | dict):
                return True
    return False


def _flat(item: Mapping[str, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the values of a row by path, `imu/rate` of `{"imu": {"rate": 1}}`."""
    for key, value in item.items():
        if isinstance(value, dict):
            yield from _flat(cast(dict[str, object], value), f"{above}{key}/")
        else:
            yield f"{above}{key}", value


def _array_of(values: list[object]) -> Content:
    """Return the numbers (N, ...) or texts (N,) of a JSON array, or why it cannot be a column."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return [str(value or "") for value in values]
    if kinds <= {int, float, bool}:
        return _numbers(values, kinds)
    if kinds != {list}:
        return f"holds {' and '.join(sorted({_NAMES[kind] for kind in kinds}))}"
    return _matrix_of(cast(list[list[object] | None], values))


def _matrix_of(rows: list[list[object] | None]) -> Content:
    """Return the numbers (N, C, ...) of a list of rows, or why they are no matrix."""
    widths = {len(row) for row in rows if row is not None}
    if len(widths) > 1:
        return "holds rows of different lengths"
    width = widths.pop()
    empty: list[object] = [None] * width
    flat = _array_of([value for row in rows for value in (row or empty)])
    if not isinstance(flat, np.ndarray):
        return flat if isinstance(flat, str) else "holds arrays of texts"
    if flat.ndim == _MOST_AXES:
        return f"holds arrays more than {_MOST_AXES} deep"
    return flat.reshape(len(rows), width, *flat.shape[1:])


def _numbers(values: list[object], kinds: set[type]) -> Values | str:
    exact = kinds == {int} and None not in values
    try:
        if exact and all(abs(value) < 2**63 for value in cast(list[int], values)):
            return np.array(values, dtype=np.int64)
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    except OverflowError:
        return "holds integers beyond the range of floating-point numbers"


def _declared(values: Content) -> Array:
    if isinstance(values, str):
        return unusable_array(values)
    if isinstance(values, list) and _are_dates(values):
        return Array((len(values),), np.dtype(np.int64), lambda: _nanoseconds(values))
    if isinstance(values, list):
        return Array((len(values),), np.dtype("U1"), lambda: np.array(values))
    return Array(values.shape, values.dtype, lambda: values)


def _are_dates(values: Content) -> bool:
    return isinstance(values, list) and all(map(is_date, values[:_FEWEST_LABELS]))


def _nanoseconds(dates: list[str]) -> Values:
    """Return dates (N,) as ns since 1970: Int64, or Float64 with NaN if some text is no date."""
    return parse_dates(pl.Series(dates)).to_numpy()


def _recognizes(head: bytes) -> bool:
    """Return whether a file begins as an object with a long array in it, or rows with timestamps.

    Settings and calibrations have short arrays, and lists of objects, but none of timestamps.
    """
    if not head.lstrip().startswith(b"{") or any(key in head for key in KEYS):
        return False
    if _FRAME.match(head.lstrip()) and _has_labels(head.decode("utf-8", "ignore")):
        return True
    return bool(_LONG.search(head) or _DATES.search(head)) or _has_rows(
        head.decode("utf-8", "ignore")
    )


def _has_labels(head: str) -> bool:
    """Return whether the first objects have labels of rows, in order."""
    keys = re.findall(r'[{,]\s*"([^"]+)":', head)
    labels = [key for key in keys if _is_label(key)]
    return len(labels) > _FEWEST_LABELS and len({*labels}) == len(labels)


def _has_rows(head: str) -> bool:
    decode = json.JSONDecoder().raw_decode
    for match in _OBJECTS.finditer(head):
        try:
            row, _ = decode(head, match.end())
        except (ValueError, RecursionError):
            continue
        if any(
            is_stamp(name.rpartition("/")[2]) or (isinstance(value, str) and is_date(value))
            for name, value in _flat(row)
        ):
            return True
    return False


def _describes(path: Path) -> bool:
    """Return whether the file is next to a log of the same name, such as `run.csv`."""
    readers = [reader for name in READERS if not (reader := READERS[name]).shared]
    return any(
        path.with_suffix(suffix).exists() for reader in readers for suffix in reader.suffixes
    )


def _attributes(path: Path) -> dict[str, str]:
    """Return the texts and numbers at the top of a document, also one object deep."""
    named = dict(_flat({k: v for k, v in _parse(path).items() if not isinstance(v, list)}))
    return texts((name.replace("/", "."), value) for name, value in named.items())


def read_names(path: Path, name: str) -> list[str]:
    """Return the texts of a list of a document; [] if it holds none under this name."""
    return _Document(_parse(path)).texts("", name) or []


def _about(path: Path) -> About:
    """Return the names that texts list for the columns of matrices, and the column of dates."""
    document = _Document(_parse(path))
    return About(labels_of(document), columns=document.units, clock=document.clock)


READERS.register("json_arrays")(
    Reader(
        (".json",),
        _recognizes,
        read,
        shared=True,
        describes=_describes,
        about=_about,
        attributes=_attributes,
    )
)
