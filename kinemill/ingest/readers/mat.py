"""MATLAB logs: `.mat` files of versions 5 to 7 and 7.3, one array for each name.

A row or column vector is a channel under its own name; column k of a matrix, counted from 0, is
`x[k]`; a matrix with a channel in each row is transposed; a field of a struct is `s/field`. `Ts`
or `dt` (s), or `fs` (Hz), give the time of logs without timestamps. If a file holds no other
arrays, the elements of an array of structs are episodes, `runs(1)`, and so are those of cells,
`(1)`; not in files of version 7.3. Objects are not read.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path

from kinemill.ingest.raw import RawLog, Reader
from kinemill.ingest.readers._arrays import Array, damaged_file, only_number
from kinemill.ingest.readers._mat5 import arrays
from kinemill.ingest.readers._tree import read_tree
from kinemill.ingest.readers.hdf5 import read_file
from kinemill.task import Task
from kinemill.task.plugins import READERS

HDF5 = b"MATLAB 7.3"
_ELEMENT = re.compile(r"([^/]*\(\d+\))/")  # of an array of structs, or of cells


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read the arrays that the task names.

    Raises:
        Unreadable: The file is damaged, declares more than it holds, or lacks an array.
    """
    with path.open("rb") as file:
        head = file.read(len(HDF5))
    if head == HDF5:
        return read_file(path, task, "MATLAB", columns_first=True)
    try:
        return read_tree(_Mat(path), task)
    except (OSError, ValueError, MemoryError, zlib.error) as error:
        raise damaged_file("MATLAB", error) from error


class _Mat:
    """The variables of a file of versions 5 to 7."""

    def __init__(self, path: Path) -> None:
        self._arrays = dict(arrays(path))

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        del stop_at
        if not any(prod(array.shape) > 1 for array in self.arrays("").values()):
            matches = {name: _ELEMENT.match(name) for name in self._arrays}
            yield from dict.fromkeys(
                match[1]
                for name, match in matches.items()
                if match and prod(self._arrays[name].shape) > 1
            )

    def arrays(self, group: str) -> dict[str, Array]:
        if not group:
            return {name: array for name, array in self._arrays.items() if not _ELEMENT.match(name)}
        below = f"{group}/"
        nested = {name: array for name, array in self._arrays.items() if name.startswith(below)}
        return {name.removeprefix(below): array for name, array in nested.items()}

    def number(self, group: str, name: str) -> float | None:
        return only_number(self._arrays.get(f"{group}/{name}" if group else name))

    def texts(self, group: str, name: str) -> list[str] | None:
        del group, name  # MATLAB stores text as character codes
        return None


READERS.register("mat")(Reader((".mat",), lambda head: head.startswith(b"MATLAB "), read))
