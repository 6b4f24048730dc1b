"""History buffer: the history window of the last observed states and actions of a robot.

Symbols: H history, S states, A actions.
"""

from threading import Lock

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array

Rows = tuple[tuple[Array, Array | None], ...]


class HistoryBuffer:
    """The last H states with the actions applied at them.

    Threads may add rows while others read: a reader sees a consistent set of rows.

    Args:
        history: H.
        actions: A.
        rows: initial rows, oldest first, as in `HistoryBuffer.rows`.
    """

    def __init__(self, history: int, actions: int, rows: Rows = ()) -> None:
        self._history = history
        self._actions = actions
        self._write_lock = Lock()
        self._rows = rows  # replaced as a whole, never changed

    @property
    def rows(self) -> Rows:
        """The rows: a state (S,), and the action (A,) applied at it, or None if not known yet."""
        return self._rows

    def add(self, state: Array, action: Array | None) -> None:
        """Add a state (S,), and the action (A,) applied at it if known, in task units.

        Raises:
            BadInput: The action at the previous state is unknown.
        """
        with self._write_lock:
            if self._rows and self._rows[-1][1] is None:
                raise BadInput(
                    "observe",
                    "the action that led to this state is unknown",
                    fix="call apply(action) after each observe(state), or observe(state, action)",
                )
            self._rows = (*self._rows, (state, action))[-self._history :]

    def apply(self, action: Array) -> None:
        """Set the action (A,) applied at the last state, in task units.

        Raises:
            BadInput: No state was observed yet.
        """
        with self._write_lock:
            if not self._rows:
                raise BadInput("apply", "nothing was observed yet", fix="call observe(state) first")
            self._rows = (*self._rows[:-1], (self._rows[-1][0], action))

    def clear(self) -> None:
        """Drop all rows."""
        with self._write_lock:
            self._rows = ()

    @property
    def is_full(self) -> bool:
        """Whether the buffer holds H rows."""
        return len(self._rows) == self._history

    def repeat(self, batch: int) -> tuple[Array, Array]:
        """Return states (B, H, S) and the actions between them (B, H-1, A), each row B times.

        Both are in task units.

        Raises:
            BadInput: Fewer than H rows were observed.
        """
        rows = self._rows
        if len(rows) < self._history:
            problem = f"{len(rows)} observed"
            expected = f"{self._history} states"
            raise BadInput("predict", problem, expected=expected)
        # The action of the newest row is left out: the sequences to predict replace it.
        past = [action for _, action in rows[:-1] if action is not None]
        actions = np.zeros((self._history - 1, self._actions), dtype=np.float32)
        # With a history of 1 `past` is empty, and an empty list would not have the shape (0, A).
        actions[:] = past if past else actions
        states = np.stack([state for state, _ in rows])
        return _repeat(states, batch), _repeat(actions, batch)


def _repeat(rows: Array, batch: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(rows, (batch, *rows.shape)))
