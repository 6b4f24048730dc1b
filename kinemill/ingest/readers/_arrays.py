"""Arrays as files declare them, their columns, and sizes that are refused without reading.

Symbols: N rows, C columns of an array.
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from kinemill.ingest.raw import TIME, Reason, Unreadable, elements, reason

Values = np.ndarray[Any, np.dtype[Any]]

LARGEST = 2 << 30  # bytes that the arrays of one part may declare
SMALL = 64 << 20  # bytes that an array may declare however little of it is stored
_OF_THE_MACHINE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES}
DENSEST = 1100  # declared bytes per stored byte; deflate reaches 1032
WIDEST = 4096  # columns of an array that are listed
SIGNATURES = b"\xff\xd8\xff", b"\x89PNG"  # first bytes of JPEG and PNG
WIDE = 10  # least ratio of columns to rows of a matrix whose columns are rows of the log


@dataclass(frozen=True)
class Array:
    """An array as its file declares it, rows first.

    Attributes:
        shape: (N,), (N, C), or another one, which then cannot be a channel.
        dtype: type of its elements.
        load: function that reads all of it, in the declared shape, while the file is open.
        stored: bytes that it takes in the file; None if the file does not state them.
        trouble: why it cannot be read, such as `is a link to another file`; else empty.
        rows: function (start, stop) that reads a range of rows, also after the file was closed;
            None if only `load` can read it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], Values]
    stored: int | None = None
    trouble: str = ""
    rows: Callable[[int, int], Values] | None = None

    @property
    def size(self) -> int:
        """Declared bytes."""
        return prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True)
class Column:
    """One column of one array.

    Attributes:
        name: source of a channel, such as `x[3]`.
        array: the array.
        index: number of the column, or name of the field; None: all of a vector.
        trouble: why it cannot be a channel; else empty.
    """

    name: str
    array: Array
    index: int | str | None = None
    trouble: str = ""

    def take(self, values: Values) -> Values:
        """Return the column (N,) of the values of the array, (N,) or (N, C)."""
        if self.index is None:
            return values.reshape(-1)
        return values[self.index] if isinstance(self.index, str) else values[:, self.index]


def rows_first(arrays: dict[str, Array]) -> dict[str, Array]:
    """Return arrays by name, with matrices (C, N) that hold a channel in each row as (N, C).

    MATLAB users often store a channel as a row of a matrix. The lengths of vectors, such as the
    time, show which axis is time. Without vectors, all matrices have to be far wider than high.
    """
    shapes = [
        array.shape
        for array in arrays.values()
        if not array.trouble and not _no_number(array.dtype)
    ]
    lengths = {
        prod(shape) for shape in shapes if len(shape) in (1, 2) and max(shape) == prod(shape) > 1
    }
    matrices = [shape for shape in shapes if len(shape) == 2 and min(shape) > 1]
    are_wide = not lengths and all(WIDE * high < width for high, width in matrices)

    def is_transposed(array: Array) -> bool:
        if len(array.shape) != 2 or array.trouble or _no_number(array.dtype):
            return False
        high, width = array.shape
        is_wide = are_wide or (width in lengths and high not in lengths)
        return 1 < high < width and is_wide

    return {
        name: replace(
            array, shape=array.shape[::-1], load=lambda load=array.load: load().T, rows=None
        )
        if is_transposed(array)
        else array
        for name, array in arrays.items()
    }


def columns_of(name: str, array: Array) -> list[Column]:
    """Return the columns of an array (N,) or (N, C); any other array is one unusable column."""
    if array.trouble:
        return [Column(name, array, trouble=array.trouble)]
    if array.dtype.names:
        fields = [(name_, array.dtype[name_]) for name_ in array.dtype.names[:WIDEST]]
        inner = [
            Column(f"{name}[{field}]" if name else field, array, field, _no_number(kind))
            for field, kind in fields
        ]
        whole = Column(name, array, trouble=f"has fields; name one, such as {inner[0].name!r}")
        return [whole, *inner] if name else inner
    if trouble := _no_number(array.dtype) or _no_column(array):
        return [Column(name, array, trouble=trouble)]
    if len(array.shape) == 1:
        return [Column(name, array)]
    width = array.shape[1]
    trouble = "" if width == 1 else f"has {width} columns; name one, such as `{name}[0]`"
    inner = elements(name, min(width, WIDEST))
    return [
        Column(name, array, trouble=trouble),
        *(Column(element, array, index) for index, element in enumerate(inner)),
    ]


