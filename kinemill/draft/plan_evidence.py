"""Plan evidence of a draft: do demonstrations follow plans that one observation does not show?

Each row is compared with the most similar rows of other demonstrations. Where demonstrators act on
the observation alone, similar rows have similar actions. Where they differ, and keep differing for
some rows, they follow a plan, and a policy that plans several actions at once can follow one too
(Zhao et al. 2023). White noise on the actions keeps no difference and calls for no plan. If the
actions of several similar rows form two groups, the demonstrations go different ways, and their
mean is none of them.

Symbols: n rows of a demonstration, D observed numbers, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinemill.ingest.clock import Floats

DISAGREE = 0.1  # least variance of the difference of similar rows, relative to independent ones
NEAR = 0.3  # distance of similar rows, relative to that of rows of different demonstrations
PERSISTS = 0.5  # autocorrelation of the difference down to which it lasts
TWO_WAYS = 0.12  # variance within two groups, relative to the total; 0.36 for one normal group
NEIGHBORS = 8  # similar rows that are grouped
SHORTEST, LONGEST = 2, 32  # planned actions
QUERIES, REFERENCES = 1500, 8000  # rows that are compared
FEWEST = 50  # pairs of similar rows that decide


@dataclass(frozen=True)
class Plans:
    """What demonstrations show.

    Attributes:
        length: rows for which a difference lasts; 1 without plans.
        has_two_ways: whether similar rows have two groups of actions.
        why: the evidence.
    """

    length: int
    has_two_ways: bool
    why: str


def find_plans(observed: Sequence[Floats], actions: Sequence[Floats]) -> Plans:
    """Compare demonstrations.

    Args:
        observed: numbers (n, D) of each demonstration.
        actions: (n, A) of each demonstration.
    """
    if len(observed) < 2 or observed[0].shape[1] == 0:
        return Plans(1, False, "too few numbers or demonstrations to compare")
    every, acts = _standard(observed), _standard(actions)
    owner = np.repeat(np.arange(len(every)), [len(one) for one in every])
    rows, act_rows = np.concatenate(every), np.concatenate(acts)
    sample = np.linspace(0, len(rows) - 1, min(REFERENCES, len(rows))).astype(int)
    pairs = [
        _neighbors(every[at], rows[others], act_rows[others])
        for at in _compared(every)
        for others in [sample[owner[sample] != at]]
    ]
    compared = [acts[at] for at in _compared(every)]
    scale = float(np.median(_distances(rows, owner)))
    is_near = [distance <= NEAR * scale for distance, _ in pairs]
    if sum(map(np.count_nonzero, is_near)) < FEWEST:
        return Plans(1, False, "no two demonstrations are similar enough to compare")
    differences = [
        np.where(near[:, None], own - nearest.mean(axis=1), np.nan)
        for near, own, (_, nearest) in zip(is_near, compared, pairs, strict=True)
    ]
    # An independent draw of unit variance differs from the mean of k others by 1 + 1/k.
    expected = 1.0 + 1.0 / pairs[0][1].shape[1]
    disagreement = np.nanmean(np.square(np.concatenate(differences)), axis=0) / expected
    if disagreement.max() < DISAGREE:
        share = f"{disagreement.max():.0%} of the variance differs"
        return Plans(1, False, f"similar observations have similar actions ({share})")
    longest = min(len(one) for one in every) // 4
    rows_of = {
        int(at): _lasting([one[:, at] for one in differences], longest)
        for at in np.flatnonzero(disagreement >= DISAGREE)
    }
    planned = max(rows_of, key=lambda at: rows_of[at])
    lasting = rows_of[planned]
    if lasting < SHORTEST:
        return Plans(1, False, "actions differ by noise, which does not last")
    lasts = [at for at, count in rows_of.items() if count >= SHORTEST]
    similar = [nearest[near][..., lasts] for near, (_, nearest) in zip(is_near, pairs, strict=True)]
    has_two_ways = _two_ways(similar)
    share = f"{disagreement[planned]:.0%} of the variance of an action"
    why = f"similar rows differ by {share}, for {lasting} rows"
    return Plans(lasting, has_two_ways, why)


def _standard(every: Sequence[Floats]) -> list[Floats]:
    """Return all rows with mean 0 and variance 1 of each column; constant columns are 0."""
    rows = np.concatenate(every)
    mean, std = np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)
    return [np.nan_to_num((one - mean) / np.where(std > 0.0, std, 1.0)) for one in every]


def _compared(every: Sequence[Floats]) -> list[int]:
    """Return the demonstrations whose rows are compared, evenly spread."""
    rows = float(np.mean([len(one) for one in every]))
    count = max(2, min(len(every), int(QUERIES / rows)))
    return sorted({int(at) for at in np.linspace(0, len(every) - 1, count)})


def _neighbors(own: Floats, rows: Floats, actions: Floats) -> tuple[Floats, Floats]:
    """Return the distance (n,) of the k-th nearest row, and the actions (n, k, A) of all k."""
    squared = (own**2).sum(axis=1)[:, None] - 2.0 * own @ rows.T + (rows**2).sum(axis=1)
    count = min(NEIGHBORS, len(rows))
    nearest = np.argpartition(squared, count - 1, axis=1)[:, :count]
    farthest = np.take_along_axis(squared, nearest, axis=1).max(axis=1)
    return np.sqrt(np.maximum(farthest, 0.0)), actions[nearest]


def _distances(rows: Floats, owner: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """Return distances of rows of different demonstrations."""
    random = np.random.default_rng(0)
    one, other = random.integers(0, len(rows), (2, 4000))
    differ = owner[one] != owner[other]
    return np.linalg.norm(rows[one[differ]] - rows[other[differ]], axis=1)


def _lasting(differences: Sequence[Floats], longest: int) -> int:
    """Return for how many rows the difference (n,) stays correlated with itself."""
    power = _product(differences, 0)
    for lag in range(1, min(LONGEST, longest) + 1):
        if power <= 0.0 or _product(differences, lag) < PERSISTS * power:
            return lag
    return max(1, min(LONGEST, longest))


def _product(differences: Sequence[Floats], lag: int) -> float:
    """Return the mean product of differences `lag` rows apart, where both are known."""
    each = [one[: len(one) - lag] * one[lag:] for one in differences if len(one) > lag]
    products = np.concatenate([one.reshape(-1) for one in each]) if each else np.empty(0)
    products = products[np.isfinite(products)]
    return float(products.mean()) if len(products) else 0.0


def _two_ways(neighbors: Sequence[Floats]) -> bool:
    """Return whether the actions of most similar rows (m, k, A) form two groups."""
    groups = np.concatenate(neighbors)
    variance = groups.var(axis=1).sum(axis=1)
    groups = groups[variance > DISAGREE * groups.shape[2]]
    if len(groups) < FEWEST:
        return False
    return float(np.median([_within(one - one.mean(axis=0)) for one in groups])) < TWO_WAYS


def _within(actions: Floats) -> float:
    """Return the variance within the best two groups of (k, A) along their main direction."""
    direction = np.linalg.svd(actions, full_matrices=False)[2][0]
    values = np.sort(actions @ direction)
    total = float(values.var())
    if total == 0.0:
        return 1.0
    cuts = range(1, len(values))
    sums = [c * values[:c].var() + (len(values) - c) * values[c:].var() for c in cuts]
    return float(min(sums)) / (len(values) * total)
