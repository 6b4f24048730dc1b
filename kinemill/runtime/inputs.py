"""Inputs of a simulator, checked and converted to arrays.

Symbols: B batch, H history, T horizon, S states, A actions.
"""

import numpy as np
from numpy.typing import ArrayLike

from kinemill.runtime.input_checks import Array, Axis, as_input, axis_of, to_array
from kinemill.runtime.interface import Interface


class Inputs:
    """Reader of the inputs of one model; methods raise `BadInput` for invalid ones.

    Args:
        interface: interface of the model.
        finite: reject NaN and infinity.
        bounded: reject values beyond the limits of their channel.
    """

    def __init__(self, interface: Interface, *, finite: bool, bounded: bool) -> None:
        self.interface = interface
        self.finite = finite
        self.dtype, self._float = interface.dtype, np.dtype(interface.dtype)
        self._bounded, self._batch = bounded, Axis("batch")
        limits = interface.limits if bounded else {}
        self._measured = [interface.states.index(name) for name in interface.measured]
        self._states = states = len(interface.states)
        self._state = axis_of("states", interface.states, limits)
        self._action = axis_of("actions", interface.actions, limits)
        past = interface.history - 1
        actions = len(interface.actions)
        self._history = (self._batch, Axis("history", interface.history), self._state)
        self._past = (self._batch, Axis("past actions (history - 1)", past), self._action)
        self._future = (self._batch, Axis("horizon"), self._action)
        self._sizes = (interface.history, states, past, actions, actions)

    def states(self, value: ArrayLike) -> Array:
        """Return states (B, H, S); derived ones may be left out."""
        value = self._with_derived(value)
        return as_input("states", value, self._history, finite=self.finite, dtype=self.dtype)

    def past_actions(self, value: ArrayLike) -> Array:
        """Return past actions (B, H-1, A)."""
        return as_input("past_actions", value, self._past, finite=self.finite, dtype=self.dtype)

    def actions(self, value: ArrayLike) -> Array:
        """Return actions (B, T, A)."""
        return as_input("actions", value, self._future, finite=self.finite, dtype=self.dtype)

    def state(self, value: ArrayLike) -> Array:
        """Return one state (S,) in task units; derived ones may be left out."""
        value = self._with_derived(value)
        return as_input("state", value, [self._state], finite=self.finite, dtype=self.dtype)

    def measured(self, value: ArrayLike) -> Array:
        """Return a copy of one state (S,) in task units; NaN and values beyond limits pass."""
        value = self._with_derived(value)
        channels = self._state.channels
        axes = [Axis("states", len(channels), channels)]
        return as_input("state", value, axes, finite=False, dtype=self.dtype).copy()

    def _with_derived(self, value: ArrayLike) -> ArrayLike:
        """Return states (..., S), with zeros for derived ones if only measured ones are given."""
        if len(self._measured) == self._states or np.shape(value)[-1:] != (len(self._measured),):
            return value
        measured = to_array("states", value)
        states = np.zeros((*measured.shape[:-1], self._states), measured.dtype)
        states[..., self._measured] = measured
        return states

    def action(self, value: ArrayLike) -> Array:
        """Return one action (A,) in task units."""
        return as_input("action", value, [self._action], finite=self.finite, dtype=self.dtype)

    def now(self, state: ArrayLike, action: ArrayLike) -> tuple[Array, Array]:
        """Return states (B, S) and actions (B, A) of one step."""
        return self.check_part("state", state, self._state), self.check_part(
            "action", action, self._action
        )

    def check_part(self, name: str, value: ArrayLike, *axes: Axis) -> Array:
        """Return one input of a step, (B, ...)."""
        return as_input(name, value, [self._batch, *axes], finite=self.finite, dtype=self.dtype)

    def is_ready_made(self, states: ArrayLike, past_actions: ArrayLike, actions: ArrayLike) -> bool:
        """Return whether (B, H, S), (B, H-1, A) and (B, T, A) need no conversion."""
        if self._bounded:
            return False  # every value is checked
        for part in (states, past_actions, actions):
            if (
                type(part) is not np.ndarray
                or part.dtype != self._float
                or not part.flags.c_contiguous
            ):
                return False
        shapes = np.shape(states), np.shape(past_actions), np.shape(actions)
        if len(shapes[0]) != 3 or len(shapes[1]) != 3 or len(shapes[2]) != 3:
            return False
        (batch, *history_sizes), (same, *past_sizes), (too, horizon, width) = shapes
        sizes = (*history_sizes, *past_sizes, width)
        return batch == same == too and batch > 0 and horizon > 0 and sizes == self._sizes
