"""Charts of a policy: returns by episode, actions over time, beside those of logs."""

from html import escape
from typing import Any

import numpy as np

from kinemill.environments.evaluation import Trials
from kinemill.reports.charts import Line, line_chart
from kinemill.runtime.window_metrics import Floats
from kinemill.verify.policies.held_out import HeldOut

STEPS = 500  # of an episode that are drawn


def returns_chart(model: Trials, random: Trials) -> str:
    """Draw the returns of all episodes, from the least to the most."""
    lines = [_sorted("at random", "persistence", random), _sorted("model", "model", model)]
    caption = "<b>Return</b><span>episodes, from the least to the most</span>"
    chart = line_chart(lines, size=(700, 190))
    return (
        '<div class="legend"><span><i class="edge-model"></i>model</span>'
        '<span><i class="edge-persistence"></i>at random</span></div>'
        f"<figure><figcaption>{caption}</figcaption>{chart}</figure>"
    )


def _sorted(label: str, style: str, tried: Trials) -> Line:
    values = np.sort(np.asarray(tried.returns, dtype=np.float64))
    return Line(label, style, np.linspace(0.0, 1.0, len(values)), values)


def acted_chart(
    name: str, unit: str, values: Floats, limits: tuple[float, float], dt: float
) -> str:
    """Draw one action (N,) over time, s, and its limits."""
    shown = values[:STEPS]
    at = np.arange(len(shown), dtype=np.float64) * np.float64(dt)
    ends = [end for end in limits if np.isfinite(end)]
    lines = [Line("limit", "limit", at, np.full(len(at), end)) for end in ends]
    return _figure(name, unit, [*lines, Line(name, "model", at, shown, staircase=True)])


def error_charts(held_out: HeldOut, most: int) -> list[str]:
    """Draw the first test episode: what was logged, and what the policy does."""
    model, first = held_out.errors["model"], held_out.episodes[0]
    rows = slice(first.start, min(first.stop, first.start + STEPS))
    at = np.arange(rows.stop - rows.start, dtype=np.float64) * np.float64(model.dt)
    charts: list[str] = []
    for place, name in enumerate(model.channels[:most]):
        logged, acted = (part[rows, place] for part in (held_out.logged, held_out.acted))
        lines = [_line("logged", "truth", at, logged), _line("model", "model", at, acted)]
        charts.append(_figure(name, model.units[place], lines))
    return charts


def _line(label: str, style: str, at: Floats, values: Any) -> Line:
    return Line(label, style, at, values.astype(np.float64), staircase=True)


def _figure(name: str, unit: str, lines: list[Line]) -> str:
    caption = f"<b>{escape(name)}</b><span>{escape(unit)} over s</span>"
    return f"<figure><figcaption>{caption}</figcaption>{line_chart(lines)}</figure>"
