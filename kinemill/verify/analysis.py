"""Analysis of a model and its references on one split.

Verification uses the test split of a dataset, `kinemill model evaluate` any logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import Scale, training_scale
from kinemill.dataset.windows import gather
from kinemill.runtime import Floats, Predictor, Simulator
from kinemill.runtime.window_metrics import is_moving
from kinemill.verify.accuracy import Residuals, evaluate, residuals_of, whiteness
from kinemill.verify.calibration import calibrate
from kinemill.verify.comparison import FREE_RUN, MARGIN, Comparisons, horizons_of
from kinemill.verify.errors import Errors
from kinemill.verify.free_run import FreeRun, free_run
from kinemill.verify.results import (
    Accuracy,
    AnalysisResults,
    CalibrationCurves,
    ChannelAccuracy,
    ChannelError,
    ChannelResiduals,
    FreeRunErrors,
    InputCorrelation,
    LjungBox,
    Metrics,
    ResidualStatistics,
    WindowCounts,
    WorstEpisode,
)

MODEL = "model"


@dataclass(frozen=True)
class Analysis:
    """Results of an analysis.

    Attributes:
        dataset: the dataset with the episodes.
        predictors: predictors by name; `model` first.
        errors: errors over the horizon, by name.
        free_runs: errors over whole episodes, by name.
        comparisons: comparisons of the model with each reference, by name, at every horizon and in
            free run.
        residuals: one-step residuals of the model.
        calibration: calibration of the uncertainty that the model states; None if it states none.
    """

    dataset: PackedDataset
    predictors: dict[str, Predictor]
    errors: dict[str, Errors]
    free_runs: dict[str, FreeRun]
    comparisons: dict[str, Comparisons]
    residuals: Residuals
    calibration: CalibrationCurves | None

    @property
    def model(self) -> Errors:
        """Errors of the model."""
        return self.errors[MODEL]


@dataclass(frozen=True)
class Measurement:
    """Settings of an analysis.

    Attributes:
        horizon: number of steps to predict.
        stride: rows between the starts of windows.
        margin: margin of `Comparison.p_worse`.
        steps: horizons in addition to those of `horizons_of`; at most `horizon`.
        scale: scale of errors; None for that of the dataset's own training rows.
    """

    horizon: int
    stride: int
    margin: float = MARGIN
    scale: Scale | None = None
    steps: tuple[int, ...] = ()


def analyze(
    predictors: Mapping[str, Predictor],
    dataset: PackedDataset,
    split: str,
    measurement: Measurement,
    whole: Mapping[str, Predictor] | None = None,
) -> Analysis:
    """Measure every predictor on the same windows and the same episodes.

    Args:
        predictors: predictors by name, `model` first.
        dataset: data with the channels in the order of the predictors.
        split: split of the episodes.
        measurement: horizon and scale.
        whole: predictors for whole episodes, by name, `model` first; default `predictors`. The
            caller leaves out an unstable reference, or replaces it by a stable one of its family.

    Raises:
        BadInput: The channels differ from the dataset's, or no episode is long enough.
    """
    whole = whole or predictors
    scale = measurement.scale or training_scale(dataset)
    horizon = measurement.horizon
    stride = measurement.stride
    margin = measurement.margin
    history = max(predictor.history for predictor in (*predictors.values(), *whole.values()))
    steps = (*horizons_of(horizon), *measurement.steps)
    errors = {
        name: replace(evaluate(predictor, dataset, split, steps, stride, history), scale=scale)
        for name, predictor in predictors.items()
    }
    runs = {
        name: free_run(predictor, dataset, split, history, scale)
        for name, predictor in whole.items()
    }
    return Analysis(
        dataset=dataset,
        predictors=dict(predictors),
        errors=errors,
        free_runs=runs,
        comparisons={
            name: compare(errors[MODEL], reference_errors, margin, runs[MODEL], runs.get(name))
            for name, reference_errors in errors.items()
            if name != MODEL
        },
        residuals=whiteness(residuals_of(predictors[MODEL], dataset, split)),
        calibration=_calibration(predictors[MODEL], dataset, split, errors[MODEL]),
    )


def compare(
    model: Errors,
    reference: Errors,
    margin: float = MARGIN,
    model_run: FreeRun | None = None,
    reference_run: FreeRun | None = None,
) -> Comparisons:
    """Compare a model with a reference at every horizon and, with two free runs, in free run."""
    comparisons = model.compare(reference, margin)
    if model_run is not None and reference_run is not None:
        comparisons[FREE_RUN] = model_run.compare(reference_run, margin)
    return comparisons


def _calibration(
    model: Predictor, dataset: PackedDataset, split: str, errors: Errors
) -> CalibrationCurves | None:
    if not isinstance(model, Simulator):
        return None
    starts = errors.starts
    belief = model.interface.belief
    if belief is not None and belief.conformal is not None and belief.conformal.online:
        # Every row, as on a robot, whatever the stride of the errors.
        starts = dataset.window_starts(split, errors.history + errors.horizon)
    windows = gather(dataset, starts, errors.history, errors.horizon)
    return calibrate(model, windows, starts)


def window_errors(errors: Errors) -> Floats:
    """Return the error of each window at the last step, (W,), in training standard deviations.

    It is the mean over the channels that move in training; infinite if a prediction diverged.
    """
    moves = is_moving(errors.std)
    relative = np.abs(errors.errors[:, moves]) / errors.std[moves]
    return np.nan_to_num(relative.mean(axis=1), nan=np.inf)


def worst_episodes(analysis: Analysis) -> list[WorstEpisode]:
    """Return the episodes that windows start in, the one with the largest error first."""
    model = analysis.model
    run = analysis.free_runs[MODEL]
    errors_by_window = window_errors(model)
    episodes = list[WorstEpisode]()
    for episode, free in zip(run.episodes, run.by_episode, strict=True):
        inside = (model.starts >= episode.start) & (model.starts < episode.stop)
        if not inside.any():
            continue
        worst = int(model.starts[inside][np.argmax(errors_by_window[inside])])
        rmse = np.sqrt((model.errors[inside] ** 2).mean(axis=0))
        episodes.append(
            WorstEpisode(
                episode=episode.id,
                name=episode.name,
                rows=episode.rows,
                windows=int(inside.sum()),
                error=float(errors_by_window[inside].mean()),
                worst_from=(worst + model.history - 1 - episode.start) * model.dt,
                rmse=dict(zip(model.channels, rmse.tolist(), strict=True)),
                free_run=dict(zip(model.channels, free.tolist(), strict=True)),
            )
        )
    return sorted(episodes, key=lambda item: -item.error)


def accuracy(errors: Errors) -> Accuracy:
    """Return the errors of one model as a part of a document."""
    by_channel, (low, high) = errors.intervals()
    return Accuracy(
        nrmse=errors.nrmse,
        nrmse_interval=(float(low), float(high)),
        left_out=list(errors.constant),
        channels={
            name: ChannelAccuracy(
                unit=errors.units[index],
                std=float(errors.scale.std[index]),
                resolution=float(errors.scale.resolution[index]),
                noise=float(errors.scale.noise[index]),
                tolerance=float(errors.scale.tolerance[index]),
                rmse=float(errors.rmse[index]),
                interval=(float(by_channel[index, 0]), float(by_channel[index, 1])),
                mean=float(errors.mean[index]),
                mae=float(errors.mae[index]),
                mse=float(errors.mse[index]),
                by_step=errors.by_step[:, index].tolist(),
                mae_by_step=errors.mae_by_step[:, index].tolist(),
                mse_by_step=(errors.by_step[:, index] ** 2).tolist(),
            )
            for index, name in enumerate(errors.channels)
        },
    )


def metrics_of(errors: Mapping[str, Errors]) -> Metrics:
    """Return the errors of each model at the horizon, `model` first, as a part of a document."""
    if not errors:
        return Metrics()
    model = errors[MODEL]
    notes = model.notes()
    return Metrics(
        test={
            name: ChannelError(
                unit=model.units[index],
                rmse={
                    who: float(channel_errors.rmse[index]) for who, channel_errors in errors.items()
                },
                note=notes.get(name, ""),
            )
            for index, name in enumerate(model.channels)
        },
        nrmse={who: channel_errors.nrmse for who, channel_errors in errors.items()},
    )


def window_counts(model: Errors) -> WindowCounts:
    """Return the amount of test data behind the errors of a model as a part of a document."""
    return WindowCounts(
        count=len(model.starts),
        history=model.history,
        horizon=model.horizon,
        stride=model.stride,
        seconds=model.horizon * model.dt,
        effective_n=model.effective_n,
        unit=model.unit,
    )


def analysis_results(analysis: Analysis) -> AnalysisResults:
    """Return free run, residuals, worst episodes and calibration as a part of a document."""
    model = analysis.model
    return AnalysisResults(
        free_run={
            who: FreeRunErrors(
                nrmse=run.nrmse,
                rmse=dict(zip(model.channels, run.rmse.tolist(), strict=True)),
                episodes=len(run.episodes),
                steps=int(run.steps.sum()),
            )
            for who, run in analysis.free_runs.items()
        },
        residuals=_residuals(analysis),
        worst=worst_episodes(analysis)[:10],
        calibration=analysis.calibration,
    )


def _residuals(analysis: Analysis) -> ResidualStatistics:
    residuals = analysis.residuals
    model = analysis.model
    return ResidualStatistics(
        rows=residuals.rows,
        lags=residuals.lags,
        band=float(residuals.band),
        channels={
            name: ChannelResiduals(
                unit=model.units[index],
                mean=float(residuals.mean[index]),
                std=float(residuals.std[index]),
                autocorrelation=residuals.auto[:, index].tolist(),
                ljung_box=LjungBox(float(residuals.ljung_box[index]), float(residuals.p[index])),
                inputs={
                    action: InputCorrelation(
                        correlation=residuals.cross[:, index, column].tolist(),
                        band=float(residuals.cross_band[index, column]),
                    )
                    for column, action in enumerate(analysis.dataset.actions)
                },
            )
            for index, name in enumerate(model.channels)
        },
    )


def stated_scale(accuracy: Mapping[str, Accuracy], states: Sequence[str]) -> Scale | None:
    """Return the scale (S,), in units, that a document states; None if it states none."""
    channels = accuracy["model"].channels if "model" in accuracy else {}
    if any(name not in channels for name in states):
        return None
    keys = "std", "resolution", "noise", "tolerance"
    values = np.array([[getattr(channels[name], key) for key in keys] for name in states])
    return Scale(*values.T) if np.isfinite(values).all() else None
