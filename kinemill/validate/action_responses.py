"""Action outliers: recordings in which an action seems inverted, or two actions exchanged.

One log alone does not show in which direction its robot should move. Each recording is therefore
reduced to the products of its accelerations and its actions, without what its own states explain.
For each recording, the response of all others predicts its accelerations. The recording is an
outlier if this prediction is better with the sign of one action inverted, or with two actions
exchanged. Joints are not tested in this way: the sign of a pole's response to the force on its cart
depends on the direction in which the pole points.

Symbols: r recordings, a actions, v velocities; u actions and y accelerations less what the states
explain, `uu` (r, a, a) and `uy` (r, a, v) their mean products, `yy` (r, v) the mean square of the
accelerations; G (r, v, a) the response of all recordings but one, by least squares. A shard keeps
the sums, and the recordings that the others of the shard explain least, so that a new recording
needs no access to earlier ones.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from kinemill.task import Task
from kinemill.validate.check_results import Outlier
from kinemill.validate.checks.delay import find_response
from kinemill.validate.faults import Array, Values

SEARCH_RANGE = 0.1  # longest delay of a response, s
MIN_OTHERS = 4  # other recordings that make a reference
MIN_SECONDS = 2.0  # of an episode; shorter ones respond by chance
MIN_EXPLAINED = 0.05  # share of the accelerations that the others must explain after the change
MIN_GAIN = 0.05  # additional share that the change must explain; correct logs stay below 0.02
MIN_OF_OWN = 0.5  # minimum ratio to the share that the recording's own response explains
MAX_LISTED = 20  # listed recordings of a shard

Products = tuple[Array, Array, Array]


@dataclass(frozen=True)
class ActionProducts:
    """`uu` (a x a), `uy` (a x v) and `yy` (v) of one episode, each in one row."""

    uu: list[float]
    uy: list[float]
    yy: list[float]


@dataclass(frozen=True)
class ListedProducts:
    """The products of a listed recording."""

    recording: str
    products: ActionProducts


@dataclass(frozen=True)
class ResponseSums:
    """Sums over the recordings of a shard.

    Attributes:
        recordings: number of recordings with a response.
        square: (v x a x a) in one row.
        product: (v x a) in one row.
        listed: the recordings that the others explain least.
    """

    recordings: int
    square: list[float]
    product: list[float]
    listed: list[ListedProducts]


def action_products(values: Values, task: Task) -> ActionProducts | None:
    """Return the products of one episode, or None without a measurable response.

    Args:
        values: channel -> (n,), in the task's units.
        task: its states, actions and dt.
    """
    rows = len(next(iter(values.values())))
    response = find_response(values, task, SEARCH_RANGE) if rows * task.dt >= MIN_SECONDS else None
    if response is None:
        return None
    commands = np.zeros((len(response.commands), len(task.actions)))
    commands[:, [task.actions.index(name) for name in response.actions]] = response.commands

    def means(sums: Array) -> list[float]:
        return [float(f"{value / len(commands):.6g}") for value in sums.ravel()]

    return ActionProducts(
        means(commands.T @ commands),
        means(commands.T @ response.change),
        means(np.sum(response.change**2, axis=0)),
    )


def gather(products: Mapping[str, ActionProducts | None]) -> ResponseSums | None:
    """Return the sums of a shard; None if no recording has a response.

    Args:
        products: by recording; None is left out.
    """
    listed = [ListedProducts(name, one) for name, one in sorted(products.items()) if one]
    if not listed:
        return None
    square, product = _sums(_stack(listed))
    return truncate(
        ResponseSums(len(listed), square.ravel().tolist(), product.ravel().tolist(), listed)
    )


def merge_parts(parts: Iterable[ResponseSums | None]) -> ResponseSums | None:
    """Merge the sums of several shards; None if no shard has any."""
    present = [part for part in parts if part is not None]
    if not present:
        return None
    return ResponseSums(
        sum(part.recordings for part in present),
        np.sum([part.square for part in present], axis=0).tolist(),
        np.sum([part.product for part in present], axis=0).tolist(),
        [one for part in present for one in part.listed],
    )


def truncate(part: ResponseSums) -> ResponseSums:
    """Return a part with as many listed recordings as a shard keeps: those least explained."""
    if len(part.listed) <= MAX_LISTED:
        return part
    own = _stack(part.listed)
    order = np.argsort(_explained(_others(own, *_shaped(part, own)), *own))[:MAX_LISTED]
    return replace(part, listed=[part.listed[at] for at in sorted(order.tolist())])


def _shaped(part: ResponseSums, own: Products) -> tuple[Array, Array]:
    """Return the sums of a part, (v, a, a) and (v, a)."""
    velocities, actions = own[2].shape[1], own[0].shape[1]
    square = np.array(part.square).reshape(velocities, actions, actions)
    return square, np.array(part.product).reshape(velocities, actions)


def find_action_outliers(part: ResponseSums | None, task: Task) -> list[Outlier]:
    """Return recordings whose actions seem inverted or exchanged.

    Args:
        part: sums over all shards.
        task: its channels.
    """
    if part is None or part.recordings <= MIN_OTHERS:
        return []
    own = _stack(part.listed)
    responses = _others(own, *_shaped(part, own))
    as_it_is = _explained(responses, *own)
    least = np.maximum(MIN_EXPLAINED, MIN_OF_OWN * _explained(_own(own), *own))
    best, which = np.maximum(as_it_is + MIN_GAIN, least), np.full(len(part.listed), -1)
    changes = list(_changes(task))
    for number, (_, _, change) in enumerate(changes):
        explained = _explained(responses, change.T @ own[0] @ change, change.T @ own[1], own[2])
        better = explained > best
        best, which = np.where(better, explained, best), np.where(better, number, which)
    outliers = [
        Outlier(
            part.listed[at].recording,
            changes[which[at]][1],
            f"{changes[which[at]][0]}: the response of the other recordings then explains "
            f"{best[at]:.0%} of its accelerations, and now {max(0.0, float(as_it_is[at])):.0%}",
            "compare the wiring and the columns with the other logs, and set `source` "
            "({name: ..., scale: -1} inverts), or reject the recording",
        )
        for at in np.flatnonzero(which >= 0).tolist()
    ]
    return sorted(outliers, key=lambda outlier: outlier.recording)


def _stack(listed: list[ListedProducts]) -> Products:
    """Return `uu` (r, a, a), `uy` (r, a, v) and `yy` (r, v) of recordings."""
    actions = round(len(listed[0].products.uu) ** 0.5)
    uu = np.array([one.products.uu for one in listed])
    uy = np.array([one.products.uy for one in listed])
    yy = np.array([one.products.yy for one in listed])
    return (
        uu.reshape(-1, actions, actions),
        uy.reshape(-1, actions, yy.shape[1]),
        np.maximum(yy, 1e-12),
    )


def _sums(own: Products) -> tuple[Array, Array]:
    """Return the sums for least squares over all recordings, (v, a, a) and (v, a).

    Division by `yy` gives every recording the same weight for each velocity.
    """
    uu, uy, yy = own
    return np.einsum("rij,rv->vij", uu, 1.0 / yy), np.einsum("riv,rv->vi", uy, 1.0 / yy)


def _others(own: Products, square: Array, product: Array) -> Array:
    """Return the responses G (r, v, a) of all recordings but one, given the sums over all."""
    uu, uy, yy = own
    others = square - uu[:, None] / yy[:, :, None, None]
    return _solve(others, product - (uy / yy[:, None]).transpose(0, 2, 1))


def _own(own: Products) -> Array:
    """Return the own response of each recording, (r, v, a)."""
    return _solve(own[0][:, None], own[1].transpose(0, 2, 1))


def _solve(square: Array, product: Array) -> Array:
    """Solve least squares (r, v or 1, a, a), (r, v, a) -> (r, v, a); constant actions get 0."""
    return (np.linalg.pinv(square, rcond=1e-9, hermitian=True) @ product[..., None])[..., 0]


def _explained(responses: Array, uu: Array, uy: Array, yy: Array) -> Array:
    """Return the share of the accelerations that responses (r, v, a) explain, (r,)."""
    linear = 2.0 * np.einsum("rva,rav->rv", responses, uy)
    square = np.einsum("rva,rab,rvb->rv", responses, uu, responses)
    return np.mean((linear - square) / yy, axis=1)


def _changes(task: Task) -> Iterator[tuple[str, list[str], Array]]:
    """Yield possible errors: description, channels, and the correction of the actions, (a, a)."""
    actions, same = task.actions, np.eye(len(task.actions))
    for i, name in enumerate(actions):
        signs = np.ones(len(actions))
        signs[i] = -1.0
        yield f"as if {name}, or its actuator, were inverted", [name], np.diag(signs)
    for i, j in combinations(range(len(actions)), 2):
        one, other = actions[i], actions[j]
        if task.channels[one].unit == task.channels[other].unit:
            order = list(range(len(actions)))
            order[i], order[j] = j, i
            yield f"as if {one} and {other} were exchanged", [one, other], same[order]
