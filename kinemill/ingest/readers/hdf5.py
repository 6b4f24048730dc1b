"""HDF5 logs: one file of one episode, or a group for each episode.

Groups called `episode_*` (Minari) or `data/demo_*` (robomimic) are episodes, or those that
`ingest.groups` names; otherwise the file is one episode. Sources are names of data sets below the
group, `observations/joint_pos[3]`. Nothing outside of the file is read: links to other files,
external storage and virtual data sets are refused. Images are read on demand, one block at a time;
texts are data sets of strings, or attributes as `@language`.
"""

import mmap
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from kinemill.ingest.raw import About, RawLog, Reader, Unreadable
from kinemill.ingest.readers._arrays import (
    Array,
    Values,
    damaged_file,
    decode_texts,
    only_number,
    size_problem,
    unusable_array,
)
from kinemill.ingest.readers._attributes import columns_of_hdf5, of_hdf5
from kinemill.ingest.readers._tree import labels_of, read_tree
from kinemill.task import Task
from kinemill.task.plugins import READERS

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# Global heaps: HDF5 File Format Specification 3.0, III.E
MASKS = "mask"  # group of splits
MOST_EPISODES = 100_000  # of a mask
_HEAP = b"GCOL\x01\x00\x00\x00"  # signature with version and three reserved bytes
_HEAP_HEADER = struct.Struct("<8sQ")  # signature, bytes of the heap
_HEAP_OBJECT = struct.Struct("<HHIQ")  # index (0: free space), references, reserved, bytes
_LENGTHS = 8  # bytes of sizes and addresses that all writers use
STARTS = (0, 512, 1024, 2048)  # offsets of the signature after a user block, in the first 4096
DEEPEST = 8  # depth of nested groups
MOST = 1_000_000  # objects that are read; groups can contain each other in cycles
CHUNK = 256 << 20  # bytes of one chunk, which is decompressed as a whole
TEXTS = 64 << 20  # bytes of texts in memory at a time, and characters of distinct texts
DAMAGE = (
    OSError,
    RuntimeError,
    KeyError,
    ValueError,
    TypeError,
    MemoryError,
    OverflowError,
    AttributeError,
)


def read(path: Path, task: Task) -> RawLog | list[RawLog]:
    """Read the data sets that the task names, of each episode.

    Raises:
        Unreadable: The file is damaged, or is one episode without a data set that the task names.
    """
    try:
        with open_file(path) as file:
            return read_tree(Hdf5(file), task)
    except DAMAGE as error:
        raise damaged_file("HDF5", error) from error


def open_file(path: Path) -> Any:
    """Return an open file of h5py, for reading."""
    import h5py

    return h5py.File(path, "r", locking=False)


