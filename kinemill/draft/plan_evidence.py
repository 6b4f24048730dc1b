"""Plan evidence of a draft: whether demonstrations follow plans that one observation does not show.

Each row is compared with the most similar rows of other demonstrations. Where demonstrators act on
the observation alone, similar rows have similar actions. Where they differ, and keep differing for
some rows, they follow a plan, and a policy that predicts several actions per step can follow one
too (Zhao et al. 2023). White noise on the actions keeps no difference and calls for no plan. If the
actions of several similar rows form two groups, the demonstrations go different ways, and their
mean is none of them.

Symbols: n rows of a demonstration, D observed numbers, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.draft.constants import (
    PLAN_BIMODAL,
    PLAN_COMMON,
    PLAN_DISAGREE,
    PLAN_FEWEST,
    PLAN_LONGEST,
    PLAN_NEAR,
    PLAN_NEIGHBORS,
    PLAN_PERSISTS,
    PLAN_QUERIES,
    PLAN_REFERENCES,
    PLAN_SAMPLED,
    PLAN_SHORTEST,
    PLAN_SPLIT,
)
from kinemill.ingest.clock import Floats
from kinemill.runtime.window_metrics import nonzero_std

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Plans:
    """Evidence of plans in demonstrations.

    Attributes:
        length: rows for which a difference lasts; 1 without plans.
        is_bimodal: whether similar rows have two groups of actions.
        why: the evidence.
    """

    length: int
    is_bimodal: bool
    why: str


def find_plans(observed: Sequence[Floats], actions: Sequence[Floats]) -> Plans:
    """Return the evidence of plans from a comparison of demonstrations.

    Args:
        observed: numbers (n, D) of each demonstration, in any units.
        actions: actions (n, A) of each demonstration, in any units.
    """
    if len(observed) < 2 or observed[0].shape[1] == 0:
        return Plans(1, False, "too few numbers or demonstrations to compare")
    episodes = _standard(observed)
    acts = _standard(actions)
    owner = np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes])
    rows = np.concatenate(episodes)
    act_rows = np.concatenate(acts)
    sample = np.linspace(0, len(rows) - 1, min(PLAN_REFERENCES, len(rows))).astype(int)
    pairs = [
        _neighbors(episodes[at], rows[candidates], act_rows[candidates])
        for at in _compared(episodes)
        for candidates in [sample[owner[sample] != at]]
    ]
    compared = [acts[at] for at in _compared(episodes)]
    scale = float(np.median(_distances(rows, owner)))
    is_near = [distance <= PLAN_NEAR * scale for distance, _ in pairs]
    if sum(map(np.count_nonzero, is_near)) < PLAN_FEWEST:
        return Plans(1, False, "no two demonstrations are similar enough to compare")
    differences = [
        np.where(near[:, None], episode_actions - nearest.mean(axis=1), np.nan)
        for near, episode_actions, (_, nearest) in zip(is_near, compared, pairs, strict=True)
    ]
    if ambiguous := _ambiguous_rows(is_near, [nearest for _, nearest in pairs]):
        length = int(np.clip(2 * ambiguous, PLAN_SAMPLED, PLAN_LONGEST))
        return Plans(length, True, f"similar rows have two groups of actions, for {ambiguous} rows")
    # An independent draw of unit variance differs from the mean of k others by 1 + 1/k.
    expected = 1.0 + 1.0 / pairs[0][1].shape[1]
    disagreement = np.nanmean(np.square(np.concatenate(differences)), axis=0) / expected
    if disagreement.max() < PLAN_DISAGREE:
        share = f"{disagreement.max():.0%} of the variance differs"
        return Plans(1, False, f"similar observations have similar actions ({share})")
    longest = min(len(episode) for episode in episodes) // 4
    rows_of = {
        int(at): _lasting([difference[:, at] for difference in differences], longest)
        for at in np.flatnonzero(disagreement >= PLAN_DISAGREE)
    }
    planned = max(rows_of, key=lambda at: rows_of[at])
    lasting = rows_of[planned]
    if lasting < PLAN_SHORTEST:
        return Plans(1, False, "actions differ by noise, which does not last")
    share = f"{disagreement[planned]:.0%} of the variance of an action"
    return Plans(lasting, False, f"similar rows differ by {share}, for {lasting} rows")


def _standard(episodes: Sequence[Floats]) -> list[Floats]:
    """Return all rows with mean 0 and variance 1 of each column; constant columns are 0."""
    rows = np.concatenate(episodes)
    mean = np.nanmean(rows, axis=0)
    std = nonzero_std(np.nanstd(rows, axis=0))
    return [np.nan_to_num((episode - mean) / std) for episode in episodes]


def _compared(episodes: Sequence[Floats]) -> list[int]:
    """Return the demonstrations whose rows are compared, evenly spread."""
    rows = float(np.mean([len(episode) for episode in episodes]))
    count = max(2, min(len(episodes), int(PLAN_QUERIES / rows)))
    return sorted({int(at) for at in np.linspace(0, len(episodes) - 1, count)})


def _neighbors(queries: Floats, rows: Floats, actions: Floats) -> tuple[Floats, Floats]:
    """Return the distance (n,) of the k-th nearest row, and the actions (n, k, A) of all k."""
    squared = (queries**2).sum(axis=1)[:, None] - 2.0 * queries @ rows.T + (rows**2).sum(axis=1)
    count = min(PLAN_NEIGHBORS, len(rows))
    nearest = np.argpartition(squared, count - 1, axis=1)[:, :count]
    farthest = np.take_along_axis(squared, nearest, axis=1).max(axis=1)
    return np.sqrt(np.maximum(farthest, 0.0)), actions[nearest]


def _distances(rows: Floats, owner: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Floats:
    """Return distances of rows of different demonstrations."""
    random = np.random.default_rng(0)
    first, second = random.integers(0, len(rows), (2, 4000))
    differ = owner[first] != owner[second]
    return np.linalg.norm(rows[first[differ]] - rows[second[differ]], axis=1)


def _lasting(differences: Sequence[Floats], longest: int) -> int:
    """Return for how many rows the difference (n,) stays correlated with itself."""
    power = _product(differences, 0)
    for lag in range(1, min(PLAN_LONGEST, longest) + 1):
        if power <= 0.0 or _product(differences, lag) < PLAN_PERSISTS * power:
            return lag
    return max(1, min(PLAN_LONGEST, longest))


def _product(differences: Sequence[Floats], lag: int) -> float:
    """Return the mean product of differences `lag` rows apart, where both are known."""
    factors = [
        difference[: len(difference) - lag] * difference[lag:]
        for difference in differences
        if len(difference) > lag
    ]
    products = (
        np.concatenate([factor.reshape(-1) for factor in factors]) if factors else np.empty(0)
    )
    products = products[np.isfinite(products)]
    return float(products.mean()) if len(products) else 0.0


def _ambiguous_rows(is_near: Sequence[Mask], neighbors: Sequence[Floats]) -> int:
    """Return for how many rows in sequence similar rows have two groups of one action; 0 if none.

    Args:
        is_near: rows (n,) of each demonstration with similar rows in others.
        neighbors: actions (n, k, A) of the k most similar rows.
    """
    longest = 0
    compared = sum(map(np.count_nonzero, is_near))
    for at in range(neighbors[0].shape[2]):
        values = [neighbor[..., at] for neighbor in neighbors]
        is_split = [
            near & (nearest.var(axis=1) > PLAN_SPLIT)
            for near, nearest in zip(is_near, values, strict=True)
        ]
        groups = np.concatenate(
            [nearest[rows] for nearest, rows in zip(values, is_split, strict=True)]
        )
        if len(groups) < max(PLAN_FEWEST, PLAN_COMMON * compared):
            continue
        if float(np.median([_within(group) for group in groups])) < PLAN_BIMODAL:
            runs = [_longest_run(rows) for rows in is_split if rows.any()]
            longest = max(longest, round(float(np.median(runs))))
    return longest


def _within(group: Floats) -> float:
    """Return the variance within the best two groups of values (k,), relative to the total."""
    values = np.sort(group)
    cuts = range(1, len(values))
    sums = [c * values[:c].var() + (len(values) - c) * values[c:].var() for c in cuts]
    return float(min(sums)) / (len(values) * float(values.var()))


def _longest_run(rows: Mask) -> int:
    """Return the number of rows in the longest sequence of true ones (n,)."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], rows, [False]])))
    return int((ends[1::2] - ends[::2]).max())