def _no_number(dtype: np.dtype[np.generic]) -> str:
    if dtype.kind in "SU":
        return "holds text; a channel of it has `role: text`"
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        return f"holds {dtype}; numbers of at most 64 bits alone can be channels"
    return "" if not dtype.shape else f"holds arrays of shape {dtype.shape}"


def _no_column(array: Array) -> str:
    shape = array.shape
    if array.dtype == np.uint8 and len(shape) > 2:
        return f"holds images, {shape}; a channel of them has `role: image`"
    if is_encoded(array):
        return f"holds encoded images, {shape}; a channel of them has `role: image`"
    if len(shape) not in (1, 2):
        return f"has the shape {shape}" if shape else "is one number, not one for each row"
    return ""


def is_encoded(array: Array) -> bool:
    """Return whether the rows of an array (N, bytes) are JPEG or PNG, padded to the same length."""
    if array.dtype != np.uint8 or len(array.shape) != 2 or array.rows is None or not array.size:
        return False
    return array.rows(0, 1).tobytes().startswith(SIGNATURES)


def check_columns(columns: dict[str, Column]) -> None:
    """Check that columns can be channels, and that their declared sizes are plausible.

    Args:
        columns: column of each channel, and of the timestamps.

    Raises:
        Unreadable: A column is unusable or too large; each one has a reason.
    """
    reasons = [
        reason(
            "number",
            f"array {column.name!r}",
            column.trouble,
            channel=None if name == TIME else name,
            expected="one number for each row",
            fix="name another array at `source`, or write the log with one",
        )
        for name, column in columns.items()
        if column.trouble
    ]
    arrays = {id(column.array): column for column in columns.values() if not column.trouble}
    reasons += [
        problem
        for column in arrays.values()
        if (problem := size_problem(column.name, column.array))
    ]
    total = sum(column.array.size for column in arrays.values())
    if total > LARGEST and not reasons:
        reasons.append(_too_large("file", total))
    if reasons:
        raise Unreadable(*reasons)


def size_problem(name: str, array: Array, largest: int = LARGEST) -> Reason | None:
    """Return the reason if the declared size of an array (...), in bytes, is implausible, or None.

    It is if it exceeds `largest`, or is far larger than its stored bytes.
    """
    where = f"array {name!r}"
    if array.size > largest:
        return _too_large(where, array.size, largest)
    if array.stored is None or array.size <= max(SMALL, DENSEST * array.stored):
        return None
    return reason(
        "size",
        where,
        f"declares {array.size:.3g} bytes, of which {array.stored} are stored",
        expected=f"at least 1 stored byte for {DENSEST} declared ones",
        fix="the file is damaged or was never filled; record it again",
    )


def _too_large(where: str, size: int, largest: int = LARGEST) -> Reason:
    return reason(
        "size",
        where,
        f"declares {size:.3g} bytes",
        expected=f"at most {largest:.3g} for all channels of an episode",
        fix="cut the log into shorter files, or name fewer channels",
    )


def damaged_file(what: str, error: BaseException) -> Unreadable:
    """Return the error for a file whose content does not match its format.

    Raises:
        OSError: The machine caused the error, such as a full memory. An error about the file would
            quarantine an intact log permanently, because artifacts are kept by content.
    """
    if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
        raise error
    first = (str(error).splitlines() or ["no message"])[0][:200]
    return Unreadable(
        reason(
            "format",
            "file",
            f"is not a complete {what} file ({type(error).__name__}: {first})",
            expected="a file that other programs can read",
            fix="copy it from the robot again",
        )
    )


def unusable_array(trouble: str) -> Array:
    """Return an array (0,) that stands for one that cannot be read, with the reason."""
    return Array((0,), np.dtype(np.float64), lambda: np.empty(0), trouble=trouble)


def read_texts(array: Array) -> list[str] | None:
    """Return the texts of an array (N,) or of one element; None if it holds no texts.

    Raises:
        Unreadable: Its declared size is implausible.
    """
    if array.trouble or array.dtype.kind not in "SU" or len(array.shape) > 1:
        return None
    if wrong := size_problem("of texts", array):
        raise Unreadable(wrong)
    return decode_texts(array.load())


def decode_texts(values: object) -> list[str]:
    """Return texts, or bytes in UTF-8, of an array of any shape (...) or of one element."""
    items = np.asarray(values, dtype=object).reshape(-1).tolist()
    return [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in items
    ]


def only_number(array: Array | None) -> float | None:
    """Return the number of an array with one element, of any shape (...); None for other arrays."""
    if array is None or array.trouble or array.dtype.kind not in "fiu" or prod(array.shape) != 1:
        return None
    return float(array.load().reshape(-1)[0])
