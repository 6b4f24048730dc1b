"""Initial state of a rollout: a constant history, or a shifted measured one.

Symbols: B batch, H history, S states, A actions.
"""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array, to_array
from kinemill.runtime.interface import Interface


def hold(
    interface: Interface, state: Mapping[str, float], action: Mapping[str, float] | None = None
) -> tuple[Array, Array]:
    """Return a constant history: states (1, H, S) and actions (1, H-1, A).

    For a derived state, such as a velocity, the history of its position is a line with that slope.

    Args:
        interface: interface of the model.
        state: value by name in the units of the interface; other states are 0.
        action: value by name in the units of the interface; other actions are 0.

    Raises:
        BadInput: A name is unknown, or a value is not finite.
    """
    rows = interface.history
    states = np.zeros((1, rows, len(interface.states)), dtype=interface.dtype)
    actions = np.zeros((1, rows - 1, len(interface.actions)), dtype=interface.dtype)
    for name, value in state.items():
        if name not in interface.derived:
            states[..., channel_index("state", name, interface.states)] = _number(name, value)
    for name, parent in interface.derived.items():
        # Times before now are negative, so that the line ends at the given position.
        rate = _number(name, state.get(name, 0.0))
        offsets = np.arange(1 - rows, 1) * interface.dt
        states[..., interface.states.index(name)] = rate
        states[..., interface.states.index(parent)] += rate * offsets
    for name, value in (action or {}).items():
        actions[..., channel_index("action", name, interface.actions)] = _number(name, value)
    return states, actions


def move(interface: Interface, states: Array, initial: Mapping[str, ArrayLike]) -> Array:
    """Shift the history of some states so that it ends at the given values.

    The whole history of a state is shifted by the same amount, so that the model sees no jump.

    Args:
        interface: interface of the model.
        states: history (B, H, S).
        initial: current value by name of state, a number or (B,), in the units of the interface.

    Returns:
        (B, H, S), a shifted copy.

    Raises:
        BadInput: A name is unknown or of a derived state, or a value is not finite or not (B,).
    """
    moved = states.copy()
    for name, value in initial.items():
        column = channel_index("state", name, interface.states)
        if name in interface.derived:
            raise BadInput(
                f"initial {name}",
                f"is estimated from the history of {interface.derived[name]}",
                expected="an initial value of a measured state",
                fix=f"give a history of {interface.derived[name]} that moves so, see `hold`",
            )
        values = _numbers(f"initial {name}", value)
        if values.shape not in ((), (len(states),)):
            expected = f"a number, or one for each of {len(states)} rows"
            raise BadInput(f"initial {name}", f"has shape {values.shape}", expected=expected)
        if not np.isfinite(values).all():
            raise BadInput(f"initial {name}", f"is {value}", expected="finite numbers")
        shift = values - states[:, -1, column]
        moved[..., column] = states[..., column] + shift[:, None]
        moved[:, -1, column] = values  # the shifted value is rounded
    return moved


def channel_index(what: str, name: str, names: tuple[str, ...]) -> int:
    """Return the index of a channel.

    Raises:
        BadInput: The name is unknown; the error suggests the closest one.
    """
    if name in names:
        return names.index(name)
    close = get_close_matches(name, names, n=1)
    raise BadInput(
        f"{what} {name!r}",
        "is not a channel of the model",
        expected=f"one of {', '.join(names) or 'none'}",
        fix=f"did you mean {close[0]!r}?" if close else None,
    )


def _number(name: str, value: float) -> float:
    array = _numbers(name, value)
    if array.size != 1 or not np.isfinite(array).all():
        raise BadInput(name, f"is {value}", expected="a finite number")
    return float(array.reshape(()))


def _numbers(name: str, value: ArrayLike) -> NDArray[np.float64]:
    array = to_array(name, value)
    if array.dtype.kind not in "fiu":
        raise BadInput(name, f"holds {array.dtype}", expected="real numbers")
    return array.astype(np.float64)
