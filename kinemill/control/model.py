"""Interface of a model for a controller: length of the history, and a rollout."""

from typing import Protocol, runtime_checkable

from kinemill.control.plan import Floats


class Model(Protocol):
    """A simulator, learned or physical."""

    @property
    def history(self) -> int:
        """Rows before the first prediction, H; the last of them is the current one."""
        ...

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Roll out actions from one history.

        Args:
            states: (H, S) in task units, the last row is the current one.
            past_actions: (H-1, A), the actions between those states.
            actions: (B, T, A), the first acts from the current state on.

        Returns:
            (B, T, S), the states after each of `actions`, or (M, B, T, S) as predicted by the M
            members of an ensemble. NaN marks a plan that diverges in the model.
        """
        ...


@runtime_checkable
class ObservingModel(Protocol):
    """A model that learns from what happened while it plans."""

    def observe(self, states: Floats, past_actions: Floats) -> None:
        """Take in the newest row, once in every step: rows (H, S), actions between (H-1, A)."""
        ...
