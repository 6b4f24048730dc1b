"""Action fit: logs whose actions seem late, inverted or exchanged, by the response of the others.

The change of each state over a few rows is predicted by the states and the actions. What the states
explain is taken out of both, log by log; the rest of the change answers the rest of the actions.
The response of all other logs predicts each log, as it is and with its actions shifted, inverted or
exchanged. A log in which such a change predicts much better is suspicious.

Symbols: n rows, a actions, s states, m shifts in rows; `uu` (m, a, a), `uy` (m, a, s) and `yy` (s)
mean products of the rests.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kinemill.task import Task

Array = NDArray[np.float64]

LONGEST = 0.25  # s, largest shift that is searched
MOST_SHIFTS = 50  # rows, the same
WINDOW = 0.05  # s, over which a change is predicted; in a row of a fast log noise dominates
LEAST_SHIFT = 2  # rows; smooth actions are nearly the same a row later
MIN_OTHERS = 4  # logs that make a response
MOST_ROWS = 4000  # of a log
MIN_EXPLAINED = 0.1  # share of the rest that the others must explain after the change
MIN_GAIN = 0.1  # additional share that the change must explain
MIN_OF_ITSELF = 0.5  # least ratio to the share that the log's response explains of itself
TINY = 1e-12


@dataclass(frozen=True)
class ActionFault:
    """A log whose actions fit the others better after a change, with the change in words."""

    log: str
    what: str


@dataclass(frozen=True)
class _Products:
    uu: Array
    uy: Array
    yy: Array


def find_action_faults(logs: Mapping[str, Mapping[str, Array]], task: Task) -> list[ActionFault]:
    """Return the logs whose actions seem late, early, inverted or exchanged.

    Args:
        logs: by name, channel -> (n,), rows at the task's dt.
        task: its states and actions.
    """
    if not (task.states and task.actions):
        return []
    shifts = min(round(LONGEST / task.dt), MOST_SHIFTS)
    fitted = {name: _products(values, task, shifts) for name, values in logs.items()}
    products = {name: item for name, item in fitted.items() if item is not None}
    if len(products) <= MIN_OTHERS:
        return []
    usual = int(np.argmax(sum(_explained_by_itself(item) for item in products.values())))
    faults = list[ActionFault]()
    for name, item in products.items():
        rest = [products[key] for key in products if key != name]
        response = _response(rest, usual)
        as_it_is = _explained(response, item, usual)
        most = max(
            as_it_is + MIN_GAIN,
            MIN_EXPLAINED,
            MIN_OF_ITSELF * float(_explained_by_itself(item).max()),
        )
        changes = list(_changes(response, item, task, usual))
        share, what = max(changes, key=lambda change: change[0])
        if share > most:
            text = f"the response of the other logs then explains {share:.0%} of its motion, and "
            faults.append(ActionFault(name, f"{what}: {text}now {max(as_it_is, 0.0):.0%}"))
    return faults


def _products(values: Mapping[str, Array], task: Task, shifts: int) -> _Products | None:
    """Return the products of a log at all shifts; None if it is short, or nothing moves."""
    states = np.stack([values[name][:MOST_ROWS] for name in task.states], axis=1)
    actions = np.stack([values[name][:MOST_ROWS] for name in task.actions], axis=1)
    window = max(1, round(WINDOW / task.dt))
    actions = actions - actions.mean(axis=0)
    sums = np.vstack([np.zeros((1, actions.shape[1])), np.cumsum(actions, axis=0)])
    actions = (sums[window:] - sums[:-window]) / window
    rows = len(states) - window - 2 * shifts
    is_whole = np.isfinite(states).all() and np.isfinite(actions).all()
    if rows < 10 * (shifts + states.shape[1]) or not is_whole:
        return None
    angles = [at for at, name in enumerate(task.states) if task.channels[name].kind == "angle"]
    regressors = np.hstack([np.ones((len(states), 1)), states, np.sin(states[:, angles]),
                       np.cos(states[:, angles])])[shifts : shifts + rows]  # fmt: skip
    # Products of what is left of columns without their part in the basis, at all shifts at once.
    basis = np.linalg.qr(regressors)[0]
    change = (states[window:] - states[:-window])[shifts : shifts + rows]
    change = change - basis @ (basis.T @ change)
    later = sliding_window_view(actions, rows, axis=0)[: 2 * shifts + 1]  # (m, a, n)
    inside = later @ basis
    return _Products(
        (np.stack([part @ part.T for part in later]) - inside @ inside.transpose(0, 2, 1)) / rows,
        later @ change / rows,
        np.maximum(np.mean(change**2, axis=0), TINY),
    )


def _explained_by_itself(item: _Products) -> Array:
    """Return the share of the rest that the response of a log explains of itself, by shift (m,)."""
    gain = np.linalg.pinv(item.uu, rcond=1e-9, hermitian=True) @ item.uy
    return np.mean(np.einsum("mas,mas->ms", gain, item.uy) / item.yy, axis=1)


def _response(items: Sequence[_Products], at: int) -> Array:
    """Return the response (a, s) of logs at a shift; each state of each log has the same weight."""
    square = sum(item.uu[at][None] / item.yy[:, None, None] for item in items)
    product = sum(item.uy[at].T / item.yy[:, None] for item in items)
    inverse = np.linalg.pinv(np.asarray(square), rcond=1e-9, hermitian=True)
    return (inverse @ np.asarray(product)[..., None])[..., 0].T


def _explained(response: Array, item: _Products, at: int) -> float:
    """Return the share of the rest that a response (a, s) explains at a shift."""
    linear = 2.0 * np.sum(response * item.uy[at], axis=0)
    square = np.sum(response * (item.uu[at] @ response), axis=0)
    return float(np.mean((linear - square) / item.yy))


def _changes(
    response: Array, item: _Products, task: Task, usual: int
) -> Iterator[tuple[float, str]]:
    """Yield the share that each change of the actions explains, and the change in words."""
    for at in range(len(item.uu)):
        late = (at - usual) * task.dt
        if abs(at - usual) >= LEAST_SHIFT:
            when = f"{abs(late):.3g} s {'late' if late > 0.0 else 'early'}"
            yield _explained(response, item, at), f"as if its actions were {when}"
    for at, name in enumerate(task.actions):
        signs = np.ones((len(task.actions), 1))
        signs[at] = -1.0
        yield _explained(signs * response, item, usual), f"as if {name} were inverted"
    for first, second in combinations(range(len(task.actions)), 2):
        order = list(range(len(task.actions)))
        order[first], order[second] = second, first
        names = f"{task.actions[first]} and {task.actions[second]}"
        yield _explained(response[order], item, usual), f"as if {names} were exchanged"
