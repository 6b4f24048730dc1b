"""Errors of a predictor for each channel, in its unit, at every step of the horizon.

The errors one step ahead, the residuals, of a complete model are noise: they correlate neither with
each other nor with past actions.

Symbols: W windows, H history, T horizon, S states, A actions, n rows, L lags, τ a lag in steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_scale
from kinemill.dataset.windows import batches, episodes_of, gather, is_angle, window_starts
from kinemill.errors import BadInput
from kinemill.runtime.window_metrics import QUIETLY, Floats, Predictor, deviations
from kinemill.verify.comparison import horizons_of
from kinemill.verify.errors import Errors

CHUNK = 1024  # windows in one batch, which bounds memory

_LAGS = 25
_ROWS = 50_000  # enough rows: the bands are then narrower than any relevant effect
_NORMAL_99 = (
    2.5758293035489004  # 99 % of the values of a standard normal variable are within ± this
)


@QUIETLY
def evaluate(
    predictor: Predictor,
    dataset: PackedDataset,
    split: str = "test",
    horizon: int | Sequence[int] = 25,
    stride: int = 5,
    history: int | None = None,
) -> Errors:
    """Measure a predictor that gets the true actions and its own predictions as input.

    The errors are (W, S) at each horizon and (T, S) at each step, in units.

    Args:
        predictor: a `Simulator` or a baseline.
        dataset: evaluation data; channels in the predictor's order.
        split: `train`, `validation` or `test`.
        horizon: number of steps to predict, T, with errors stored at the steps of `horizons_of`; or
            the steps at which errors are stored, the largest of which is T.
        stride: rows between the starts of windows.
        history: rows of history in each window, at least the predictor's own, which is the default.
            The longest history of several predictors gives all of them the same windows.

    Raises:
        BadInput: The channels differ from the dataset's, or no episode has room for a window.
    """
    _same_channels(predictor, dataset)
    history_rows = max(history or 0, predictor.history)
    horizons = horizons_of(horizon) if isinstance(horizon, int) else sorted(set(horizon))
    last = horizons[-1]
    starts = window_starts(dataset, split, history_rows + last, stride)
    squares = np.zeros((last, len(dataset.states)))
    by_horizon: dict[int, list[Floats]] = {steps: [] for steps in horizons}
    sizes = np.zeros_like(squares)
    # Only sums over windows are kept for each step: all errors (W, T, S) can exceed the memory.
    for part in batches(starts, CHUNK):
        windows = gather(dataset, part, history_rows, last)
        error = deviations(predictor, windows, is_angle(dataset))
        squares += (error**2).sum(axis=0)
        sizes += np.abs(error).sum(axis=0)
        for steps in horizons:
            by_horizon[steps].append(error[:, steps - 1])
    return Errors(
        channels=tuple(dataset.states),
        units=tuple(dataset.units[name] for name in dataset.states),
        dt=dataset.dt,
        starts=starts,
        history=history_rows,
        stride=stride,
        by_horizon={steps: np.concatenate(parts) for steps, parts in by_horizon.items()},
        by_step=np.sqrt(squares / len(starts)),
        mae_by_step=sizes / len(starts),
        scale=training_scale(dataset),
        episode=episodes_of(dataset, split, starts),
    )


def _same_channels(predictor: Predictor, dataset: PackedDataset) -> None:
    for role in ("states", "actions"):
        channels = getattr(predictor, role, None)
        expected = list(getattr(dataset, role))
        if channels is not None and list(channels) != expected:
            raise BadInput(
                f"{role} of the model",
                f"are {list(channels)}",
                expected=f"{expected}, as in the dataset",
            )


@dataclass(frozen=True)
class Series:
    """One-step residuals of one episode, row by row.

    Attributes:
        errors: prediction minus truth, (n, S), in units; angles wrapped to [-π, π] rad.
        actions: actions during the step, (n, A), in units.
    """

    errors: Floats
    actions: Floats


@dataclass(frozen=True)
class Residuals:
    """Statistics that show how one-step residuals differ from white noise.

    Attributes:
        rows: number of residuals, n.
        mean: mean residual of each state, (S,), in units.
        std: standard deviation of the residuals of each state, (S,), in units.
        auto: autocorrelation at lags 1 to L, (L, S).
        band: half width of the 99 % band of the autocorrelations of white noise.
        ljung_box: statistic Q of each state, (S,).
        p: probability that white noise gives at least this Q, (S,).
        cross: correlation with the action τ steps before, τ from -L to L, (2 L + 1, S, A). A
            correlation at negative τ, with later actions, shows feedback in the logs.
        cross_band: half width of the 99 % band of uncorrelated signals, (S, A).
    """

    rows: int
    mean: Floats
    std: Floats
    auto: Floats
    band: float
    ljung_box: Floats
    p: Floats
    cross: Floats
    cross_band: Floats

    @property
    def lags(self) -> int:
        """Number of lags, L."""
        return len(self.auto)


def residuals_of(predictor: Predictor, dataset: PackedDataset, split: str) -> list[Series]:
    """Return the one-step residuals of whole episodes, in order, until there are `_ROWS` rows.

    Each episode gives errors (n, S) and actions (n, A), in units.
    """
    series = list[Series]()
    rows = 0
    history = predictor.history
    states = len(dataset.states)
    angle = is_angle(dataset)
    for episode in dataset.of(split):
        starts = np.arange(episode.start, episode.stop - history, dtype=np.int64)
        if not len(starts) or rows >= _ROWS:
            continue
        errors = [
            deviations(predictor, gather(dataset, p, history, 1), angle)[:, 0]
            for p in batches(starts, CHUNK)
        ]
        # The row before the predicted one, whose action acts during the step.
        present = dataset.take(starts + history - 1).astype(np.float64)
        series.append(Series(np.concatenate(errors), present[:, states:]))
        rows += len(starts)
    return series


@QUIETLY
def whiteness(series: list[Series]) -> Residuals:
    """Correlate residuals with themselves and with the actions, pooled over episodes.

    Each episode has errors (n, S) and actions (n, A); see `Residuals` for the results.
    """
    errors = _centered([item.errors for item in series])
    actions = _centered([item.actions for item in series])
    rows = sum(len(part) for part in errors)
    # At most a quarter of the longest episode: larger lags have too few pairs of rows.
    lags = max(1, min(_LAGS, max(len(part) for part in errors) // 4))
    # Not centered, so that `mean` shows the bias of the model.
    stacked = np.concatenate([item.errors for item in series])
    auto = np.stack([_correlation(errors, errors, lag) for lag in range(1, lags + 1)])
    autocorrelation = np.diagonal(auto, axis1=1, axis2=2)
    q, p = ljung_box(autocorrelation, rows)
    taus = range(-lags, lags + 1)
    acted = [_correlation(actions, actions, lag) for lag in range(1, lags + 1)]
    inputs = np.diagonal(np.stack(acted), axis1=1, axis2=2)
    return Residuals(
        rows=rows,
        mean=stacked.mean(axis=0),
        std=stacked.std(axis=0),
        auto=autocorrelation,
        band=_NORMAL_99 / np.sqrt(rows),
        ljung_box=q,
        p=p,
        cross=np.stack([_correlation(errors, actions, tau) for tau in taus]),
        cross_band=_cross_band(autocorrelation, inputs, rows),
    )


def ljung_box(auto: Floats, rows: int) -> tuple[Floats, Floats]:
    """Return statistic and p-value from autocorrelations at lags 1 to L: (L, S) -> (S,), (S,).

    Q = n (n + 2) Σ r_k² / (n - k) of n = `rows` values has a χ² distribution with L degrees of
    freedom for white noise (Ljung and Box 1978, Biometrika 65, p. 297, eq. 1.3).
    """
    from scipy.special import gammaincc  # 0.2 s

    # The survival function of χ²; importing it from scipy.stats would take a second.

    lag = np.arange(1, len(auto) + 1)[:, None]
    q = rows * (rows + 2) * (auto**2 / (rows - lag)).sum(axis=0)
    return q, np.asarray(gammaincc(len(auto) / 2, q / 2), dtype=np.float64)


def _cross_band(errors: Floats, actions: Floats, rows: int) -> Floats:
    """Return the 99 % bands from the autocorrelations of both: (L, S), (L, A) -> (S, A).

    √n r_τ tends to a normal variable with the variance Σ R_e(k) R_u(k), k from -∞ to ∞
    (Ljung 1999, System Identification, section 16.6). Here |k| is at most L, and the variance is at
    least 1.
    """
    variance = 1.0 + 2.0 * errors.T @ actions
    return _NORMAL_99 * np.sqrt(np.maximum(variance, 1.0) / rows)


def _centered(parts: list[Floats]) -> list[Floats]:
    mean = np.concatenate(parts).mean(axis=0)
    return [part - mean for part in parts]


def _correlation(first: list[Floats], second: list[Floats], tau: int) -> Floats:
    """Correlate `first` at row t with `second` at row t - tau: (n, P), (n, Q) -> (P, Q).

    Both are lists with an array per episode.
    """
    shape = first[0].shape[1], second[0].shape[1]
    product = np.zeros(shape)
    for x, y in zip(first, second, strict=True):
        # Pairs within an episode only; a negative tau pairs a residual with a later action.
        a, b = (x[tau:], y[: len(y) - tau]) if tau >= 0 else (x[:tau], y[-tau:])
        if len(a):
            product += a.T @ b
    powers = [
        np.sum([(part**2).sum(axis=0) for part in parts], axis=0) for parts in (first, second)
    ]
    size: NDArray[np.float64] = np.sqrt(np.outer(powers[0], powers[1]))
    # A channel that never moves has no power, and counts as uncorrelated.
    return np.divide(product, size, out=np.zeros(shape), where=size != 0)
