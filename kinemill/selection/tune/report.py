"""Report of a search: history, importance of settings, and all trials, as one HTML file."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinemill.reports.charts import Line as Curve
from kinemill.reports.charts import axis_label, line_chart
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.selection.tune.objective import TuneObjective, objective_of
from kinemill.selection.tune.results import (
    REPORT,
    TrialRecord,
    best_of,
    describe,
    importances,
    list_trials,
    quantile,
)
from kinemill.selection.tune.search import Search
from kinemill.store import publish_file

_WIDE = (1080, 282)
_ABOVE = 3.0  # times the median error; larger errors are clipped at the top
_STYLE = """
.line.dot { stroke: var(--persistence); stroke-width: 8; }
td .name { white-space: nowrap; }
.share { display: inline-block; height: 9px; border-radius: 4px; min-width: 2px;
  background: var(--model); }
td code { font-size: 12.5px; overflow-wrap: anywhere; }
"""


def write_report(search: Search) -> Path:
    """Write the report of a search and return the file."""
    path = search.folder / REPORT
    publish_file(path, page(search).encode())
    return path


def page(search: Search) -> str:
    """Return the report as one HTML document without external links."""
    task = search.task()
    trials = list_trials(search)
    objective = objective_of(task)
    chart, clipped = _history(trials, objective)
    rolled = f"score of rollouts, up to {search.horizon} steps and whole episodes"
    is_dynamics = task.learn.type == "dynamics"
    body = render(
        "selection/tune/report.html.j2",
        task=task,
        trials=[trial for trial in trials if trial.state != "waiting"],
        best=best_of(trials),
        usual=next((t.error for t in trials if t.is_baseline and t.error is not None), None),
        of=objective,
        counts=describe(search, trials),
        minutes=sum(trial.seconds or 0.0 for trial in trials) / 60,
        chart=chart,
        clipped=clipped,
        importances=importances(search),
        good=quantile(sum(trial.error is not None for trial in trials)),
        facts={
            "study": search.name,
            "dataset": search.dataset.digest[:12],
            "seed": task.tune.seed,
            "sampler": f"TPE after {task.tune.startup} random trials",
            "pruning": task.tune.pruning if search.prunes else "none",
            "objective": rolled if is_dynamics else f"{objective.name} {objective.means}",
            "space": json.dumps(search.space),
        },
    )
    footer = (
        "Created by kinemill from the study of the search in this folder. Only validation "
        "episodes were used."
    )
    return html_page(f"{task.name}: search", [body], footer, _STYLE)


def _history(trials: Sequence[TrialRecord], objective: TuneObjective) -> tuple[str, int]:
    """Plot the objective of each trial, and the best so far as a step curve.

    It returns the chart, and the number of trials that are drawn at the top.
    """
    done = [(trial.number, trial.error) for trial in trials if trial.error is not None]
    if not done:
        return "", 0
    numbers, errors = np.array(done, np.float64).T
    worst = float(errors.max())
    top = worst if objective.more else min(worst, _ABOVE * float(np.median(errors)))
    last = max(trial.number for trial in trials if trial.state != "waiting")
    best = np.minimum.accumulate(errors)
    sign = objective.to_display(1.0)
    stairs = Curve(
        "best so far",
        "model",
        np.append(numbers, last),
        sign * np.append(best, best[-1]),
        staircase=True,
    )
    # A line of zero length with round caps is a dot.
    dots = [
        Curve(f"trial {at:.0f}: {sign * error:.4g}", "dot", np.full(2, at), np.full(2, height))
        for at, error, height in zip(numbers, errors, sign * np.minimum(errors, top), strict=True)
    ]
    lowest = float(best[-1])
    room = 0.08 * (top - lowest) or 0.1 * abs(top) or 1.0
    ends = sorted((sign * (lowest - room), sign * (top + room)))
    labels = ("trial", axis_label(objective.short, objective.unit))
    chart = line_chart([*dots, stairs], labels=labels, size=_WIDE, y=(ends[0], ends[1]))
    return chart, int((errors > top).sum())
