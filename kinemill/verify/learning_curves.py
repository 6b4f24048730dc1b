"""Learning curves of a training run: errors, returns, successes and lengths over its steps.

The data is the curves and the summary that the stage `model` publishes. Only reinforcement
learning counts actions and events, in its training episodes. The portfolio that selected the model
family of a task without `learn.model` has a table of its candidates.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from kinemill.reports.charts import Band, Line, axis_label, line_chart, number
from kinemill.reports.components import figure, legend, name_of, table
from kinemill.store import Json, read_document, read_json
from kinemill.task.portfolio import RESULTS, CandidateResult
from kinemill.train.summary import ModelSummary
from kinemill.train.warm_start import CURVES
from kinemill.verify.phrases import counted

HEADING = '<h2 id="training">Training</h2>'
MOST = 12  # most charts of actions, and of events
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

PORTFOLIO = (
    "The task does not set a model, so model families were compared by rollouts over the "
    "validation split. Errors are in standard deviations of the training split. The score is their "
    "geometric mean; smaller is better. The first line was selected. Candidates that are worse "
    "than a simple reference at a horizon come later, and of equal candidates the one with fewer "
    "parameters comes first. Round 0 is fitted in closed form. “New recordings” is the error at "
    "the last horizon on whole recordings that were not used in the fit; if it was measured, it "
    "decides between the finalists."
)

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
    text = (
        f"Curves over the steps of training. The weights are those of step {best}, marked in "
        f"green, the best by <code>{escape(summary.monitor)}</code>."
    )
    return (
        f"{HEADING}<p>{text}</p>{_panels(curves, best)}"
        f"{_actions(curves)}{_events(curves)}{_statistics(curves, best)}{portfolio_section(model)}"
    )


def _panels(curves: Curves, best: int) -> str:
    """Draw errors and outcomes, if there are any; a single chart has the full width."""
    there = [what for what, styles in PANELS.items() if not curves.keys().isdisjoint(styles)]
    is_grid = len(there) > 1
    charts = [_panel(what, curves, best, (520, 252) if is_grid else (700, 242)) for what in there]
    return f'<div class="{"grid even" if is_grid else "stack"}">{"".join(charts)}</div>'


def _panel(what: str, curves: Curves, best: int, size: tuple[int, int]) -> str:
    """Draw the curves of one chart."""
    lines = [
        _line(name, PANELS[what][name], curves[name]) for name in PANELS[what] if name in curves
    ]
    mark = Band(float(best), float(best), "best", f"step {best}")
    labels = (_STEPS, axis_label(what, _UNITS.get(what, "")))
    chart = line_chart(lines, labels=labels, size=size, bands=[mark], log=what == "error")
    key = legend({line.style: line.label for line in lines})
    return f"<div>{key}{figure(what, '', chart)}</div>"


def _line(label: str, style: str, points: Points) -> Line:
    steps, values = np.array(points, dtype=np.float64).T
    return Line(label, style, steps, values)


def _actions(curves: Curves) -> str:
    """Draw the mean and standard deviation of each action in the training episodes."""
    names = dict.fromkeys(
        name.removeprefix(_ACTION).rpartition("/")[0] for name in curves if name.startswith(_ACTION)
    )
    charts = [
        figure(
            name,
            "",
            line_chart(
                [
                    _line(what, style, curves[f"{_ACTION}{name}/{what}"])
                    for what, style in (("mean", "model"), ("std", "linear"))
                    if f"{_ACTION}{name}/{what}" in curves
                ],
                labels=(_STEPS, name),
            ),
        )
        for name in list(names)[:MOST]
    ]
    key = legend({"model": "mean of an episode", "linear": "standard deviation of an episode"})
    return _grid("Actions", charts, len(names), key)


def _events(curves: Curves) -> str:
    """Draw the counts in the environment's `info`, summed over an episode."""
    named = {
        name.removeprefix(_EVENT): points
        for name, points in curves.items()
        if name.startswith(_EVENT)
    }
    charts = [
        figure(
            name,
            "",
            line_chart([_line(name, "model", points)], labels=(_STEPS, "count per episode")),
        )
        for name, points in list(named.items())[:MOST]
    ]
    return _grid("Events", charts, len(named), "")


def _grid(head: str, charts: Sequence[str], count: int, key: str) -> str:
    if not charts:
        return ""
    more = f" The first {len(charts)} of {count} are shown." if count > len(charts) else ""
    text = f"Values in the training episodes.{more}"
    return f'<h3>{head}</h3><p>{text}</p>{key}<div class="grid">{"".join(charts)}</div>'


def _statistics(curves: Curves, best: int) -> str:
    """Return a table of all curves; the algorithm's own curves are collapsed."""
    inner = {name: points for name, points in curves.items() if name.startswith(_INNER)}
    first = [name for styles in PANELS.values() for name in styles]
    remaining = [name for name in curves if name not in inner and name not in first]
    outer = {name: curves[name] for name in [*first, *remaining] if name in curves}
    return (f"<h3>Statistics</h3>{_table(outer, best)}" if outer else "") + (
        f"<details><summary>Curves of the algorithm</summary>{_table(inner, best)}</details>"
    ) * bool(inner)


def _table(curves: Curves, best: int) -> str:
    heads = ["Curve", "First", f"At step {best}", "Last", "Lowest", "Highest"]
    rows = [
        [name_of(name), *map(number, _numbers(points, best))] for name, points in curves.items()
    ]
    return table(heads, rows, numbers_from=1)


def _numbers(points: Points, best: int) -> tuple[float, ...]:
    """Return the first value, the newest value up to step `best`, the last value, the extremes."""
    values = [value for _, value in points]
    at = [value for step, value in points if step <= best][-1:] or values[:1]
    return values[0], at[0], values[-1], min(values), max(values)


def portfolio_section(model: Path) -> str:
    """Return a table of all candidates as HTML, the best first; empty if there was no portfolio."""
    path = model / RESULTS
    if not path.is_file():
        return ""
    results = read_document(path, list[CandidateResult])
    horizons = next((list(result.errors) for result in results if result.errors), [])
    names = [counted(steps, "steps") for steps in horizons]
    head = ["family", "round", "score", *names, "free run", "held out", "parameters"]
    head += ["steps", "time, s"]
    rows = [_candidate_row(result, horizons) for result in results]
    return f"<h3>Model families</h3><p>{PORTFOLIO}</p>{table(head, rows, 1)}"


def _candidate_row(result: CandidateResult, horizons: list[int]) -> list[str]:
    if result.failure:
        return [result.name, str(result.round), escape(result.failure), *[""] * (len(horizons) + 5)]
    errors = [(result.errors or {}).get(steps) for steps in horizons]
    return [
        result.name,
        str(result.round),
        *(_format_error(value) for value in (result.score, *errors, result.free_run)),
        "" if result.held_out is None else _format_error(result.held_out),
        f"{result.parameters:,}",
        f"{result.steps:,}",
        f"{result.seconds:.1f}",
    ]


def _format_error(value: float | None) -> str:
    return "not finite" if value is None else number(value)
