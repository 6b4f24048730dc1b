"""What was observed last of a robot: as many rows as a model needs to go on from.

Symbols: H history, S states, A actions.
"""

from collections import deque

import numpy as np

from kinemill.errors import BadInput
from kinemill.runtime.checking import Array


class Remembered:
    """The last H states, and the actions that acted from them.

    Args:
        history: H.
        actions: A.
    """

    def __init__(self, history: int, actions: int) -> None:
        self._history, self._actions = history, actions
        self._rows: deque[tuple[Array, Array | None]] = deque(maxlen=history)

    def add(self, state: Array, action: Array | None) -> None:
        """Remember a state (S,), and the action (A,) that acts from it if it is known by now.

        Raises:
            BadInput: the action after the state before is not known.
        """
        if self._rows and self._rows[-1][1] is None:
            raise BadInput(
                "observe",
                "which action led to this state is not known",
                fix="call apply(action) after each observe(state), or observe(state, action)",
            )
        self._rows.append((state, action))

    def apply(self, action: Array) -> None:
        """Remember the action (A,) that acts from the last state.

        Raises:
            BadInput: there is none.
        """
        if not self._rows:
            raise BadInput("apply", "nothing was observed yet", fix="call observe(state) first")
        self._rows[-1] = (self._rows[-1][0], action)

    def clear(self) -> None:
        """Forget all of it."""
        self._rows.clear()

    @property
    def whole(self) -> bool:
        """Whether these are H rows."""
        return len(self._rows) == self._history

    def refuse_few(self) -> None:
        """Pass if these are H rows.

        Raises:
            BadInput: fewer were observed.
        """
        if not self.whole:
            found, wanted = f"{len(self._rows)} observed", f"{self._history} states"
            raise BadInput("predict", found, expected=wanted)

    def rows(self, batch: int) -> tuple[Array, Array]:
        """Return states (B, H, S) and the actions between them (B, H-1, A), the same B times."""
        past = [action for _, action in self._rows if action is not None]
        actions = np.zeros((self._history - 1, self._actions), dtype=np.float32)
        actions[:] = past[: self._history - 1] if self._history > 1 else actions
        states = np.stack([state for state, _ in self._rows])
        return _repeated(states, batch), _repeated(actions, batch)


def _repeated(rows: Array, batch: int) -> Array:
    return np.ascontiguousarray(np.broadcast_to(rows, (batch, *rows.shape)))
