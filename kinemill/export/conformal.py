"""Conformal correction of a model's standard deviations, from errors on validation episodes.

Split conformal prediction with scaled residuals (Lei et al. 2018, section 5.2; Papadopoulos et
al. 2008), for each step and state:

    score = |prediction - truth| / sqrt(σ² + floor²)
    scale = quantile of the scores at (1 + 1/n) 0.9, over the 0.95 quantile of the normal

with σ the stated standard deviation. The floor, a share of the validation error, keeps the score
finite where members agree by chance. Windows that overlap depend on each other, so n counts those
that do not. The guarantee holds for episodes like the validation ones, which also selected the
checkpoint of the training; verification measures the coverage on the test episodes.

Symbols: W windows, H history, T horizon, S states.
"""

from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.windows import batches
from kinemill.errors import BadInput
from kinemill.export.step import TrainedStep
from kinemill.runtime import Conformal, Interface, wrapped
from kinemill.runtime.window_metrics import QUIETLY, Floats, cut_windows, evenly_spaced
from kinemill.train.ensemble import Ensemble

WHERE = "export.conformal"
HORIZON = 50  # steps with separate corrections; later steps use that of the last one
LEVEL = 0.9
MOST = 2048
CHUNK = 256  # of the intervals; windows; windows in memory
FLOOR = 0.1  # share of the RMSE on validation windows
DIGITS = 4  # significant digits in the metadata


def conform(step: TrainedStep, interface: Interface, rows: PackedDataset | None) -> Conformal:
    """Return the correction of an ensemble's standard deviations.

    Raises:
        BadInput: The model has no uncertainty, there are no validation episodes longer than the
            history, or a prediction on them is not finite.
    """
    if not isinstance(step, Ensemble):
        fix = "train with learn.ensemble, or with learn.loss: gaussian"
        raise BadInput(WHERE, "the model has no uncertainty to correct", fix=fix)
    history = interface.history
    episodes = rows.of("validation") if rows else []
    longest = max((episode.rows for episode in episodes), default=0)
    horizon = min(HORIZON, longest - history)
    if rows is None or horizon < 1:
        message = f"the longest validation episode has {longest} rows"
        raise BadInput(WHERE, message, expected=f"more than the history of {history}")
    starts = evenly_spaced(rows.window_starts("validation", history + horizon), MOST)
    parts = [_errors(step, interface, rows, part, horizon) for part in batches(starts, CHUNK)]
    errors, variance = (np.concatenate(part) for part in zip(*parts, strict=True))
    if not (np.isfinite(errors).all() and np.isfinite(variance).all()):
        message = "its predictions on validation episodes are not finite"
        raise BadInput(WHERE, message, fix="train with longer rollouts (learn.horizon)")
    used = [episode.rows - history for episode in episodes if episode.rows >= history + horizon]
    # Windows of k predicted rows that do not overlap: length // k in each episode.
    independent = [sum(length // steps for length in used) for steps in range(1, horizon + 1)]
    return correction_of(errors, variance, np.array(independent, dtype=np.float64))


@QUIETLY
def correction_of(errors: Floats, variance: Floats, independent: Floats) -> Conformal:
    """Return the correction that makes 90 % intervals cover 90 % of the errors.

    Args:
        errors: prediction minus truth, (W, T, S), finite.
        variance: variance that the model predicts, (W, T, S), in squared units, finite.
        independent: number of windows that do not overlap, at least one, by step (T,).

    Returns:
        Scale and floor (T, S), see the module.
    """
    floor = FLOOR * np.sqrt(np.square(errors).mean(axis=0))
    scores = np.abs(errors) / np.sqrt(variance + floor**2)
    scores = np.nan_to_num(scores, nan=0.0)  # 0 / 0: neither an error nor a deviation
    # (1 + 1/n) 0.9: the finite-sample correction of split conformal prediction.
    levels = np.minimum(LEVEL * (1.0 + 1.0 / independent), 1.0)
    quantiles = np.array(
        [np.quantile(scores[:, index], level, axis=0) for index, level in enumerate(levels)]
    )
    # A state without any error, such as a constant one, keeps the predicted deviation.
    scale = np.where(quantiles > 0.0, quantiles / NormalDist().inv_cdf((1.0 + LEVEL) / 2.0), 1.0)
    return Conformal(_table(scale), _table(floor), len(errors))


def _errors(
    step: Ensemble,
    interface: Interface,
    rows: PackedDataset,
    starts: NDArray[np.int64],
    horizon: int,
) -> tuple[Floats, Floats]:
    """Return errors and predicted variances of the windows that begin at `starts`, (W, T, S)."""
    windows = cut_windows(rows.values, len(rows.states), starts, interface.history, horizon)
    parts = (windows.states, windows.past_actions, windows.actions)
    states, past, actions = (torch.from_numpy(part.astype(np.float32)) for part in parts)
    with torch.no_grad():
        predicted, offsets, variance = step.bundle(*step.estimate_history(states, past), actions)
    angle = interface.is_angle
    errors = wrapped(predicted.double().numpy() - windows.truth, angle)
    return errors, (variance + offsets.square().mean(dim=2)).double().numpy()


def _table(values: Floats) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(f"{number:.{DIGITS}g}") for number in row) for row in values)
