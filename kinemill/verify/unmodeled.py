"""Unmodeled effects: groups of terms that explain the residuals of a model one step ahead.

No function of the known rows explains the residuals of a complete model. Each group of terms is a
model of one physical effect; a group that explains residuals shows that this effect is missing. The
residuals are from the validation and training splits, because changes of the model that they
suggest must not depend on the test split. The position of a measured velocity is left out, because
forces change the velocity. Symbols: n rows, F terms, S states, A actions, C = S + A columns.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.runtime import QUIETLY, Floats, wrapped
from kinemill.runtime.window_metrics import nonzero_std
from kinemill.verify.effects import Effect, UnmodeledEffect
from kinemill.verify.end_stops import share_of_contacts
from kinemill.verify.residuals import Series

ROWS = 10_000  # residuals, enough for shares of a few percent
LEAST = 0.05  # smallest share of the variance of an effect in the result
PER_CHANNEL = 3  # most effects of a channel in the result
FOLDS = 4
LAGS = 5  # rows before the current one
MAX_PAST = 300
MAX_PRODUCTS = 200  # most terms; many channels have fewer lags, or no products
STEP = 0.1  # width of the step of dry friction in standard deviations of the velocity
RIDGE = 1e-6  # penalty on squared weights, relative to the rows


@QUIETLY
def unmodeled_effects(
    series: Sequence[Series], dataset: PackedDataset, pairs: Mapping[str, str]
) -> list[UnmodeledEffect]:
    """Return the effects that explain residuals, the largest share first.

    Shares are rounded to a tenth for this order; of equal shares the effect with fewer terms comes
    first.

    Args:
        series: residuals of the validation and training splits, by episode: (n, S), in units.
        dataset: dataset with the order of the channels and the training statistics.
        pairs: name of the position by name of its velocity.
    """
    # The first LAGS rows have no complete past; the others must fill every fold.
    series = [item for item in series if len(item.errors) > LAGS + FOLDS]
    if not series:
        return []
    parts = [_terms(item, dataset, list(pairs)) for item in series]
    groups: dict[Effect, Floats] = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
        if parts[0][name].shape[1]
    }
    errors = np.concatenate([item.errors[LAGS:] for item in series])
    if not (np.isfinite(errors).all() and errors.std(axis=0).any()):
        return []
    moments = _Moments(groups, errors, _folds([len(part["linear"]) for part in parts]))
    total = moments.loss([])
    linear = moments.loss(["linear"])
    effects = list[UnmodeledEffect]()
    shares: dict[Effect, Floats] = {"linear": _share(total - linear, total)}
    # Linear terms of many channels can be worse than none on rows not fitted.
    reference = np.minimum(linear, total)
    for name in groups:
        if name != "linear":
            shares[name] = _share(reference - moments.loss(["linear", name]), total)

    def order(effect: UnmodeledEffect) -> tuple[float, int]:
        terms = groups[effect.effect].shape[1] if effect.effect in groups else 1
        return -round(effect.share, 1), terms

    for column, channel in enumerate(dataset.states):
        if channel in pairs.values():
            continue
        candidates = [
            UnmodeledEffect(channel, name, float(share[column])) for name, share in shares.items()
        ]
        candidates += _contacts(series, dataset, channel, pairs.get(channel))
        candidates.sort(key=order)
        effects += [effect for effect in candidates[:PER_CHANNEL] if effect.share >= LEAST]
    return sorted(effects, key=order)


def _contacts(
    series: Sequence[Series], dataset: PackedDataset, channel: str, position: str | None
) -> list[UnmodeledEffect]:
    if position is None:
        return []
    share = share_of_contacts(series, dataset, channel, position)
    return [UnmodeledEffect(channel, "end_stop", share)]


def _share(gain: Floats, total: Floats) -> Floats:
    return np.divide(gain, total, out=np.zeros_like(total), where=total > 0)


def _terms(
    series: Series, dataset: PackedDataset, velocities: Sequence[str]
) -> dict[Effect, Floats]:
    """Return the terms (n - LAGS, F) of each effect for all rows of an episode after `LAGS`."""
    rows = np.concatenate([series.states, series.actions], axis=1)
    columns = dataset.columns
    states = len(dataset.states)
    angle = np.array([name in dataset.angles for name in columns])
    std = nonzero_std(dataset.std)
    scaled = (rows - dataset.mean) / std
    now = scaled[LAGS:]
    plain = scaled[LAGS:, ~angle]
    turns = rows[LAGS:, angle]
    actions = now[:, states:]
    rates = rows[LAGS:, [columns.index(name) for name in velocities]]
    rates = rates / std[[columns.index(name) for name in velocities]]
    waves = np.concatenate([np.sin(turns), np.cos(turns)], axis=1)
    time = np.linspace(-1.0, 1.0, len(rows))[LAGS:, None]
    over = np.abs(actions) - 1.0  # saturation is assumed beyond one standard deviation
    return {
        "linear": plain,
        "past": _past(rows, std, angle),
        "friction": np.tanh(rates / STEP),
        "drag": rates * np.abs(rates),
        "angle": np.concatenate([waves, np.sin(2 * turns), np.cos(2 * turns)], axis=1),
        "curvature": np.concatenate([plain**2, plain**3], axis=1),
        "product": _products(plain, waves),
        "threshold": np.concatenate(
            [np.sign(actions) * np.maximum(over, 0.0), np.tanh(actions / STEP)], axis=1
        ),
        "drift": np.concatenate([time, time**2], axis=1),
    }


def _past(rows: Floats, std: Floats, angle: NDArray[np.bool_]) -> Floats:
    """Return the changes between earlier rows, in standard deviations: (n, C) -> (n - LAGS, F)."""
    changes = wrapped(np.diff(rows, axis=0), angle) / std
    lags = max(1, min(LAGS, MAX_PAST // rows.shape[1]))
    count = len(changes)
    # Change k is row k + 1 minus row k: at lag 0 the one that ends at the current row.
    return np.concatenate([changes[LAGS - 1 - lag : count - lag] for lag in range(lags)], axis=1)


def _products(plain: Floats, waves: Floats) -> Floats:
    """Return products of channels with each other and with sines and cosines of angles.

    (n, P), (n, Q) -> (n, F); without columns if there would be more than `MAX_PRODUCTS`.
    """
    pairs = list(combinations(range(plain.shape[1]), 2))
    if len(pairs) + plain.shape[1] * waves.shape[1] > MAX_PRODUCTS:
        return np.empty((len(plain), 0))
    between = [plain[:, first] * plain[:, second] for first, second in pairs]
    with_waves = [column * wave for column in plain.T for wave in waves.T]
    return np.stack([*between, *with_waves], axis=1) if between or with_waves else plain[:, :0]


def _folds(rows: Sequence[int]) -> NDArray[np.int64]:
    """Return the fold of each row: whole episodes, or quarters of the rows of few episodes.

    Rows of an episode are correlated, so a fold with a part of an episode would not be independent.
    """
    if len(rows) >= FOLDS:
        return np.repeat(np.arange(len(rows)) % FOLDS, rows)
    return np.arange(sum(rows)) * FOLDS // sum(rows)


class _Moments:
    """Second moments of terms and residuals by fold, from which all regressions are computed.

    One pass over the rows is enough for every group of terms and every fold.

    Args:
        groups: terms (n, F) by effect.
        errors: residuals, (n, S).
        folds: fold of each row, (n,).
    """

    def __init__(
        self, groups: dict[Effect, Floats], errors: Floats, folds: NDArray[np.int64]
    ) -> None:
        columns = np.concatenate([np.ones((len(errors), 1)), *groups.values()], axis=1)
        # Unit root mean square, so that RIDGE penalizes all columns equally.
        rms = np.sqrt((columns**2).mean(axis=0))
        columns = columns / np.where(rms > 0, rms, 1.0)
        ends = np.cumsum([1, *(part.shape[1] for part in groups.values())])
        self._columns = {name: np.arange(ends[at], ends[at + 1]) for at, name in enumerate(groups)}
        masks = [folds == fold for fold in range(FOLDS)]
        self._rows = [int(mask.sum()) for mask in masks]
        self._terms = [columns[mask].T @ columns[mask] for mask in masks]  # (F, F)
        self._cross = [columns[mask].T @ errors[mask] for mask in masks]  # (F, S)
        self._power = [(errors[mask] ** 2).sum(axis=0) for mask in masks]  # (S,)

    def loss(self, names: Sequence[Effect]) -> Floats:
        """Return the squared error of each state, (S,), in squared units, on rows not fitted.

        Each fold is predicted by a regression on the other folds (cross-validation).
        """
        columns = np.concatenate([[0], *(self._columns[name] for name in names)]).astype(np.int64)
        square = np.ix_(columns, columns)
        loss = np.zeros(self._cross[0].shape[1])
        terms = np.sum(self._terms, axis=0)
        cross = np.sum(self._cross, axis=0)
        rows = sum(self._rows)
        for fold_terms, with_errors, power, count in zip(
            self._terms, self._cross, self._power, self._rows, strict=True
        ):
            # Times the rows of the fit, because the moments are sums, not means.
            penalty = RIDGE * (rows - count) * np.eye(len(columns))
            weights = np.linalg.solve(
                (terms - fold_terms)[square] + penalty, (cross - with_errors)[columns]
            )
            # |e - X w|² = e'e - 2 w' X'e + w' X'X w, from the moments of the fold.
            explained = 2.0 * (weights * with_errors[columns]).sum(axis=0)
            loss += power - explained + (weights * (fold_terms[square] @ weights)).sum(axis=0)
        return loss
