"""Actions that are flipped or exchanged: a robot that answers otherwise than in all other logs.

One log alone does not say in which direction its robot should go. So each recording leaves what
its accelerations and its actions have in common, beyond what its own states explain. The others'
answer has to explain this one's accelerations better as it is than with one action's sign changed,
or with two actions exchanged. Joints are not tried so: the sign of a pole's answer to the force on
its cart depends on which way it points.

Symbols: r recordings, a actions, v velocities; u actions and y accelerations less what the states
explain, `uu` (r, a, a) and `uy` (r, a, v) their mean products, `yy` (r, v) the accelerations' mean
square; G (r, v, a) the answer of all recordings but one, by least squares. A shard keeps the sums,
and those recordings that the others of the shard explain least, so that adding one looks at no
other.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from kinemill.task import Task
from kinemill.validate.checks.delay import find_response
from kinemill.validate.faults import Array, Values

SEARCHED = 0.1  # longest delay of an answer, s
FEWEST = 4  # other recordings that are a reference
SHORTEST = 2.0  # s of an episode whose answer is no chance
EXPLAINED = 0.05  # share of the accelerations' rest that the others' answer has to explain then,
BETTER = 0.05  # by how much more than it explains as the recording is (sound ones: below 0.02),
OWN = 0.5  # and the least share of what the recording's own answer explains
STRANGEST = 20  # recordings of a shard that are kept by name

Json = dict[str, Any]
Products = tuple[Array, Array, Array]


def sketch(values: Values, task: Task) -> Json | None:
    """Return `uu`, `uy` and `yy` of one episode, each in a row, or None without an answer.

    Args:
        values: channel -> (n,), in the task's units.
        task: gives states, actions and dt.
    """
    rows = len(next(iter(values.values())))
    response = find_response(values, task, SEARCHED) if rows * task.dt >= SHORTEST else None
    if response is None:
        return None
    commands = np.zeros((len(response.commands), len(task.actions)))
    commands[:, [task.actions.index(name) for name in response.actions]] = response.commands
    products = {
        "uu": commands.T @ commands,
        "uy": commands.T @ response.change,
        "yy": np.sum(response.change**2, axis=0),
    }
    return {
        key: [float(f"{value / len(commands):.6g}") for value in item.ravel()]
        for key, item in products.items()
    }


def gather(sketches: dict[str, Json | None]) -> Json | None:
    """Return what a shard keeps of its recordings: sums over all, and the strangest by themselves.

    Args:
        sketches: by recording; None is left out.

    Returns:
        `recordings`, `square` (v, a, a) and `product` (v, a) in a row each, and `strangest`, a list
        of recording and sketch; None of a shard without answers.
    """
    present = {name: item for name, item in sorted(sketches.items()) if item is not None}
    if not present:
        return None
    square, product = _sums(_stack(list(present.values())))
    return truncate(
        {
            "recordings": len(present),
            "square": square.ravel().tolist(),
            "product": product.ravel().tolist(),
            "strangest": [[name, item] for name, item in present.items()],
        }
    )


def merge_parts(gathered: Iterable[Json | None]) -> Json | None:
    """Return what several shards keep of their recordings; None if none of them has answers."""
    parts = [part for part in gathered if part is not None]
    if not parts:
        return None
    return {
        "recordings": sum(part["recordings"] for part in parts),
        "square": np.sum([part["square"] for part in parts], axis=0).tolist(),
        "product": np.sum([part["product"] for part in parts], axis=0).tolist(),
        "strangest": [one for part in parts for one in part["strangest"]],
    }


def truncate(part: Json) -> Json:
    """Return a part with as many recordings by name as a shard keeps: those least explained."""
    named = part["strangest"]
    if len(named) <= STRANGEST:
        return part
    own = _stack([item for _, item in named])
    order = np.argsort(_explained(_others(own, *_shaped(part, own)), *own))[:STRANGEST]
    return {**part, "strangest": [named[at] for at in sorted(order.tolist())]}


def _shaped(part: Json, own: Products) -> tuple[Array, Array]:
    """Return the sums of a part, (v, a, a) and (v, a)."""
    velocities, actions = own[2].shape[1], own[0].shape[1]
    square = np.array(part["square"]).reshape(velocities, actions, actions)
    return square, np.array(part["product"]).reshape(velocities, actions)


def foreign_actions(gathered: Iterable[Json | None], task: Task) -> list[Json]:
    """Return recordings whose actions seem flipped or exchanged, with what seems so.

    Args:
        gathered: what `gather` returned, for every shard.
        task: gives the channels.
    """
    every = merge_parts(gathered)
    if every is None or every["recordings"] <= FEWEST:
        return []
    names = [name for name, _ in every["strangest"]]
    own = _stack([item for _, item in every["strangest"]])
    responses = _others(own, *_shaped(every, own))
    as_it_is = _explained(responses, *own)
    least = np.maximum(EXPLAINED, OWN * _explained(_own(own), *own))
    best, which = np.maximum(as_it_is + BETTER, least), np.full(len(names), -1)
    changes = list(_changes(task))
    for number, (_, _, change) in enumerate(changes):
        explained = _explained(responses, change.T @ own[0] @ change, change.T @ own[1], own[2])
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
        for at in sorted(np.flatnonzero(which >= 0).tolist(), key=lambda at: names[at])
    ]


def _stack(sketches: list[Json]) -> Products:
    """Return `uu` (r, a, a), `uy` (r, a, v) and `yy` (r, v) of sketches."""
    actions = round(len(sketches[0]["uu"]) ** 0.5)
    uu, uy, yy = (np.array([item[key] for item in sketches]) for key in ("uu", "uy", "yy"))
    return (
        uu.reshape(-1, actions, actions),
        uy.reshape(-1, actions, yy.shape[1]),
        np.maximum(yy, 1e-12),
    )


def _sums(own: Products) -> tuple[Array, Array]:
    """Return what least squares over all recordings need, (v, a, a) and (v, a).

    Every recording counts alike for each velocity, however wild it is.
    """
    uu, uy, yy = own
    return np.einsum("rij,rv->vij", uu, 1.0 / yy), np.einsum("riv,rv->vi", uy, 1.0 / yy)


def _others(own: Products, square: Array, product: Array) -> Array:
    """Return the answers G (r, v, a) of all recordings but each, given the sums over all."""
    uu, uy, yy = own
    others = square - uu[:, None] / yy[:, :, None, None]
    return _solved(others, product - (uy / yy[:, None]).transpose(0, 2, 1))


def _own(own: Products) -> Array:
    """Return each recording's own answer (r, v, a)."""
    return _solved(own[0][:, None], own[1].transpose(0, 2, 1))


def _solved(square: Array, product: Array) -> Array:
    """Return least squares (r, v, a) of (r, v or 1, a, a) and (r, v, a); still actions have 0."""
    return (np.linalg.pinv(square, rcond=1e-9, hermitian=True) @ product[..., None])[..., 0]


def _explained(responses: Array, uu: Array, uy: Array, yy: Array) -> Array:
    """Return which share of the accelerations answers (r, v, a) explain, (r,)."""
    linear = 2.0 * np.einsum("rva,rav->rv", responses, uy)
    square = np.einsum("rva,rab,rvb->rv", responses, uu, responses)
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
