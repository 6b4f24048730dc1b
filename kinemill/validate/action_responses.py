"""Action outliers: recordings in which an action seems inverted, or two actions exchanged.

One log alone does not show in which direction its robot should move. Each recording is therefore
reduced to the products of its accelerations and its actions, without what its own states explain.
For each recording, the response of all others predicts its accelerations. The recording is an
outlier if this prediction is better with some actions inverted or exchanged. Joints are not tested
in this way: the sign of a pole's response to the force on its cart depends on the direction in
which the pole points.

Symbols: r recordings, a actions, v velocities; u actions and y accelerations less what the states
explain, `uu` (r, a, a) and `uy` (r, a, v) their mean products, `yy` (r, v) the mean square of the
accelerations; G (r, v, a) the response of a sample of recordings without the own one, by least
squares.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kinemill.task import Task
from kinemill.validate.check_results import Outlier
from kinemill.validate.checks.delay import find_response
from kinemill.validate.faults import Array, Values

SEARCH_RANGE = 0.1  # longest delay of a response, s
MIN_OTHERS = 4  # other recordings that make a reference
MIN_SECONDS = 2.0  # of an episode; shorter ones respond by chance
MIN_EXPLAINED = 0.05  # share of the accelerations that the others must explain after the change
MIN_GAIN = 0.05  # additional share that the change must explain; correct logs stay below 0.02
MIN_PART = 0.02  # about the share that each inversion and each exchange must explain
MIN_OF_OWN = 0.5  # of what the recording's own response explains more, least part that they explain
COMPARE = (
    "compare wiring, clocks and columns with the other logs, and set `source` "
    "({name: ..., scale: -1} inverts), or reject the recording"
)

Products = tuple[Array, Array, Array]


@dataclass(frozen=True)
class ActionProducts:
    """`uu` (a x a), `uy` (a x v) and `yy` (v) of one episode, each in one row."""

    uu: list[float]
    uy: list[float]
    yy: list[float]


class Responding(NamedTuple):
    """A recording with a response: content hash, name of the log, products."""

    hash: str
    name: str
    products: ActionProducts


@dataclass(frozen=True)
class ResponseReference:
    """Sums for least squares over a sample of recordings.

    Attributes:
        members: content hashes of the recordings.
        square: (v, a, a).
        product: (v, a).
    """

    members: frozenset[str]
    square: Array
    product: Array


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


def make_response_reference(products: Mapping[str, ActionProducts]) -> ResponseReference | None:
    """Return the sums over recordings, by content hash; None if they are too few."""
    if len(products) <= MIN_OTHERS:
        return None
    return ResponseReference(frozenset(products), *sums_of(_stack([*products.values()])))


def find_action_outliers(
    recordings: Sequence[Responding], reference: ResponseReference, task: Task
) -> list[tuple[str, Outlier]]:
    """Return the recordings whose actions seem inverted or exchanged, with their content hashes."""
    if not recordings:
        return []
    products = _stack([recording.products for recording in recordings])
    members = np.array([recording.hash in reference.members for recording in recordings])
    responses = responses_without(products, members, reference)
    as_it_is = explained(responses, *products)
    itself = explained(own_responses(products), *products)
    least = np.maximum(MIN_EXPLAINED, MIN_OF_OWN * (itself + np.maximum(as_it_is, 0.0)))
    changes = best_changes(responses, products)
    shares = explained(responses, *changed(products, changes))
    described = [describe_change(change, task.actions) for change in changes]
    return [
        (
            recording.hash,
            Outlier(
                recording.name,
                names,
                f"{text}: the response of the other recordings then explains {share:.0%} of its "
                f"accelerations, and now {max(0.0, float(now)):.0%}",
                COMPARE,
            ),
        )
        for recording, (names, text), share, now, limit in zip(
            recordings, described, shares, as_it_is, least, strict=True
        )
        if share > max(now + MIN_GAIN, limit)
    ]


def _stack(listed: list[ActionProducts]) -> Products:
    """Return `uu` (r, a, a), `uy` (r, a, v) and `yy` (r, v) of recordings."""
    actions = round(len(listed[0].uu) ** 0.5)
    uu = np.array([products.uu for products in listed])
    uy = np.array([products.uy for products in listed])
    yy = np.array([products.yy for products in listed])
    return (
        uu.reshape(-1, actions, actions),
        uy.reshape(-1, actions, yy.shape[1]),
        np.maximum(yy, 1e-12),
    )


def sums_of(products: Products) -> tuple[Array, Array]:
    """Return the sums for least squares over all recordings, (v, a, a) and (v, a).

    Division by `yy` gives every recording the same weight for each velocity.
    """
    uu, uy, yy = products
    return np.einsum("rij,rv->vij", uu, 1.0 / yy), np.einsum("riv,rv->vi", uy, 1.0 / yy)


def responses_without(
    products: Products, members: NDArray[np.bool_], reference: ResponseReference
) -> Array:
    """Return the responses G (r, v, a) of the sample, without the own recording of a member."""
    uu, uy, yy = products
    weights = members[:, None] / yy  # (r, v)
    square = reference.square - uu[:, None] * weights[:, :, None, None]
    return _solve(square, reference.product - (uy * weights[:, None]).transpose(0, 2, 1))


def own_responses(products: Products) -> Array:
    """Return the own response of each recording, (r, v, a)."""
    return _solve(products[0][:, None], products[1].transpose(0, 2, 1))


def _solve(square: Array, product: Array) -> Array:
    """Solve least squares (r, v or 1, a, a), (r, v, a) -> (r, v, a); constant actions get 0."""
    return (np.linalg.pinv(square, rcond=1e-9, hermitian=True) @ product[..., None])[..., 0]


def explained(responses: Array, uu: Array, uy: Array, yy: Array) -> Array:
    """Return the share of the accelerations that responses (r, v, a) explain, (r,)."""
    linear = 2.0 * np.einsum("rva,rav->rv", responses, uy)
    square = np.einsum("rva,rab,rvb->rv", responses, uu, responses)
    return np.mean((linear - square) / yy, axis=1)


def changed(products: Products, changes: Array) -> Products:
    """Return products of actions that are corrected by (r, a, a)."""
    uu, uy, yy = products
    turned = changes.transpose(0, 2, 1)
    return turned @ uu @ changes, turned @ uy, yy


def best_changes(responses: Array, products: Products) -> Array:
    """Return the corrections (r, a, a) that fit logged actions best to responses (r, v, a).

    Each one exchanges actions and changes signs. An assignment finds it: of each action to the
    logged action, with a sign, to which the recording itself responds most alike.
    """
    from scipy.optimize import linear_sum_assignment  # imported only to compare recordings

    uu, _, yy = products
    weighted = responses / yy[:, :, None] / yy.shape[1]
    similarity = np.einsum("rvi,rvj->rji", weighted, own_responses(products))
    size = np.einsum("rjj->rj", uu)[:, :, None]
    same = np.eye(uu.shape[1])
    as_it_is = size * 2.0 * similarity + MIN_PART
    inverted = -size * 2.0 * similarity
    gain = np.maximum(as_it_is, inverted) + 0.5 * MIN_PART * same
    gain -= size * np.sum(weighted * responses, axis=1)[:, None]
    order = [linear_sum_assignment(part, maximize=True)[1] for part in gain]
    return np.where(as_it_is >= inverted, 1.0, -1.0) * same[np.array(order)]


def describe_change(change: Array, actions: Sequence[str]) -> tuple[list[str], str]:
    """Return the actions that a correction (a, a) changes, and how."""
    exchanged = [name for name, same in zip(actions, np.diag(change), strict=True) if not same]
    inverted = [name for name, sign in zip(actions, change.sum(axis=1), strict=True) if sign < 0.0]
    parts = [
        f"{', '.join(names[:-1])}{' and ' if names[1:] else ''}{names[-1]} were {how}"
        for names, how in ((exchanged, "exchanged"), (inverted, "inverted"))
        if names
    ]
    return list(dict.fromkeys(exchanged + inverted)), f"as if {', and '.join(parts)}"
