"""What a controller needs to know of a model: how long a history, and a rollout."""

from typing import Protocol

from kinemill.control.plan import Floats


class Model(Protocol):
    """A simulator, learned or true."""

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H; the last of them is the present."""
        ...

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Try actions from one history.

        Args:
            states: (H, S) in task units, the last row is the present.
            past_actions: (H-1, A), the actions between those states.
            actions: (B, T, A), the first acts from the present on.

        Returns:
            (B, T, S), the states after each of `actions`, or (M, B, T, S) as the M members of an
            ensemble see them. A plan that the model cannot follow holds NaN.
        """
        ...
