"""MATLAB logs: `.mat` files of versions 5 to 7 and 7.3, one array for each name.

A row or column vector is a channel under its own name; column k of a matrix, counted from 0, is
`x[k]`; a matrix with a channel in each row is transposed; a field of a struct is `s/field`. `Ts`
or `dt` (s), or `fs` (Hz), give the time of logs without timestamps. If a file holds no other
arrays, the elements of an array of structs are episodes, `runs(1)`, and so are those of cells,
`(1)`; not in files of version 7.3. Objects are not read. Structs that hold the name and the data of
a signal, as measurement and simulation tools write them, are arrays of that name.
"""

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.ingest.name_heuristics import is_stamp
from kinemill.ingest.raw import About, ColumnAttributes, RawLog, Reader
from kinemill.ingest.readers._arrays import Array, damaged_file, unusable_array
from kinemill.ingest.readers._mat5 import FIELDS, TEXT_MARK, arrays
from kinemill.ingest.readers._tree import ArrayTree, labels_of, path_in, read_tree
from kinemill.ingest.readers.hdf5 import DAMAGE, Hdf5, open_file
from kinemill.task import Task
from kinemill.task.plugins import READERS

HDF5 = b"MATLAB 7.3"
_REFERENCES = "#refs#"  # group of the elements of structs and cells
LONGEST_TEXT = 4096  # bytes
_NAMES = ("Name", "name", "label", "signalName", "SignalName", "blockName")
_VALUES = ("Data", "data", "Values", "values")
_PORT = re.compile(r"(out|in|value|output|input)\d*", re.IGNORECASE)  # of a block
_TIME = "Time"
_UNITS = ("Unit", "unit", "Units", "units")
NO_ARRAY = "is a MATLAB text, not an array"
_FIELD = re.compile(r"(?:\(\d+\)/(.+)|(.+)\(\d+\))/([^/]+)")  # of a struct in a cell or an array
_ELEMENT = re.compile(r"([^/]*\(\d+\))/")  # of an array of structs, or of cells


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read the arrays that the task names.

    Raises:
        Unreadable: The file is damaged, declares more than it holds, or lacks an array.
    """
    with path.open("rb") as file:
        head = file.read(len(HDF5))
    try:
        if head == HDF5:
            with open_file(path) as file:
                return read_tree(_Mat73(file), task)
        return read_tree(_Mat(path), task)
    except (*DAMAGE, zlib.error) as error:
        raise damaged_file("MATLAB", error) from error


class _Mat(ArrayTree):
    """The variables of a file of versions 5 to 7."""

    def __init__(self, path: Path) -> None:
        listed, self.units, self._texts = _by_signal(dict(arrays(path)))
        super().__init__(listed)

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        """Yield the elements of an array of structs, or of cells, if there are no other arrays."""
        del stop_at
        if not any(prod(array.shape) > 1 for array in self.arrays("").values()):
            matches = {name: _ELEMENT.match(name) for name in self.listed}
            yield from dict.fromkeys(
                match[1]
                for name, match in matches.items()
                if match and prod(self.listed[name].shape) > 1
            )

    def arrays(self, group: str) -> dict[str, Array]:
        """Return the arrays below a group; those of elements are no arrays of the file."""
        below = super().arrays(group)
        return {name: array for name, array in below.items() if group or not _ELEMENT.match(name)}

    def texts(self, group: str, name: str) -> list[str] | None:
        """Return the texts of a name of a group, or None."""
        return self._texts.get(path_in(group, name))


class _Mat73(Hdf5):
    """The variables of a file of version 7.3, which is HDF5.

    The elements of an array of structs, and of a cell, are references, one data set for each field.
    """

    columns_first = True

    def arrays(self, group: str) -> dict[str, Array]:
        return self.signals(group)[0]

    def texts(self, group: str, name: str) -> list[str] | None:
        return self.signals()[2].get(path_in(group, name))

    def signals(
        self, group: str = ""
    ) -> tuple[dict[str, Array], dict[str, str], dict[str, list[str]]]:
        """Return the arrays below a group by name, the units that they state, and their texts."""
        return _by_signal(dict(self._listed(self.file[group] if group else self.file)))

    def _listed(self, start: Any) -> Iterator[tuple[str, Array]]:
        import h5py

        for name, item in self.walk(start, lambda group: group == _REFERENCES):
            if isinstance(item, h5py.Group) or name == _REFERENCES:
                continue
            is_set = isinstance(item, h5py.Dataset) and h5py.check_ref_dtype(item.dtype) is not None
            if not is_set or prod(item.shape) > FIELDS:
                yield name, self._text_or_array(item)
                continue
            owner, _, field = name.rpartition("/")
            elements = [self.file[reference] for reference in item[...].reshape(-1) if reference]
            for number, element in enumerate(elements, start=1):
                yield f"{owner}({number})/{field}", self._text_or_array(element)

    def _text_or_array(self, item: Any) -> Array:
        is_text = getattr(item, "attrs", {}).get("MATLAB_class") == b"char"
        array = self.array(item)
        if not is_text or array.trouble or array.size > LONGEST_TEXT:
            return array
        codes = array.load()
        rows = codes.tolist() if codes.ndim == 2 else [codes.reshape(-1).tolist()]
        return unusable_array(TEXT_MARK + "\n".join("".join(map(chr, r)).strip() for r in rows))


def _short_names(paths: dict[str, str]) -> dict[str, str]:
    """Return the last part of each path of a signal by owner: `angle` of `Model/angle/Out1`.

    Signals of one recording with the same last part keep their whole paths.
    """
    parts = {owner: [part for part in path.split("/") if part] for owner, path in paths.items()}
    short = {
        owner: ([part for part in names if not _PORT.fullmatch(part)] or names or [""])[-1].strip()
        for owner, names in parts.items()
    }
    counts = Counter((owner.partition("(")[0], name) for owner, name in short.items())
    return {
        owner: name if counts[owner.partition("(")[0], name] == 1 else paths[owner]
        for owner, name in short.items()
    }


def _by_signal(
    listed: dict[str, Array],
) -> tuple[dict[str, Array], dict[str, str], dict[str, list[str]]]:
    """Return arrays by name of the signal that a struct holds, their units, and texts by name.

    dSPACE ControlDesk writes `rec/Y(3)/Name` next to `rec/Y(3)/Data`, and time as `rec/X/Data`;
    Simulink `s/signals(2)/label` next to `s/signals(2)/values`, a timeseries its `Time` and `Data`.
    """
    listed = _with_usual_fields(listed)
    texts = _texts_in(listed)
    lists = _lists_of(texts)
    result = {name: unusable_array(NO_ARRAY) for name in lists if "/" not in name}
    units = dict[str, str]()
    named = {name.rpartition("/")[0] for name in texts
             if texts[name] and name.rpartition("/")[2] in _NAMES}  # fmt: skip
    # ScopeData of Simulink has the name of its block next to the time, and no values.
    owners = {
        name: "" for name in sorted(named) if any(f"{name}/{field}" in listed for field in _VALUES)
    }
    for owner in owners:
        owners[owner] = next(text for key in _NAMES if (text := texts.get(f"{owner}/{key}")))
    owners = _short_names(owners)
    has_clock = any(name.endswith("/X/Data") for name in listed)
    for name, array in listed.items():
        owner, _, field = name.rpartition("/")
        signal = owners.get(owner, "")
        signal = "time" if not signal and has_clock and owner.endswith("X") else signal
        if field in _VALUES and not array.trouble and signal and signal not in result:
            result[signal] = array
            unit = next(
                (texts[f"{owner}/{key}"] for key in _UNITS if f"{owner}/{key}" in texts), ""
            )
            units |= {signal: unit} if unit else {}
        elif field == _TIME and signal:
            clock = result.setdefault("time", array)
            if clock is not array and not np.array_equal(clock.load(), array.load()):
                result[f"{signal}/time"] = array
        elif owner not in owners and name not in texts:
            result[name] = array
    return result, units, lists


def _texts_in(listed: dict[str, Array]) -> dict[str, str]:
    return {
        name: array.trouble.removeprefix(TEXT_MARK)
        for name, array in listed.items()
        if array.trouble.startswith(TEXT_MARK)
    }


def _with_usual_fields(listed: dict[str, Array]) -> dict[str, Array]:
    """Return arrays of structs with the usual names of their fields: Name, Data, Unit and Time.

    The name of a signal is the text that differs in all elements, and its data are the only vector
    of each, apart from its time.
    """
    texts = _texts_in(listed)
    usual = dict[str, str]()
    roots: dict[str, dict[str, list[str]]] = {}
    for name in listed:
        if match := _FIELD.fullmatch(name):
            roots.setdefault(match[1] or match[2], {}).setdefault(match[3], []).append(name)
    for fields in roots.values():
        most = max(map(len, fields.values()))
        whole = {field: names for field, names in fields.items() if len(names) == most > 1}
        vectors = [f for f, names in whole.items() if all(prod(listed[n].shape) > 1 for n in names)]
        stamps = [field for field in vectors if is_stamp(field)]
        named = [f for f, names in whole.items() if len({texts.get(n, "") for n in names}) == most]
        values = [field for field in vectors if field in _VALUES or field not in stamps]
        if named and len(values) == 1:
            first = next((field for field in named if field in _NAMES), named[0])
            kinds = {first: _NAMES[0], values[0]: _VALUES[0], **dict.fromkeys(stamps, _TIME)}
            kinds |= {field: _UNITS[0] for field in whole if field.capitalize() in _UNITS}
            usual |= {
                name: f"{name.rpartition('/')[0]}/{kind}"
                for field, kind in kinds.items()
                for name in whole[field]
            }
    return {usual.get(name, name): array for name, array in listed.items()}


def _lists_of(texts: dict[str, str]) -> dict[str, list[str]]:
    """Return the lines of texts by name, and the texts of the elements of a cell."""
    lists = {name: text.split("\n") for name, text in texts.items() if not _ELEMENT.match(name)}
    for name, text in texts.items():
        if _ELEMENT.match(name):
            lists.setdefault(_ELEMENT.sub("", name), []).append(text)
    return lists


def about(path: Path) -> About:
    """Return the units that recordings of signals state, and the names of columns of matrices."""
    with path.open("rb") as file:
        head = file.read(len(HDF5))
    try:
        if head == HDF5:
            with open_file(path) as opened:
                units = _Mat73(opened).signals()[1]
                labels = labels_of(_Mat73(opened))
        else:
            mat = _Mat(path)
            units = mat.units
            labels = labels_of(mat)
    except (*DAMAGE, zlib.error) as error:
        raise damaged_file("MATLAB", error) from error
    return About(
        labels, columns={name: ColumnAttributes(unit=unit) for name, unit in units.items()}
    )


READERS.register("mat")(
    Reader((".mat",), lambda head: head.startswith(b"MATLAB "), read, about=about)
)
