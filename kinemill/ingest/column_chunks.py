"""Column chunks: a channel in the pieces in which it was read, and the buffer pool of all channels.

Concatenating a long log takes as long as reading all of it, in new memory. Functions that work in
blocks avoid that. The buffer pool reuses the memory for the rows of large logs from one log to the
next: the system clears new pages, which takes as long as filling them.
"""

import sys
from collections.abc import Sequence
from threading import local
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LEAST = 1 << 17  # numbers; smaller arrays are not pooled

Floats = np.ndarray[Any, np.dtype[np.float64]]


class ChunkedColumn:
    """A channel (n,), n at least one; `np.asarray` concatenates it."""

    def __init__(self, parts: Sequence[Floats]) -> None:
        self._parts = [part for part in parts if len(part)]
        self._starts = np.cumsum([0, *map(len, self._parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Floats:
        del copy
        return np.concatenate(self._parts, dtype=dtype)

    def __getitem__(self, rows: slice) -> Floats:
        """Return some rows as one array."""
        start, stop, _ = rows.indices(len(self))
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = max(int(np.searchsorted(self._starts, stop)), first + 1)
        slices = [
            part[max(start - at, 0) : max(stop - at, 0)]
            for part, at in zip(self._parts[first:last], self._starts[first:last], strict=False)
        ]
        return slices[0] if len(slices) == 1 else np.concatenate(slices)

    def value_range(self) -> float:
        """Return the largest value minus the smallest; NaN if a row is NaN."""
        high, low = ([getattr(part, of)() for part in self._parts] for of in ("max", "min"))
        return float(np.max(high) - np.min(low))


class _ThreadBuffer(local):
    """The largest array that the thread has requested."""

    def __init__(self) -> None:
        self.array = np.empty(0)


_buffer = _ThreadBuffer()


def borrow_array(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return an uninitialized array (k, n): the buffer of the thread, if nothing refers to it."""
    size = shape[0] * shape[1]
    if size < LEAST:
        return np.empty(shape)
    # Each view holds a reference to its base array, so this count shows that no view is left.
    unused = sys.getrefcount(_buffer.array) == _ALONE
    if not unused or _buffer.array.size < size:
        _buffer.array = np.empty(size)
    return _buffer.array[:size].reshape(shape)


_ALONE = sys.getrefcount(_buffer.array)