class Hdf5:
    """The data sets of one open file, found through hard links only."""

    columns_first = False  # whether arrays are stored columns first

    def __init__(self, file: Any) -> None:
        self.file = file
        self._path = Path(file.filename)
        self._size = self._path.stat().st_size
        self._heaps_are_whole = False

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        """Yield the names of groups, as `Tree` states."""
        for name, item in self.walk(self.file, stop_at):
            if _is_group(item):
                yield name

    def arrays(self, group: str) -> dict[str, Array]:
        """Return the arrays below a group."""
        start = self.file[group] if group else self.file
        below = self.walk(start, lambda _: False)
        return {name: self.array(item) for name, item in below if not _is_group(item)}

    def number(self, group: str, name: str) -> float | None:
        """Return a number of a group, or None."""
        here = self.file.get(group) if group else self.file
        if not _is_group(here):
            return None
        if name in here.attrs:
            kind = here.attrs.get_id(name)
            numeric = kind.dtype.kind in "fiu" and kind.shape in ((), (1,), (1, 1))
            return float(np.asarray(here.attrs[name]).reshape(-1)[0]) if numeric else None
        return only_number(self.array(_reach(here, name))) if name in here else None

    def texts(self, group: str, name: str) -> list[str] | None:
        """Return the texts of a name of a group, or None."""
        here = self.file.get(group) if group else self.file
        if name.startswith("@") and (attribute := name[1:]) in getattr(here, "attrs", {}):
            kind = here.attrs.get_id(attribute)
            if not _is_text(kind.dtype, kind.shape):
                return None
            self._refuse_damaged_heaps(kind.dtype)
            return decode_texts(here.attrs[attribute])
        if not _is_group(here):
            return None
        item: Any = _reach(here, name) if name in here else None
        if _is_external(item) or not _is_text(item.dtype, item.shape):
            return None
        return self._texts(item)

    def _texts(self, item: Any) -> list[str]:
        """Read a data set of strings a few at a time: many may be equal and long."""
        array = Array(item.shape, item.dtype, lambda: item[...], int(item.id.get_storage_size()))
        if wrong := size_problem(item.name, array):
            raise Unreadable(wrong)
        self._refuse_damaged_heaps(item.dtype)
        step = max(1, TEXTS // max(1, self._size))
        unique = dict[str, str]()
        if item.shape == ():
            return decode_texts(item[()])
        texts: list[str] = []
        for start in range(0, item.shape[0], step):
            # Equal texts are stored once.
            texts += [
                unique.setdefault(string, string)
                for string in decode_texts(item[start : start + step])
            ]
            if sum(map(len, unique)) > TEXTS:
                message = f"more than {TEXTS} characters of text in {item.name}"
                raise ValueError(message)
        return texts

    def _refuse_damaged_heaps(self, dtype: np.dtype[np.generic]) -> None:
        """Check the heaps of strings; a damaged one makes the library loop forever."""
        if dtype.hasobject and not self._heaps_are_whole:
            if set(self.file.id.get_create_plist().get_sizes()) != {_LENGTHS}:
                message = f"its sizes and addresses are not {_LENGTHS} bytes long"
                raise ValueError(message)
            if trouble := damaged_heap(self._path):
                raise ValueError(trouble)
            self._heaps_are_whole = True

    def walk(self, start: Any, stop_at: Callable[[str], bool]) -> Iterator[tuple[str, Any]]:
        """Yield the objects below `start`, by relative name, and none below `stop_at` groups.

        A link that leaves the file, or might, is yielded as a text about it.
        """
        open_groups = [("", start)]
        n_objects = 0
        while open_groups:
            above, group = open_groups.pop()
            for name in group:
                path = f"{above}{name}"
                item = _reach(group, name)
                if (n_objects := n_objects + 1) > MOST or path.count("/") > DEEPEST:
                    message = f"more than {MOST} objects, or {DEEPEST} groups inside each other"
                    raise ValueError(message)
                yield path, item
                if _is_group(item) and not stop_at(path):
                    open_groups.append((f"{path}/", item))

    def array(self, item: Any) -> Array:
        """Return a data set as an array, rows first."""
        if trouble := _trouble(item):
            return unusable_array(trouble)
        shape = tuple(int(n) for n in item.shape)
        vector = self.columns_first and len(shape) == 2 and 1 in shape
        if vector:
            shape = (max(shape),)
        elif self.columns_first:
            shape = shape[::-1]

        def load() -> Values:
            values = _apply_scale(item, cast(Values, item[...]))
            return values.reshape(shape) if vector or not self.columns_first else values.T

        def rows(start: int, stop: int) -> Values:
            return _rows(self._path, name, start, stop)

        name = str(item.name)
        stored = int(item.id.get_storage_size())
        return Array(shape, item.dtype, load, stored, rows=None if self.columns_first else rows)


def _apply_scale(item: Any, values: Values) -> Values:
    """Return numbers that attributes of the CF conventions state as packed, else `values`."""
    stated = {
        key: np.asarray(item.attrs[key]).reshape(-1)[0]
        for key in ("scale_factor", "add_offset", "_FillValue")
        if key in item.attrs and item.attrs.get_id(key).dtype.kind in "iuf"
    }
    if values.dtype.kind not in "iuf" or not {"scale_factor", "add_offset"} & stated.keys():
        return values
    numbers = values * float(stated.get("scale_factor", 1.0)) + float(stated.get("add_offset", 0.0))
    return (
        np.where(values == stated["_FillValue"], np.nan, numbers)
        if "_FillValue" in stated
        else numbers
    )


def _rows(path: Path, name: str, start: int, stop: int) -> Values:
    """Read rows of a data set that was checked before.

    Raises:
        Unreadable: Their bytes are damaged.
    """
    try:
        with open_file(path) as file:
            item: Any = file[name]
            return cast(Values, item[start:stop])
    except DAMAGE as error:
        raise damaged_file("HDF5", error) from error


def _is_text(dtype: np.dtype[np.generic], shape: tuple[int, ...] | None) -> bool:
    import h5py

    fits = shape is not None and len(shape) <= 1
    return fits and (h5py.check_string_dtype(dtype) is not None or dtype.kind == "S")


def _reach(group: Any, name: str) -> Any:
    """Return the object of a name, or a text about a link that must not be followed."""
    import h5py

    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return f"is a link into another file, {link.filename!r}, which is not read"
    if isinstance(link, h5py.SoftLink):
        return f"is a soft link to {link.path!r}; name the data set by its own path"
    return group[name]


def _is_group(item: object) -> bool:
    import h5py

    return isinstance(item, h5py.Group)


def _trouble(item: object) -> str:
    """Return why an object, or the text of `_reach`, must not or cannot be read."""
    import h5py

    if isinstance(item, str):
        return item
    if not isinstance(item, h5py.Dataset) or item.shape is None:
        return "is not a data set with a shape"
    if _is_external(item):
        return "keeps its data in another file"
    if item.dtype.hasobject:
        return "holds text, references or arrays of various lengths, not numbers"
    chunk = int(np.prod(item.chunks, dtype=float)) * item.dtype.itemsize if item.chunks else 0
    return f"is stored in chunks of {chunk:.3g} bytes" if chunk > CHUNK else ""


def _is_external(item: object) -> bool:
    import h5py

    return not isinstance(item, h5py.Dataset) or item.is_virtual or bool(item.external)


def _recognizes(head: bytes) -> bool:
    starts = any(head[start:].startswith(SIGNATURE) for start in STARTS)
    return starts and not head.startswith(b"MATLAB")


def _about(path: Path) -> About:
    """Return units and valid ranges of the data sets, and the splits of `mask/` (robomimic).

    Raises:
        Unreadable: The file is damaged.
    """
    try:
        if trouble := damaged_heap(path):  # reading texts from it could loop forever
            raise ValueError(trouble)
        with open_file(path) as file:
            labels = labels_of(Hdf5(file))
            return About(labels, columns=columns_of_hdf5(file), splits=_splits(file))
    except DAMAGE as error:
        raise damaged_file("HDF5", error) from error


def _splits(file: Any) -> dict[str, list[str]]:
    """Return the names of the episodes that each data set of bytes in `mask/` lists."""
    import h5py

    masks = file.get(MASKS)
    if not _is_group(masks):
        return {}
    listed = {name: _reach(masks, name) for name in map(str, masks)}
    return {
        name: decode_texts(mask[()])
        for name, mask in listed.items()
        if isinstance(mask, h5py.Dataset) and mask.dtype.kind in "SO" and mask.ndim == 1
        if not _is_external(mask) and len(mask) <= MOST_EPISODES
    }


def _attributes(path: Path) -> dict[str, str]:
    with open_file(path) as file:
        return of_hdf5(file)


READERS.register("hdf5")(
    Reader(
        (".h5", ".hdf5", ".hdf", ".he5"), _recognizes, read, about=_about, attributes=_attributes
    )
)


def damaged_heap(path: Path) -> str | None:
    """Return a message about the first damaged global heap, which holds texts, or None.

    The library (2.0) follows the sizes of objects. A free block of size 0 makes it loop forever,
    and a huge one makes it read outside of the file.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start in _starts(content):
            _, size = _HEAP_HEADER.unpack_from(content, start)
            # The library itself refuses a heap that ends beyond the file.
            if start + size <= len(content) and not _is_whole(content, start, start + size):
                return f"the heap of texts at byte {start} is damaged"
    return None


def _starts(content: mmap.mmap) -> Iterator[int]:
    start = content.find(_HEAP)
    while 0 <= start <= len(content) - _HEAP_HEADER.size:
        yield start
        start = content.find(_HEAP, start + 1)


def _is_whole(content: mmap.mmap, start: int, stop: int) -> bool:
    """Return whether the objects of a heap fill it to its end."""
    offset = start + _HEAP_HEADER.size
    while offset + _HEAP_OBJECT.size <= stop:
        index, _, _, size = _HEAP_OBJECT.unpack_from(content, offset)
        used = size if index == 0 else _HEAP_OBJECT.size + (size + 7) // 8 * 8
        if used < _HEAP_OBJECT.size or offset + used > stop:
            return False
        offset += used
    return True
