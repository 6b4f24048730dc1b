"""History buffer: the history window of the last observed states and actions of a robot.

Symbols: H history, S states, A actions.
"""

from threading import Lock

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array

Rows = tuple[tuple[Array, Array | None], ...]


class HistoryBuffer:
    """The last H states, and the actions that acted from them.

    One thread may add rows while others read them: a reader sees the rows of one moment.

    Args:
        history: H.
        actions: A.
        rows: from the oldest on, as `HistoryBuffer.rows` has them.
    """

    def __init__(self, history: int, actions: int, rows: Rows = ()) -> None:
        self._history, self._actions = history, actions
        self._write_lock = Lock()
        self._rows = rows  # replaced as a whole, never changed

    @property
    def rows(self) -> Rows:
        """The rows, each a state (S,) and the action (A,) that acts from it, None if not known."""
        return self._rows

    def add(self, state: Array, action: Array | None) -> None:
        """Remember a state (S,), and the action (A,) that acts from it if it is known by now.

        Raises:
            BadInput: the action after the state before is not known.
        """
        with self._write_lock:
            if self._rows and self._rows[-1][1] is None:
                raise BadInput(
                    "observe",
                    "which action led to this state is not known",
                    fix="call apply(action) after each observe(state), or observe(state, action)",
                )
            self._rows = (*self._rows, (state, action))[-self._history :]

    def apply(self, action: Array) -> None:
        """Remember the action (A,) that acts from the last state.

        Raises:
            BadInput: there is none.
        """
        with self._write_lock:
            if not self._rows:
                raise BadInput("apply", "nothing was observed yet", fix="call observe(state) first")
            self._rows = (*self._rows[:-1], (self._rows[-1][0], action))

    def clear(self) -> None:
        """Forget all of it."""
        with self._write_lock:
            self._rows = ()

    @property
    def whole(self) -> bool:
        """Whether these are H rows."""
        return len(self._rows) == self._history

    def repeat(self, batch: int) -> tuple[Array, Array]:
        """Return states (B, H, S) and the actions between them (B, H-1, A), the same B times.

        Raises:
            BadInput: fewer than H rows were observed.
        """
        rows = self._rows
        if len(rows) < self._history:
            problem, expected = f"{len(rows)} observed", f"{self._history} states"
            raise BadInput("predict", problem, expected=expected)
        past = [action for _, action in rows[:-1] if action is not None]
        actions = np.zeros((self._history - 1, self._actions), dtype=np.float32)
        actions[:] = past if past else actions
        states = np.stack([state for state, _ in rows])
        return _repeat(states, batch), _repeat(actions, batch)


def _repeat(rows: Array, batch: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(rows, (batch, *rows.shape)))
