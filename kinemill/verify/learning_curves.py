"""Learning curves of a training run: errors, returns, successes and lengths over its steps.

The data is the curves and the summary that the stage `model` publishes. Only reinforcement
learning counts actions and events, in its training episodes. The portfolio that selected the model
family of a task without `learn.model` has a table of its candidates.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kinemill.reports.charts import Band, Line, axis_label, line_chart
from kinemill.reports.templates import render
from kinemill.store import Json, read_document, read_json
from kinemill.task.portfolio import RESULTS, CandidateResult
from kinemill.train.summary import ModelSummary
from kinemill.train.warm_start import CURVES
from kinemill.verify.phrases import counted

HEADING = '<h2 id="training">Training</h2>'
PANELS = {  # charts, each with the color of each curve
    "error": {
        "train/loss": "model",
        "validation/single_step": "linear",
        "validation/action": "linear",
        "validation/linear": "linear",
        "validation/loss": "champion",
        "validation/error": "champion",
        "validation/multi_step": "champion",
    },
    **{
        what: {
            f"train/{what}": "persistence",
            f"validation/{what}": "model",
            f"evaluation/{what}": "model",
        }
        for what in ("return", "success", "length")
    },
}
_UNITS = {"return": "mean of episodes", "success": "share of episodes", "length": "steps"}
_STEPS = "training steps"
_ACTION = "episodes/action/"
_EVENT = "episodes/event/"
_INNER = ("learner/", "lr", "horizon")  # prefixes of the algorithm's own curves, shown last

Points = Sequence[tuple[int, float]]
Curves = Mapping[str, Points]


def training_section(model: Path | None) -> str:
    """Return curves and statistics of a training run as HTML; empty if there are no curves."""
    if model is None or not (model / CURVES).is_file():
        return ""
    document: Json = read_json(model / CURVES)
    curves: Curves = {
        name: [(step, value) for step, value in points if value is not None]
        for name, points in document.items()
    }
    curves = {name: points for name, points in curves.items() if len(points) > 1}
    if not curves:
        return ""
    summary = ModelSummary.read_folder(model)
    best = summary.best_step
    inner = {name: points for name, points in curves.items() if name.startswith(_INNER)}
    listed = [name for styles in PANELS.values() for name in styles]
    listed += [name for name in curves if name not in inner and name not in listed]
    path = model / RESULTS
    candidates = read_document(path, list[CandidateResult]) if path.is_file() else []
    horizons = next((list(result.errors) for result in candidates if result.errors), [])
    return render(
        "verify/training.html.j2",
        candidates=candidates,
        names=[counted(steps, "steps") for steps in horizons],
        best=best,
        monitor=summary.monitor,
        panels=_panels(curves, best),
        actions=_actions(curves),
        events=_events(curves),
        outer={name: _numbers(curves[name], best) for name in listed if name in curves},
        inner={name: _numbers(points, best) for name, points in inner.items()},
    ).strip()


def _panels(curves: Curves, best: int) -> dict[str, tuple[dict[str, str], str]]:
    """Return legend and chart of errors and outcomes; a single chart has the full width."""
    drawn = [what for what, styles in PANELS.items() if not curves.keys().isdisjoint(styles)]
    size = (520, 252) if len(drawn) > 1 else (700, 242)
    return {what: _panel(what, curves, best, size) for what in drawn}


def _panel(
    what: str, curves: Curves, best: int, size: tuple[int, int]
) -> tuple[dict[str, str], str]:
    """Draw the curves of one chart."""
    lines = [
        _line(name, PANELS[what][name], curves[name]) for name in PANELS[what] if name in curves
    ]
    mark = Band(float(best), float(best), "best", f"step {best}")
    labels = (_STEPS, axis_label(what, _UNITS.get(what, "")))
    chart = line_chart(lines, labels=labels, size=size, bands=[mark], log=what == "error")
    return {line.style: line.label for line in lines}, chart


def _line(label: str, style: str, points: Points) -> Line:
    steps, values = np.array(points, dtype=np.float64).T
    return Line(label, style, steps, values)


def _actions(curves: Curves) -> dict[str, str]:
    """Draw the mean and standard deviation of each action in the training episodes."""
    names = dict.fromkeys(
        name.removeprefix(_ACTION).rpartition("/")[0] for name in curves if name.startswith(_ACTION)
    )
    return {
        name: line_chart(
            [
                _line(what, style, curves[f"{_ACTION}{name}/{what}"])
                for what, style in (("mean", "model"), ("std", "linear"))
                if f"{_ACTION}{name}/{what}" in curves
            ],
            labels=(_STEPS, name),
        )
        for name in names
    }


def _events(curves: Curves) -> dict[str, str]:
    """Draw the counts in the environment's `info`, summed over an episode."""
    return {
        name.removeprefix(_EVENT): line_chart(
            [_line(name.removeprefix(_EVENT), "model", points)],
            labels=(_STEPS, "count per episode"),
        )
        for name, points in curves.items()
        if name.startswith(_EVENT)
    }


def _numbers(points: Points, best: int) -> tuple[float, ...]:
    """Return the first value, the newest value up to step `best`, the last value, the extremes."""
    values = [value for _, value in points]
    at = [value for step, value in points if step <= best][-1:] or values[:1]
    return values[0], at[0], values[-1], min(values), max(values)
