"""Buffer pool: memory pages for the rows of large logs, reused from one log to the next.

New pages are cleared by the system, which takes as long as to fill them.
"""

import sys
from threading import local
from typing import Any

import numpy as np

LEAST = 1 << 17  # numbers; less is not worth it


class _ThreadBuffer(local):
    """The largest array that the thread has asked for."""

    def __init__(self) -> None:
        self.array = np.empty(0)


_buffer = _ThreadBuffer()


def borrow_array(shape: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return an array (k, n) of whatever numbers: the thread's last one, if nobody refers to it."""
    size = shape[0] * shape[1]
    if size < LEAST:
        return np.empty(shape)
    # Views refer to the array that they are of, so that none is left if this is all there are.
    unused = sys.getrefcount(_buffer.array) == _ALONE
    if not unused or _buffer.array.size < size:
        _buffer.array = np.empty(size)
    return _buffer.array[:size].reshape(shape)


_ALONE = sys.getrefcount(_buffer.array)
