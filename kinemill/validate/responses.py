"""Actions that are flipped or exchanged: a robot that answers otherwise than in all other logs.

One log alone does not say in which direction its robot should go. So each recording leaves what
its accelerations and its actions have in common, beyond what its own states explain. The others'
answer has to explain this one's accelerations better as it is than with one action's sign changed,
or with two actions exchanged. Joints are not tried so: the sign of a pole's answer to the force on
its cart depends on which way it points.

Symbols: r recordings, a actions, v velocities; u actions and y accelerations less what the states
explain, `uu` (r, a, a) and `uy` (r, a, v) their mean products, `yy` (r, v) the accelerations' mean
square; G (r, v, a) the answer of all recordings but one, by least squares.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from kinemill.spec import Task
from kinemill.validate.faults import Array, Values
from kinemill.validate.motion import pairs
from kinemill.validate.physics.delay import answer

NAME = "foreign_actions"
DESCRIPTION = "no recording answers its actions as if one were flipped, or two exchanged"
SEARCHED = 0.1  # longest delay of an answer, s
FEWEST = 4  # other recordings that are a reference
SHORTEST = 2.0  # s of an episode whose answer is no chance
EXPLAINED = 0.05  # share of the accelerations' rest that the others' answer has to explain then,
BETTER = 0.05  # by how much more than it explains as the recording is (sound ones: below 0.02),
OWN = 0.5  # and the least share of what the recording's own answer explains
_AT_ONCE = 1000  # recordings compared at once: memory is a v^2 of each

Json = dict[str, Any]


def sketch(values: Values, task: Task) -> Json | None:
    """Return `uu`, `uy` and `yy` of one episode, each in a row, or None without an answer.

    Args:
        values: channel -> (n,), in the task's units.
        task: gives states, actions and dt.
    """
    rows = len(next(iter(values.values())))
    found = answer(values, task, SEARCHED) if rows * task.dt >= SHORTEST else None
    if found is None:
        return None
    told = np.zeros((len(found.told), len(task.actions)))
    told[:, [task.actions.index(name) for name in found.actions]] = found.told
    products = {
        "uu": told.T @ told,
        "uy": told.T @ found.change,
        "yy": np.sum(found.change**2, axis=0),
    }
    return {
        key: [float(f"{value / len(told):.6g}") for value in item.ravel()]
        for key, item in products.items()
    }


def foreign_actions(sketches: dict[str, Json | None], task: Task) -> list[Json]:
    """Return recordings whose actions seem flipped or exchanged, with what seems so.

    Args:
        sketches: by recording; None is left out.
        task: gives the channels.
    """
    known = {name: item for name, item in sorted(sketches.items()) if item is not None}
    if len(known) <= FEWEST:
        return []
    actions, velocities = len(task.actions), len(list(pairs(task)))
    shapes = {"uu": (actions, actions), "uy": (actions, velocities), "yy": (velocities,)}
    products = {
        key: np.array([item[key] for item in known.values()]).reshape(-1, *shape)
        for key, shape in shapes.items()
    }
    products["yy"] = np.maximum(products["yy"], 1e-12)
    square = np.einsum("rij,rv->vij", products["uu"], 1.0 / products["yy"])
    product = np.einsum("riv,rv->vi", products["uy"], 1.0 / products["yy"])
    names, found = list(known), list[Json]()
    for first in range(0, len(names), _AT_ONCE):
        part = {key: item[first : first + _AT_ONCE] for key, item in products.items()}
        found += _foreign(names[first : first + _AT_ONCE], part, square, product, task)
    return found


def _foreign(
    names: list[str], own: dict[str, Array], square: Array, product: Array, task: Task
) -> list[Json]:
    """Return what is foreign in some recordings, given the sums (v, a, a) and (v, a) over all."""
    uu, uy, yy = own["uu"], own["uy"], own["yy"]
    others = square - uu[:, None] / yy[:, :, None, None]
    told = product - (uy / yy[:, None]).transpose(0, 2, 1)
    answers = _solved(others, told)
    as_it_is = _explained(answers, uu, uy, yy)
    least = np.maximum(EXPLAINED, OWN * _explained(_own(own), uu, uy, yy))
    best, which = np.maximum(as_it_is + BETTER, least), np.full(len(names), -1)
    changes = list(_changes(task))
    for number, (_, _, change) in enumerate(changes):
        explained = _explained(answers, change.T @ uu @ change, change.T @ uy, yy)
        better = explained > best
        best, which = np.where(better, explained, best), np.where(better, number, which)
    return [
        {
            "recording": names[at],
            "channels": changes[which[at]][1],
            "found": f"{changes[which[at]][0]}: the answer of the other recordings explains "
            f"{best[at]:.0%} of its accelerations then, and {max(0.0, float(as_it_is[at])):.0%} "
            "as it is",
            "fix": "compare the wiring and the log's columns with the others', and set `source` "
            "({name: ..., scale: -1} flips), or reject the recording",
        }
        for at in np.flatnonzero(which >= 0).tolist()
    ]


def _own(products: dict[str, Array]) -> Array:
    """Return each recording's own answer (r, v, a)."""
    return _solved(products["uu"][:, None], products["uy"].transpose(0, 2, 1))


def _solved(square: Array, product: Array) -> Array:
    """Return least squares (r, v, a) of (r, v or 1, a, a) and (r, v, a); still actions have 0."""
    return (np.linalg.pinv(square, rcond=1e-9, hermitian=True) @ product[..., None])[..., 0]


def _explained(answers: Array, uu: Array, uy: Array, yy: Array) -> Array:
    """Return which share of the accelerations answers (r, v, a) explain, (r,)."""
    linear = 2.0 * np.einsum("rva,rav->rv", answers, uy)
    square = np.einsum("rva,rab,rvb->rv", answers, uu, answers)
    return np.mean((linear - square) / yy, axis=1)


def _changes(task: Task) -> Iterator[tuple[str, list[str], Array]]:
    """Yield what may be wrong: words, channels, and what puts the actions right, (a, a)."""
    actions, same = task.actions, np.eye(len(task.actions))
    for i, name in enumerate(actions):
        signs = np.ones(len(actions))
        signs[i] = -1.0
        yield f"as if {name}, or what it drives, were flipped", [name], np.diag(signs)
    for i, j in combinations(range(len(actions)), 2):
        one, other = actions[i], actions[j]
        if task.channels[one].unit == task.channels[other].unit:
            order = list(range(len(actions)))
            order[i], order[j] = j, i
            yield f"as if {one} and {other} were exchanged", [one, other], same[order]
