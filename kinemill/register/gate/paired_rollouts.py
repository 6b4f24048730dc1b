"""Rollouts of two models on the same rows, compared at all horizons and in free run.

Symbols: W windows, H history, S states, Y outputs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import scale_of
from kinemill.register.gate.inputs import Paired
from kinemill.runtime import QUIETLY, Floats, Predictor, Simulator
from kinemill.runtime.window_metrics import in_std
from kinemill.task import Task
from kinemill.task.promote import FREE_RUN
from kinemill.verify.accuracy import evaluate
from kinemill.verify.analysis import compare
from kinemill.verify.comparison import NRMSE, Comparison
from kinemill.verify.errors import Errors
from kinemill.verify.free_run import FreeRun, free_run
from kinemill.verify.losses import counted_horizons
from kinemill.verify.output_errors import output_deviations
from kinemill.verify.significance import compare_squares

SPLIT = "test"
# Tolerances between a reference and its exported float32 files: a share of the error, and rounding
# in units of the training std.
_TOLERANCE = 0.01
_ROUNDING = 1e-5
# For channels without an error to compare.
_NOTHING = Comparison(math.nan, math.nan, math.nan, math.nan, 0.0, "blocks", math.nan, math.nan)


@dataclass(frozen=True)
class RolledOut:
    """Errors of one model over windows and, if measured, over whole episodes."""

    errors: Errors
    run: FreeRun | None


def roll_out(model: Predictor, rows: PackedDataset, task: Task, history: int) -> RolledOut:
    """Measure a model over the windows and the whole episodes of the test split.

    Raises:
        BadInput: The channels differ from the dataset's, or no episode is as long as a window.
    """
    return RolledOut(errors_of(model, rows, task, history), free_run(model, rows, SPLIT, history))


def errors_of(model: Predictor, rows: PackedDataset, task: Task, history: int) -> Errors:
    """Measure a model over the windows of the test split only; see `roll_out`."""
    settings = task.verify
    keys = counted_horizons(task.promote, settings.horizon)
    steps = {int(key) for key in keys if key != FREE_RUN} | {settings.horizon}
    return evaluate(model, rows, SPLIT, sorted(steps), settings.stride, history)


def error_of(errors: Errors, channel: str | None) -> float:
    """Return nrmse, or the RMSE of one channel in its unit; infinite if any channel diverges."""
    if not math.isfinite(errors.nrmse):
        return math.inf
    return errors.nrmse if channel is None else float(errors.rmse[errors.channels.index(channel)])


def pair(
    model_run: RolledOut, reference_run: RolledOut, channel: str | None, margin: float
) -> Paired:
    """Compare two models on the same rows, at every horizon and over whole episodes.

    Args:
        model_run: rollouts of the challenger.
        reference_run: rollouts of the other model; without whole episodes it counts as diverging in
            free run.
        channel: channel of `promote.metric`; None for nrmse.
        margin: margin of `Comparison.p_worse`.
    """
    comparisons = compare(
        model_run.errors, reference_run.errors, margin, model_run.run, reference_run.run
    )
    if FREE_RUN not in comparisons and model_run.run is not None:
        comparisons[FREE_RUN] = _runs_alone(model_run.run)
    still = dict.fromkeys(model_run.errors.constant, _NOTHING)  # constant channels
    headline = comparisons[str(model_run.errors.horizon)].get(channel or NRMSE, _NOTHING)
    model, reference = (error_of(item.errors, channel) for item in (model_run, reference_run))
    complete = {key: still | by for key, by in comparisons.items()}
    return Paired.of(model, reference, headline, complete)


def _runs_alone(run: FreeRun) -> dict[str, Comparison]:
    """Return the comparison over whole episodes with a reference that diverges there."""
    relative = [float(value) for value in run.rmse / np.where(run.std > 0, run.std, np.nan)]
    errors = dict(zip(run.channels, relative, strict=True)) | {NRMSE: run.nrmse}
    return {
        name: replace(_NOTHING, error=error, reference=math.inf)
        for name, error in errors.items()
        if not math.isnan(error)
    }


@QUIETLY
def is_same_model(model_run: RolledOut, reference_run: RolledOut) -> bool:
    """Return whether two models are the same except for rounding.

    At every horizon the difference of their predictions is a small part of their errors.
    """
    return all(
        _rms(error - reference_run.errors.by_horizon[steps], model_run)
        <= _TOLERANCE * _rms(reference_run.errors.by_horizon[steps], model_run) + _ROUNDING
        for steps, error in model_run.errors.by_horizon.items()
    )


def _rms(values: Floats, model_run: RolledOut) -> float:
    """Return the root mean square of (W, S) in training std, over channels that move there."""
    return float(np.sqrt((in_std(values, model_run.errors.std) ** 2).mean()))


@QUIETLY
def output_comparisons(
    models: tuple[Simulator, Simulator], rows: PackedDataset, errors: Errors, margin: float
) -> Mapping[str, Mapping[str, Comparison]]:
    """Compare the outputs that both models have, by steps as text and by name.

    After k steps the output belongs to the row k ahead, which needs k predicted states. At the
    horizon T it belongs to row T - 1, the last row with a known action.
    """
    names = [name for name in rows.outputs if all(name in model.outputs for model in models)]
    if not names or rows.output_values is None:
        return {}
    # A dataset of outputs alone, so that their scale is estimated like that of states.
    values = replace(rows, segments=[rows.output_values])
    columns = np.array([rows.outputs.index(name) for name in names])
    scale = scale_of(values, columns, np.zeros(len(names), dtype=bool))
    present = errors.starts + errors.history - 1
    # Outputs end one row before the states, so the horizon T is compared at row T - 1.
    offsets = np.minimum(list(errors.by_horizon), errors.horizon - 1)
    model_run, reference_run = (
        output_deviations(model, rows, names, present, offsets) for model in models
    )
    return {
        str(steps): dict(
            zip(
                names,
                compare_squares(
                    (model_run[:, at] ** 2, reference_run[:, at] ** 2),
                    scale,
                    errors.episode,
                    errors.overlap(steps),
                    margin,
                )[1:],
                strict=True,
            )
        )
        for at, steps in enumerate(errors.by_horizon)
    }
