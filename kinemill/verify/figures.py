"""Figures of a report: error growth, rollouts, residuals and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.dataset.windows import gather, is_angle
from kinemill.reports.charts import Line, Whisker, axis_label, line_chart, number, value_range
from kinemill.reports.components import figure
from kinemill.runtime import wrapped
from kinemill.runtime.window_metrics import Floats, Windows, is_moving, predict
from kinemill.verify.analysis import Analysis, window_errors
from kinemill.verify.calibration import LEVELS
from kinemill.verify.errors import Errors
from kinemill.verify.phrases import label
from kinemill.verify.results import CalibrationCurves

_TIME = "time from the start of the prediction, s"
_DRAWN = ("champion", "model")  # drawn in rollouts in addition to the best reference
MOST = 12  # most channels in a figure; of more, those with the largest error are drawn
_EVEN = (2, 4)  # numbers of charts that fill rows of two


def pictured(errors: Errors) -> list[int]:
    """Return the indexes of the states to draw, in order: all, or those with the largest error."""
    std = errors.std
    relative = np.divide(errors.rmse, std, out=np.zeros_like(std), where=is_moving(std))
    worst = np.argsort(-np.nan_to_num(relative, nan=np.inf), kind="stable")[:MOST]
    return sorted(worst.tolist())


def error_growth(analysis: Analysis) -> str:
    """Draw the RMSE of all predictors over the prediction time, one chart per state."""
    model = analysis.model
    intervals, _ = model.intervals()
    time = np.arange(model.horizon + 1, dtype=np.float64) * model.dt
    indexes = pictured(model)
    charts = list[str]()
    for index in indexes:
        lines = [
            Line(
                f"{label(name)}: {number(errors.rmse[index])} {model.units[index]}",
                name,
                time,
                np.concatenate([[0.0], errors.by_step[:, index]]),
            )
            for name, errors in reversed(analysis.errors.items())
        ]
        model_top = lines[-1].y[np.isfinite(lines[-1].y)].max(initial=0.0)
        values = np.concatenate([line.y for line in lines])
        # Limit the axis, because the errors of a diverging model would flatten all other curves.
        top = min(values[np.isfinite(values)].max(initial=0.0), 8.0 * model_top or np.inf)
        low, high = intervals[index]
        bars = [Whisker(float(time[-1]), low, high, "model")] if np.isfinite(high) else []
        chart = line_chart(
            lines,
            labels=("time ahead, s", axis_label("RMSE", model.units[index])),
            size=(520, 252) if len(indexes) in _EVEN else (340, 212),
            y=(0.0, 1.05 * top or 1.0),
            whiskers=bars,
        )
        charts.append(figure(model.channels[index], model.units[index], chart))
    return _grid(charts)


def _grid(charts: Sequence[str]) -> str:
    even = " even" if len(charts) in _EVEN else ""
    return f'<div class="grid{even}">{"".join(charts)}</div>'


@dataclass(frozen=True)
class Example:
    """A window to draw, and its title."""

    title: str
    window: int


def three_examples(errors: Errors) -> list[Example]:
    """Return the windows with the median error, the 90th percentile, and the largest error."""
    order, last = _ranked(errors)
    ranks = {"Typical": last // 2, "Hard": round(0.9 * last), "Worst": last}
    return [Example(title, int(order[rank])) for title, rank in ranks.items()]


def ranked_examples(errors: Errors, count: int) -> list[Example]:
    """Return `count` windows, evenly spaced from the best to the worst; a single one is the median.

    There are fewer if fewer windows exist.
    """
    order, last = _ranked(errors)
    count = min(count, last + 1)
    shares = [0.5] if count == 1 else [index / (count - 1) for index in range(count)]
    titles = {0.0: "Best", 0.5: "Median", 1.0: "Worst"}
    return [
        Example(titles.get(share, f"Better than {1 - share:.0%}"), int(order[round(share * last)]))
        for share in shares
    ]


def _ranked(errors: Errors) -> tuple[NDArray[np.int64], int]:
    order = np.argsort(window_errors(errors), kind="stable")
    return order, len(order) - 1


def rollouts(analysis: Analysis, examples: Sequence[Example]) -> str:
    """Draw windows side by side: measured values, model, champion and best reference."""
    model = analysis.model
    dataset = analysis.dataset
    starts = model.starts[[example.window for example in examples]]
    windows = gather(dataset, starts, model.history, model.horizon)
    predicted = {name: unwrapped(analysis, name, windows) for name in rollout_models(analysis)}
    columns = list[str]()
    for row, example in enumerate(examples):
        position = _position(dataset, int(starts[row]), model)
        charts = [
            figure(
                model.channels[index],
                model.units[index],
                _rollout_chart(windows, predicted, index, row, model),
            )
            for index in pictured(model)
        ]
        charts += [
            figure(
                name,
                dataset.units[name],
                _actions(windows, index, row, model, axis_label(name, dataset.units[name])),
            )
            for index, name in enumerate(dataset.actions[:MOST])
        ]
        head = f'<div class="column"><b>{example.title}</b>{position}</div>'
        columns.append(f'<div class="example">{head}{"".join(charts)}</div>')
    return f'<div class="rows">{"".join(columns)}</div>'


def rollout_models(analysis: Analysis) -> list[str]:
    """Return the names of the best reference, the champion and the model, in drawing order."""
    errors = {name: model_errors.nrmse for name, model_errors in analysis.errors.items()}
    finite = [name for name in errors if name not in _DRAWN and np.isfinite(errors[name])]
    best = min(finite, key=lambda name: errors[name], default=None)
    return [name for name in (best, *_DRAWN) if name in analysis.predictors]


def unwrapped(analysis: Analysis, name: str, windows: Windows) -> Floats:
    """Return predictions (W, T, S), in units, with angles within half a turn of the truth."""
    predicted = predict(analysis.predictors[name], windows)
    return windows.truth + wrapped(predicted - windows.truth, is_angle(analysis.dataset))


def _position(dataset: PackedDataset, start: int, errors: Errors) -> str:
    episode = next(item for item in dataset.episodes if item.start <= start < item.stop)
    seconds = (start + errors.history - 1 - episode.start) * dataset.dt
    return f"{escape(episode.name)}, from {seconds:.2f} s"


def _rollout_chart(
    windows: Windows, predicted: dict[str, Floats], index: int, row: int, errors: Errors
) -> str:
    past, future = _times(errors)
    history = windows.states[row, :, index]
    truth = windows.truth[row, :, index]
    now = history[-1:]
    lines = [
        Line(label(name), name, future, np.concatenate([now, values[row, :, index]]))
        for name, values in predicted.items()
    ]
    measured = np.concatenate([history, truth])
    lines.insert(1, Line("measured", "truth", np.concatenate([past, future[1:]]), measured))
    low = measured.min()
    high = measured.max()
    model = lines[-1].y[np.isfinite(lines[-1].y)]
    low = min(low, model.min(initial=low))
    high = max(high, model.max(initial=high))
    room = 0.08 * (high - low) or 0.1  # a constant channel has no range
    ends = (float(low - room), float(high + room))
    labels = (_TIME, axis_label(errors.channels[index], errors.units[index]))
    return line_chart([_start(ends), *lines], labels=labels, size=(340, 182), y=ends)


def _actions(windows: Windows, index: int, row: int, errors: Errors, label: str) -> str:
    past, future = _times(errors)
    values = np.concatenate([windows.past_actions[row, :, index], windows.actions[row, :, index]])
    time = np.concatenate([past, future[1:-1]])
    line = Line(
        "action", "action", np.append(time, future[-1]), np.append(values, values[-1]), True
    )
    ends = value_range([line])
    return line_chart([_start(ends), line], labels=(_TIME, label), size=(340, 132), y=ends)


def _start(ends: tuple[float, float]) -> Line:
    """Return a dashed line at the start of the prediction, over the range of the vertical axis."""
    return Line("start of the prediction", "now", np.zeros(2), np.array(ends))


def _times(errors: Errors) -> tuple[Floats, Floats]:
    """Return times of the known rows (H,), up to 0, and of predictions (T+1,), from 0, in s."""
    past = np.arange(1 - errors.history, 1, dtype=np.float64) * errors.dt
    return past, np.arange(errors.horizon + 1, dtype=np.float64) * errors.dt


def autocorrelations(analysis: Analysis) -> str:
    """Draw the autocorrelation of the model's one-step residuals, one chart per state."""
    residuals = analysis.residuals
    model = analysis.model
    lags = np.arange(1, residuals.lags + 1, dtype=np.float64)
    charts = [
        figure(
            model.channels[index],
            f"Ljung-Box p = {number(float(residuals.p[index]))}",
            _stems(lags, residuals.auto[:, index], float(residuals.band)),
        )
        for index in pictured(model)
    ]
    return _grid(charts)


