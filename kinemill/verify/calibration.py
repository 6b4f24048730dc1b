"""Calibration: coverage of a model's stated uncertainty.

Symbols: W windows, T horizon, S states.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.interval_tracker import IntervalTracker
from kinemill.runtime.uncertainty import corrected
from kinemill.runtime.window_metrics import QUIETLY, Floats, Windows
from kinemill.verify.results import CalibrationCurves
from kinemill.verify.test_inputs import Array

Rows = NDArray[np.int64]
LEVELS = (0.5, 0.9)
CHUNK = 1024  # windows in one batch, which bounds memory


@QUIETLY
def calibration_of(channels: Sequence[str], errors: Floats, deviation: Floats) -> CalibrationCurves:
    """Compare errors with stated standard deviations, for Gaussian intervals.

    An interval of level p goes from -z to z standard deviations, where z is the quantile
    (1 + p) / 2 of the normal distribution. Values that are not finite lie in no interval.

    Args:
        channels: names of the S states.
        errors: prediction minus truth, (W, T, S), in units; angles wrapped to [-π, π] rad.
        deviation: stated standard deviations, (W, T, S), in the same units.

    Raises:
        BadInput: The shapes differ.
    """
    if errors.shape != deviation.shape or errors.ndim != 3 or not len(errors):
        text = f"errors are {errors.shape}, deviations {deviation.shape}"
        raise BadInput("calibration", text, expected="(windows, horizon, states) of both")

    def by_channel(values: Floats) -> dict[str, list[float]]:
        return dict(zip(channels, values.T.tolist(), strict=True))

    bounds = {level: NormalDist().inv_cdf((1.0 + level) / 2.0) * deviation for level in LEVELS}
    return CalibrationCurves(
        windows=len(errors),
        coverage={
            f"{level:g}": by_channel((np.abs(errors) <= bound).mean(axis=0))
            for level, bound in bounds.items()
        },
        deviation=by_channel(np.sqrt(np.square(deviation).mean(axis=0))),
        rmse=by_channel(np.sqrt(np.square(errors).mean(axis=0))),
    )


def online_factors(errors: Floats, deviation: Floats, starts: Rows) -> Floats:
    """Return the factors on the deviations (W, T, S) of intervals that follow the run's errors.

    Args:
        errors: prediction minus truth, (W, T, S).
        deviation: that was stated, (W, T, S).
        starts: first rows of the windows, (W,): consecutive, or greater after a gap.
    """
    count, steps, states = errors.shape
    tracker = IntervalTracker(steps, states)
    factors = np.empty_like(errors)
    first = 0
    for window in range(count):
        if window and starts[window] != starts[window - 1] + 1:
            tracker.note_gap()
            first = window
        lead = np.arange(min(steps, window - first))
        tracker.update(errors[window - 1 - lead, lead], deviation[window - 1 - lead, lead])
        factors[window] = tracker.factor(steps)
    return factors


def calibrate(simulator: Simulator, windows: Windows, starts: Rows) -> CalibrationCurves | None:
    """Return the calibration of a model on windows; None if it states no uncertainty.

    Args:
        simulator: the model.
        windows: W of them.
        starts: their first rows (W,), as in `online_factors` if the model's intervals are online.
    """
    if simulator.interface.belief is None:
        return None
    skip = windows.states.shape[1] - simulator.history
    errors = list[Floats]()
    deviations = list[Array]()
    conformal = simulator.interface.belief.conformal
    angle = simulator.interface.is_angle
    for first in range(0, len(windows.truth), CHUNK):
        chunk = slice(first, first + CHUNK)
        # The correction is applied below, so that one rollout gives the coverage with and without.
        predicted, deviation = simulator.rollout_deviation(
            windows.states[chunk, skip:],
            windows.past_actions[chunk, skip:],
            windows.actions[chunk],
            conformal=False,
        )
        errors.append(wrapped(predicted - windows.truth[chunk], angle))
        deviations.append(deviation)
    error = np.concatenate(errors)
    deviation = np.concatenate(deviations)
    stated = calibration_of(simulator.states, error, deviation)
    if conformal is None:
        return stated
    after = np.sqrt(corrected(conformal, np.square(deviation, dtype=np.float64)))
    result = calibration_of(simulator.states, error, after)
    if not conformal.online:
        return replace(result, uncorrected=stated.coverage)
    tracked = len(conformal.scale)
    offline = result.coverage
    factors = online_factors(error[:, :tracked], after[:, :tracked], starts)
    after = after * factors[:, np.minimum(np.arange(after.shape[1]), tracked - 1)]
    result = calibration_of(simulator.states, error, after)
    return replace(result, uncorrected=stated.coverage, offline=offline)
