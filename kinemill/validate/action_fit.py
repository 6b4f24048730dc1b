"""Action fit: logs whose actions seem late, inverted or exchanged, by the response of the others.

The change of each state over a few rows is predicted by the states and the actions. What the states
explain is taken out of both, log by log; the rest of the change answers the rest of the actions.
The response of all other logs predicts each log, as it is, with its actions inverted or exchanged,
and with all or one of them shifted. A log in which such a change predicts much better is
suspicious.

Symbols: r logs, n rows, a actions, s states, m shifts in rows; `uu` (m, a, a), `uy` (m, a, s) and
`yy` (s) mean products of the rests; `crossed` (m, a, a) those of shifted with usual actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from kinemill.task import Task
from kinemill.validate.action_responses import (
    ResponseReference,
    best_changes,
    changed,
    describe_change,
    explained,
    own_responses,
    responses_without,
    sums_of,
)
from kinemill.validate.faults import Array
from kinemill.validate.motion import busiest_stretch

FINEST = 0.01  # s; of faster logs, rows are averaged
LONGEST = 0.5  # s, largest shift that is searched
FEWEST_SHIFTS = 10  # rows, the same for slow logs
WINDOW = 0.05  # s, over which a change is predicted; in a row of a fast log noise dominates
LEAST_SHIFT = 2  # rows; smooth actions are nearly the same a row later
MIN_OTHERS = 4  # logs that make a response
MOST_ROWS = 4000  # of a log, after averaging
ROWS_OF_SHIFT = 10  # rows of a log for each row of the largest shift
MIN_EXPLAINED = 0.1  # share of the rest that the others must explain after the change
MIN_GAIN = 0.1  # additional share that the change must explain
PENALTY = 0.002  # share that a shift must explain more for each row of it, as more are tried
MIN_OF_ITSELF = 0.5  # of what the log's response explains of itself more, least part of the change
TINY = 1e-12

FitProducts = tuple[Array, Array, Array, Array]


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
    rows = float(np.median([len(next(iter(values.values()))) for values in logs.values()] or [0]))
    shifts = max(round(LONGEST / _step(task)), FEWEST_SHIFTS)
    shifts = usual = max(0, min(shifts, round(rows / (ROWS_OF_SHIFT + 2)) - len(task.states)))
    names, products = _all_products(logs, task, shifts, usual)
    if len(names) <= MIN_OTHERS:
        return []
    uu, uy, yy, crossed = products
    # The share of the rest that the response of a log explains of itself, by log and shift.
    itself = np.stack(
        [explained(own_responses(item), *item) for item in zip(uu, uy, yy[:, None], strict=True)]
    )
    usual = int(np.argmax(itself.sum(axis=0)))
    if usual != shifts:
        *_, crossed = _all_products(logs, task, shifts, usual)[1]
    penalty = PENALTY * np.abs(np.arange(2 * shifts + 1) - usual)
    members = np.ones(len(names), dtype=np.bool_)
    faults = list[ActionFault]()
    while members.sum() > MIN_OTHERS:
        now, changes, turned, late = _fit_changes((uu, uy, yy, crossed), members, usual)
        late -= penalty[:, None]
        shares = np.maximum(turned, late.max(axis=(0, 1)))
        least = MIN_OF_ITSELF * (itself.max(axis=1) + np.maximum(now, 0.0))
        least = np.maximum(least, np.maximum(now + MIN_GAIN, MIN_EXPLAINED))
        gains = np.where(members & (shares > least), shares - now, 0.0)
        worst = int(gains.argmax())
        if not gains[worst]:
            break
        how = describe_change(changes[worst], task.actions)[1]
        share = turned[worst]
        if shares[worst] > share:
            action, shift = np.unravel_index(late[:, :, worst].argmax(), late.shape[:2])
            share = late[action, shift, worst] + penalty[shift]
            how = _when(["its actions", *task.actions][action], int(shift) - usual, task)
        members[worst] = False  # it no longer disturbs the response of the others
        what = (
            f"{how}: the response of the other logs then explains {share:.0%} of its "
            f"motion, and now {max(float(now[worst]), 0.0):.0%}"
        )
        faults.append(ActionFault(names[worst], what))
    return faults


def comparable(values: Mapping[str, Array], task: Task) -> dict[str, Array]:
    """Return the stretch of a log in which its actions change most, for `find_action_faults`.

    It has at most `MOST_ROWS` rows, `FINEST` s apart or more: states (n,) at these times, and means
    of the actions until the next one.
    """
    each = _averaged(task)
    rows = len(next(iter(values.values()))) // each
    sampled = {
        name: values[name][: rows * each].reshape(rows, each).mean(axis=1)
        if name in task.actions
        else values[name][: rows * each : each]
        for name in task.columns
    }
    start = busiest_stretch(sampled, task.actions, MOST_ROWS)
    return {name: column[start : start + MOST_ROWS] for name, column in sampled.items()}


def _averaged(task: Task) -> int:
    """Return the number of rows that are averaged."""
    return max(1, round(FINEST / task.dt))


def _step(task: Task) -> float:
    """Return the time between two rows that are compared, s."""
    return task.dt * _averaged(task)


def _fit_changes(products: FitProducts, members: NDArray[np.bool_], usual: int) -> FitProducts:
    """Return what the other members explain of each log, (r,) and after changes.

    They are the share as it is, the best exchange and inversion, the share after it, and shares
    after a shift of all actions or of one, (1 + a, m, r).
    """
    uu, uy, yy, _ = products
    usual_products = uu[:, usual], uy[:, usual], yy
    sums = sums_of((uu[members, usual], uy[members, usual], yy[members]))
    responses = responses_without(usual_products, members, ResponseReference(frozenset(), *sums))
    now = explained(responses, *usual_products)
    changes = best_changes(responses, usual_products)
    shifted = [explained(responses, uu[:, at], uy[:, at], yy) for at in range(uu.shape[1])]
    late = np.stack([shifted, *(now + _gains_of_shifts(responses, products, usual))])
    late[:, max(0, usual - LEAST_SHIFT + 1) : usual + LEAST_SHIFT] = -np.inf
    return now, changes, explained(responses, *changed(usual_products, changes)), late


def _when(actions: str, rows: int, task: Task) -> str:
    seconds = rows * _step(task)
    when = f"{abs(seconds):.3g} s {'late' if rows > 0 else 'early'}"
    return f"as if {actions} were {when}"


def _gains_of_shifts(responses: Array, products: FitProducts, usual: int) -> Array:
    """Return how much more is explained with one action shifted, and not without it, (a, m, r)."""
    yy = products[2]
    uu, uy, crossed = (  # the last shift is that of an action that is 0
        np.pad(product, [(0, 0), (0, 1), (0, 0), (0, 0)])
        for product in (*products[:2], products[3])
    )
    # The shift changes an action by d; e is what the usual actions do not explain.
    d_usual = crossed - crossed[:, [usual]]
    d_e = uy - uy[:, [usual]] - d_usual @ responses.transpose(0, 2, 1)[:, None]  # (r, m, a, s)
    size = np.einsum("rmaa->rma", uu)
    d_d = size + size[:, [usual]] - 2.0 * np.einsum("rmaa->rma", crossed)
    linear = 2.0 * np.einsum("rsa,rmas,rs->amr", responses, d_e, 1.0 / yy)
    square = np.einsum("rsa,rma,rs->amr", responses**2, d_d, 1.0 / yy)
    gains = (linear - square) / yy.shape[1]
    return gains[:, :-1] - np.maximum(gains[:, [-1]], 0.0)


def _all_products(
    logs: Mapping[str, Mapping[str, Array]], task: Task, shifts: int, usual: int
) -> tuple[list[str], list[Array]]:
    """Return the logs that have products, and `uu`, `uy`, `yy` and `crossed` of these logs."""
    fitted = {name: _products(values, task, shifts, usual) for name, values in logs.items()}
    products = {name: product for name, product in fitted.items() if product is not None}
    return [*products], [np.stack(parts) for parts in zip(*products.values(), strict=True)]


def _products(
    values: Mapping[str, Array], task: Task, shifts: int, usual: int
) -> FitProducts | None:
    """Return `uu`, `uy`, `yy` and `crossed` of a log; None if it is short, or nothing moves."""
    states = np.stack([values[name] for name in task.states], axis=1)
    actions = np.stack([values[name] for name in task.actions], axis=1)
    window = max(1, round(WINDOW / _step(task)))
    actions = actions - actions.mean(axis=0)
    sums = np.vstack([np.zeros((1, actions.shape[1])), np.cumsum(actions, axis=0)])
    actions = (sums[window:] - sums[:-window]) / window
    rows = len(states) - window - 2 * shifts
    is_whole = np.isfinite(states).all() and np.isfinite(actions).all()
    if rows < ROWS_OF_SHIFT * (shifts + states.shape[1]) or not is_whole:
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
        (later @ later[usual].T - inside @ inside[usual].T) / rows,
    )
