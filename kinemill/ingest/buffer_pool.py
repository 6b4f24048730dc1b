"""Buffer pool: memory for the rows of large logs, reused from one log to the next.

The system clears new pages, which takes as long as filling them.
"""

import sys
from threading import local

import numpy as np
from numpy.typing import NDArray

LEAST = 1 << 17  # numbers; smaller arrays are not pooled


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
