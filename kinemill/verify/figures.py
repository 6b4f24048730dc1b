"""The pictures of the report: how errors grow, and what rollouts look like beside the truth."""

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.drawing.charts import Line, Whisker, line_chart, number
from kinemill.runtime import wrapped
from kinemill.runtime.windows import Floats, Windows, predict
from kinemill.verify.accuracy import Errors, gather
from kinemill.verify.judge import Verdict

MOST = 12  # channels pictured; of more, those with the largest error
LABELS = {
    "model": "this model",
    "persistence": "persistence",
    "linear": "linear, raw history",
    "linear_sincos": "linear, sin/cos",
}


def legend(styles: dict[str, str]) -> str:
    """Return the key to the colours: label by style."""
    items = (
        f'<span><i class="edge-{style}"></i>{escape(label)}</span>'
        for style, label in styles.items()
    )
    return f'<div class="legend">{"".join(items)}</div>'


def pictured(errors: Errors) -> list[int]:
    """Return the states to picture, in their order: all, or those with the largest error."""
    relative = errors.rmse / np.maximum(errors.spread, 1e-12)
    worst = np.argsort(-np.nan_to_num(relative, nan=np.inf), kind="stable")[:MOST]
    return sorted(worst.tolist())


def error_growth(verdict: Verdict) -> str:
    """Draw RMSE over time ahead, one chart a state, all contestants."""
    model = verdict.errors["model"]
    intervals, _ = model.intervals()
    time = np.arange(model.horizon + 1, dtype=np.float64) * model.dt
    shown, charts = pictured(model), list[str]()
    even = len(shown) in (2, 4)
    for index in shown:
        lines = [
            Line(
                f"{LABELS[name]}: {number(errors.rmse[index])} {model.units[index]}",
                name,
                time,
                np.concatenate([[0.0], errors.by_step[:, index]]),
            )
            for name, errors in reversed(verdict.errors.items())
        ]
        own = lines[-1].y[np.isfinite(lines[-1].y)].max(initial=0.0)
        every = np.concatenate([line.y for line in lines])
        # A contestant that is off the chart must not flatten the others.
        top = min(every[np.isfinite(every)].max(initial=0.0), 8.0 * own or np.inf)
        low, high = intervals[index]
        bars = [Whisker(float(time[-1]), low, high, "model")] if np.isfinite(high) else []
        size = (520, 230) if even else (340, 190)
        chart = line_chart(lines, size=size, y=(0.0, 1.05 * top or 1.0), whiskers=bars)
        charts.append(_figure(model.channels[index], model.units[index], chart))
    return f'<div class="grid{" even" if even else ""}">{"".join(charts)}</div>'


def rollouts(verdict: Verdict, dataset: PackedDataset) -> str:
    """Draw a typical, a hard and the worst window: truth, model, and the best linear model."""
    model = verdict.errors["model"]
    picked = _pick(model)
    starts = model.starts[list(picked.values())]
    windows = gather(dataset, starts, model.history, model.horizon)
    angle = np.array([name in dataset.angles for name in dataset.states])
    shown = {"linear_sincos": verdict.baselines["linear_sincos"], "model": verdict.simulator}
    # Angles are drawn beside the continuous truth, not jumping at ±π.
    predicted = {
        name: windows.truth + wrapped(predict(one, windows) - windows.truth, angle)
        for name, one in shown.items()
    }
    heads = [
        f'<div class="column"><b>{title}</b>{_place(dataset, int(start), model)}</div>'
        for title, start in zip(picked, starts, strict=True)
    ]
    charts = [
        _figure(name, model.units[index], _against_truth(windows, predicted, index, row, model))
        for index in pictured(model)
        for name in [model.channels[index]]
        for row in range(len(starts))
    ]
    charts += [
        _figure(name, dataset.units[name], _actions(windows, index, row, model))
        for index, name in enumerate(dataset.actions[:MOST])
        for row in range(len(starts))
    ]
    return f'<div class="rows">{"".join([*heads, *charts])}</div>'


def _pick(errors: Errors) -> dict[str, int]:
    """Return three windows by name: the median, the ninth of ten, and the worst."""
    order = np.argsort(window_errors(errors), kind="stable")
    last = len(order) - 1
    places = {"Typical": last // 2, "Hard": round(0.9 * last), "Worst": last}
    return {name: int(order[place]) for name, place in places.items()}


def window_errors(errors: Errors) -> Floats:
    """Return the error of each window at the last step, over the spread, averaged, (W,)."""
    relative = np.abs(errors.errors) / np.maximum(errors.spread, 1e-12)
    return np.nan_to_num(relative.mean(axis=1), nan=np.inf)


def _place(dataset: PackedDataset, start: int, errors: Errors) -> str:
    episode = next(item for item in dataset.episodes if item.start <= start < item.stop)
    seconds = (start + errors.history - 1 - episode.start) * dataset.dt
    return f"{escape(episode.name)}, from {seconds:.2f} s"


def _against_truth(
    windows: Windows, predicted: dict[str, Floats], index: int, row: int, errors: Errors
) -> str:
    past, ahead = _times(errors)
    known, truth = windows.states[row, :, index], windows.truth[row, :, index]
    now = known[-1:]
    lines = [
        Line(LABELS[name], name, ahead, np.concatenate([now, values[row, :, index]]))
        for name, values in predicted.items()
    ]
    both = np.concatenate([known, truth])
    lines.insert(1, Line("measured", "truth", np.concatenate([past, ahead[1:]]), both))
    low, high = both.min(), both.max()
    model = lines[-1].y[np.isfinite(lines[-1].y)]
    low, high = min(low, model.min(initial=low)), max(high, model.max(initial=high))
    room = 0.08 * (high - low) or 0.1
    return line_chart(lines, size=(340, 160), y=(float(low - room), float(high + room)), now=True)


def _actions(windows: Windows, index: int, row: int, errors: Errors) -> str:
    past, ahead = _times(errors)
    values = np.concatenate([windows.past_actions[row, :, index], windows.actions[row, :, index]])
    time = np.concatenate([past, ahead[1:-1]])
    held = Line("action", "action", np.append(time, ahead[-1]), np.append(values, values[-1]), True)
    return line_chart([held], size=(340, 110), now=True)


def _times(errors: Errors) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return seconds of the known rows (H,), up to 0, and of the predicted ones (T+1,), from 0."""
    past = np.arange(1 - errors.history, 1) * errors.dt
    return past, np.arange(errors.horizon + 1) * errors.dt


def _figure(name: str, unit: str, chart: str) -> str:
    caption = f'<span class="name">{escape(name)}</span><span class="unit">{escape(unit)}</span>'
    return f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"
