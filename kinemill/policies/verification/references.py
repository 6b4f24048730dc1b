"""References of policies: simple policies that a robot can run.

Each plans where the policy plans, at the first row of a chunk, from what the policy observes there,
and acts on that plan until the next one. They are fitted to the training split.

| name | action |
|---|---|
| `mean` | the mean action |
| `repeat` | the last observed action, held; exists if the policy observes its actions |
| `linear` | least squares of the current and previous observations, for each row of the chunk |
| `nearest` | the actions that follow the most similar row of the demonstrations |

Symbols: N rows, D observed numbers, A actions, H rows of history, C rows of a chunk, P plans.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.windows import batches
from kinemill.runtime import Floats, Policy
from kinemill.runtime.window_metrics import evenly_spaced, nonzero_std
from kinemill.train.demonstrations import Demonstrations

ROWS = 8192  # rows in one batch, which bounds memory
DEMONSTRATED = 50_000  # most rows among which `nearest` searches
Rows = NDArray[np.int64]


def absent_references(policy: Policy) -> dict[str, str]:
    """Return why a reference does not exist for a policy, by name."""
    absent = dict[str, str]()
    if not set(policy.actions) <= set(policy.observation):
        absent["repeat"] = "the policy does not observe its actions"
    if not policy.observation:
        absent |= dict.fromkeys(("linear", "nearest"), "the policy observes no numbers")
    return absent


def reference_actions(
    policy: Policy, data: Demonstrations, rows: Rows, history: int, chunk: int
) -> dict[str, Floats]:
    """Return the actions of each reference at rows (N,), (N, A) each, in units.

    Without a training split only `repeat` exists.

    Args:
        policy: policy that sets the observations.
        data: demonstrations.
        rows: rows of the dataset, in any split.
        history: rows of history of `linear` and `nearest`, the current one included.
        chunk: rows from one plan to the next.
    """
    absent = absent_references(policy)
    offsets = (rows - data.first_rows[rows]) % chunk
    plans, plan_of_row = np.unique(rows - offsets, return_inverse=True)
    references = dict[str, Floats]()
    if "repeat" not in absent:
        observed_actions = data.observed(policy.actions)[plans].astype(np.float64)
        references["repeat"] = observed_actions[plan_of_row]
    train = data.packed.window_starts("train", 1)
    if not len(train):
        return references
    mean = data.actions[train].mean(axis=0, dtype=np.float64)
    references["mean"] = np.broadcast_to(mean, (len(rows), len(mean)))
    if policy.observation:
        observations = Observations(data, policy.observation, history)
        linear = _linear_plans(data, observations, plans, chunk)
        references["linear"] = linear[plan_of_row, offsets]
        similar = _similar_rows(data, observations, plans)[plan_of_row]
        references["nearest"] = _later_actions(data, similar, offsets).astype(np.float64)
    return references


class Observations:
    """Observations of several rows, as features.

    Args:
        data: demonstrations.
        names: observed channels.
        history: rows of history, H.
    """

    def __init__(self, data: Demonstrations, names: tuple[str, ...], history: int) -> None:
        self._observed = data.observed(names).astype(np.float64)
        self._first_rows = data.first_rows
        self._history = history
        self.is_angle = np.tile([name in data.packed.angles for name in names], history)

    def at(self, rows: Rows) -> Floats:
        """Return the observations of H rows up to each of `rows`: (N,) -> (N, H D), in units.

        Before the start of an episode, its first row repeats.
        """
        first = self._first_rows[rows]
        lags = [self._observed[np.maximum(rows - lag, first)] for lag in range(self._history)]
        return np.concatenate(lags, axis=1)


def _later_actions(data: Demonstrations, rows: Rows, later: Rows) -> NDArray[np.float32]:
    """Return the actions some rows later: (...), (...) -> (..., A), in units.

    After the end of an episode, its last action repeats.
    """
    return data.actions[np.minimum(rows + later, data.last_rows[rows])]


def _linear_plans(
    data: Demonstrations, observations: Observations, plans: Rows, chunk: int
) -> Floats:
    """Return the actions of a linear model from rows (P,) on: (P, C, A), in units."""
    later = np.arange(chunk)
    width = len(observations.is_angle) + 1
    triangle = np.zeros((0, width))
    targets = np.zeros((0, chunk * data.actions.shape[1]))
    # The triangle of the QR decomposition and the projected targets replace the rows: their size
    # does not grow, and unlike normal equations they do not square the condition number
    # (Golub and Van Loan, 5.3).
    for part in batches(data.packed.window_starts("train", 1), ROWS):
        actions = _later_actions(data, part[:, None], later).reshape(len(part), -1)
        basis, triangle = np.linalg.qr(np.concatenate([triangle, _affine(observations, part)]))
        targets = basis.T @ np.concatenate([targets, actions])
    weights = np.linalg.lstsq(triangle, targets, rcond=None)[0]
    planned = [_affine(observations, part) @ weights for part in batches(plans, ROWS)]
    return np.concatenate(planned).reshape(len(plans), chunk, -1)


def _affine(observations: Observations, rows: Rows) -> Floats:
    return np.concatenate([observations.at(rows), np.ones((len(rows), 1))], axis=1)


def _similar_rows(data: Demonstrations, observations: Observations, plans: Rows) -> Rows:
    """Return the training row with the most similar observations for each of `plans` (P,).

    The distance is Euclidean, of observations over their standard deviations in training. An angle
    is a point on the unit circle, so that full turns make no difference.
    """
    train = evenly_spaced(data.packed.window_starts("train", 1), DEMONSTRATED)
    values = observations.at(train)
    std = nonzero_std(values.std(axis=0))

    def point(features: Floats) -> Floats:
        turned = features[:, observations.is_angle]
        circle = [np.cos(turned), np.sin(turned)] / std[observations.is_angle]
        straight = (features / std)[:, ~observations.is_angle]
        return np.concatenate([straight, *circle], axis=1)

    points = point(values)
    squares = (points**2).sum(axis=1)
    similar = list[Rows]()
    for part in batches(plans, max(1, ROWS * ROWS // len(train))):
        # The square of the query is the same for all rows.
        distance = squares - 2.0 * point(observations.at(part)) @ points.T
        similar.append(train[distance.argmin(axis=1)])
    return np.concatenate(similar)