def cross_correlations(analysis: Analysis) -> str:
    """Draw the correlation of each state's residuals with the most correlated action."""
    residuals = analysis.residuals
    model = analysis.model
    actions = analysis.dataset.actions
    taus = np.arange(-residuals.lags, residuals.lags + 1, dtype=np.float64)
    charts = list[str]()
    for index in pictured(model):
        size = (
            np.abs(residuals.cross[residuals.lags :, index]).max(axis=0)
            / residuals.cross_band[index]
        )
        column = int(np.argmax(np.nan_to_num(size)))
        name = f"{model.channels[index]} and {actions[column]}"
        band = float(residuals.cross_band[index, column])
        charts.append(figure(name, "", _stems(taus, residuals.cross[:, index, column], band)))
    return _grid(charts)


def coverages(calibration: CalibrationCurves, errors: Errors) -> str:
    """Draw the coverage of each interval over the prediction time, one chart per state."""
    time = np.arange(1, errors.horizon + 1, dtype=np.float64) * errors.dt
    labels = ("time ahead, s", "share of windows")
    ends = np.array([time[0], time[-1]])
    charts = list[str]()
    for name in (errors.channels[index] for index in pictured(errors)):
        lines = [Line(f"{level:.0%} wanted", "limit", ends, np.full(2, level)) for level in LEVELS]
        lines += [
            Line(f"{level:.0%} intervals", "model", time, np.array(coverage[name]))
            for level, coverage in zip(LEVELS, calibration.coverage.values(), strict=True)
        ]
        charts.append(figure(name, "", line_chart(lines, labels=labels, y=(0.0, 1.05))))
    return _grid(charts)


def _stems(lags: Floats, values: Floats, band: float) -> str:
    """Draw correlations (L,) by lag as stems, with the 99 % band of white noise."""
    ends = np.array([lags[0], lags[-1]])
    lines = [Line("99 % band", "limit", ends, np.full(2, end)) for end in (-band, band)]
    lines.append(Line("0", "truth", ends, np.zeros(2)))
    finite = np.nan_to_num(values)
    stems = [
        Whisker(float(lag), min(0.0, float(value)), max(0.0, float(value)), "stem")
        for lag, value in zip(lags, finite, strict=True)
    ]
    most = 1.1 * max(float(np.abs(finite).max()), 2.0 * band if band > 0.0 else 0.1)
    return line_chart(
        lines,
        labels=("lag, steps", "correlation"),
        size=(340, 192),
        y=(-most, most),
        whiskers=stems,
    )
