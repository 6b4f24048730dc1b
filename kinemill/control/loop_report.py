"""Report page of a learning loop: its learning curve and a table of the rounds."""

from collections.abc import Sequence

import numpy as np

from kinemill.control.learning_loop import RoundRecord
from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.task.document import Task

_SIZE = (700, 260)  # px


def loop_page(task: Task, rounds: Sequence[RoundRecord]) -> str:
    """Return the page as one self-contained HTML document.

    Args:
        task: task with a `loop` part.
        rounds: the finished rounds, at least one.
    """
    body = render("control/loop.html.j2", task=task, rounds=rounds, curves=_curves(task, rounds))
    return html_page(f"{task.name}: learning loop", [body])


def _curves(task: Task, rounds: Sequence[RoundRecord]) -> dict[str, str]:
    """Return charts over the seconds of the robot by name."""
    seconds = np.array([record.steps * task.dt for record in rounds])
    counts = [record.success_counts for record in rounds]
    curves = {
        "share of successes": [good / trials if trials else None for good, trials in counts],
        "error on test episodes, nrmse": [record.nrmse for record in rounds],
        "test states in the 90 % intervals": [record.coverage for record in rounds],
    }
    charts = dict[str, str]()
    for name, numbers in curves.items():
        values = np.array(numbers, dtype=np.float64)
        labels = (axis_label("robot", "s"), axis_label(name, ""))
        if np.isfinite(values).any() or "nrmse" in name:
            y = None if "nrmse" in name else (0.0, 1.0)
            line = Line(name, "model", seconds, values)
            charts[name] = line_chart([line], labels=labels, size=_SIZE, y=y)
    return charts
