"""Action fit: logs whose actions seem late, inverted or exchanged, by the response of the others.

The change of each state over a few rows is predicted by the states and the actions. What the states
explain is taken out of both, log by log; the rest of the change answers the rest of the actions.
The response of all other logs predicts each log, as it is and with its actions shifted, inverted or
exchanged. A log in which such a change predicts much better is suspicious.

Symbols: n rows, a actions, s states, m shifts in rows; `uu` (m, a, a), `uy` (m, a, s) and `yy` (s)
mean products of the rests.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from kinemill.task import Task
from kinemill.validate.action_responses import (
    Products,
    ResponseReference,
    action_changes,
    changed,
    explained,
    own_responses,
    responses_without,
    sums_of,
)
from kinemill.validate.faults import Array

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
    uu, uy, yy = (np.stack(parts) for parts in zip(*products.values(), strict=True))
    # The share of the rest that the response of a log explains of itself, by log and shift.
    itself = np.stack(
        [explained(own_responses(item), *item) for item in zip(uu, uy, yy[:, None], strict=True)]
    )
    usual = int(np.argmax(itself.sum(axis=0)))
    now = uu[:, usual], uy[:, usual], yy
    reference = ResponseReference(frozenset(products), *sums_of(now))
    responses = responses_without(now, np.ones(len(products), dtype=np.bool_), reference)
    as_it_is = explained(responses, *now)
    most = np.maximum(as_it_is + MIN_GAIN, MIN_EXPLAINED)
    most = np.maximum(most, MIN_OF_ITSELF * itself.max(axis=1))
    changes = dict[str, Array]()
    for at in range(uu.shape[1]):
        late = (at - usual) * task.dt
        if abs(at - usual) >= LEAST_SHIFT:
            when = f"{abs(late):.3g} s {'late' if late > 0.0 else 'early'}"
            changes[f"as if its actions were {when}"] = explained(
                responses, uu[:, at], uy[:, at], yy
            )
    for names, change in action_changes(task):
        how = "inverted" if len(names) == 1 else "exchanged"
        text = f"as if {' and '.join(names)} were {how}"
        changes[text] = explained(responses, *changed(now, change))
    shares = np.stack([*changes.values()])
    best = shares.argmax(axis=0)
    texts = [*changes]
    return [
        ActionFault(
            name,
            f"{texts[best[at]]}: the response of the other logs then explains "
            f"{shares[best[at], at]:.0%} of its motion, "
            f"and now {max(float(as_it_is[at]), 0.0):.0%}",
        )
        for at, name in enumerate(products)
        if shares[best[at], at] > most[at]
    ]


def _products(values: Mapping[str, Array], task: Task, shifts: int) -> Products | None:
    """Return `uu`, `uy` and `yy` of a log at all shifts; None if it is short, or nothing moves."""
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
    return (
        (np.stack([part @ part.T for part in later]) - inside @ inside.transpose(0, 2, 1)) / rows,
        later @ change / rows,
        np.maximum(np.mean(change**2, axis=0), TINY),
    )
