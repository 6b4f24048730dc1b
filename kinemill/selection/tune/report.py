"""Report of a search: history, importance of settings, and all trials, as one HTML file."""

import json
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.reports.charts import Line as Curve
from kinemill.reports.charts import axis_label, line_chart, number
from kinemill.reports.components import card, html_page, name_of, table
from kinemill.selection.tune.objective import objective_of
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
_OWN_STYLE = """
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
    trials = list_trials(search)
    best = best_of(trials)
    sections = [
        _header(search, trials, best),
        _cards(search, trials, best),
        _history(trials),
        _settings(best),
        _importances(importances(search), sum(line.error is not None for line in trials)),
        _trials(trials, best),
        _facts(search),
    ]
    footer = (
        "Created by kinemill from the study of the search in this folder. Only validation "
        "episodes were used."
    )
    return html_page(f"{search.task().name}: search", sections, footer, _OWN_STYLE)


def _header(search: Search, trials: list[TrialRecord], best: TrialRecord | None) -> str:
    return (
        f'<header><div><div class="eyebrow">Search for settings</div>'
        f"<h1>{escape(search.task().name)}</h1></div></header>"
        f'<p class="lead">{_lead(trials, best)}</p>'
    )


def _lead(trials: list[TrialRecord], best: TrialRecord | None) -> str:
    if best is None or best.error is None:
        return "No trial is complete yet."
    of = best.objective
    task_error = _task_error(trials)
    text = f"Trial <b>{best.number}</b> has the best {of.short}, <b>{_spell(best, best.error)}</b> "
    text += f"{f'{of.unit} ' if of.unit else ''}{of.means}"
    if best.is_baseline:
        return f"{text}: these are the task's settings; no other trial was better."
    if task_error is None:
        return f"{text}."
    return f"{text}: <b>{of.gained(best.error, task_error)}</b> than with the task's settings."


def _task_error(trials: list[TrialRecord]) -> float | None:
    return next(
        (line.error for line in trials if line.is_baseline and line.error is not None), None
    )


def _cards(search: Search, trials: list[TrialRecord], best: TrialRecord | None) -> str:
    counts = describe(search, trials)
    task_error = _task_error(trials)
    took = sum(line.seconds or 0.0 for line in trials)
    of = objective_of(search.task())
    spent = f"{counts['pruned']} pruned, {counts['failed']} failed"
    cards = [
        (f"Best {of.name}", _spell(best, best.error if best else None), of.unit, of.means),
        ("The task's settings", _spell(best, task_error), of.unit, "trial 0, for comparison"),
        ("Trials", str(counts["trials"]), "", spent),
        ("Time", f"{took / 60:.1f}", "min", "of all trials"),
    ]
    return f'<div class="cards">{"".join(card(*item) for item in cards)}</div>'


def _spell(line: TrialRecord | None, error: float | None) -> str:
    return "–" if error is None or line is None else number(line.objective.to_display(error))


def _history(trials: list[TrialRecord]) -> str:
    """Plot the objective of each trial, and the best so far as a step curve."""
    done = [(line.number, line.error) for line in trials if line.error is not None]
    if not done:
        return ""
    of = trials[0].objective
    numbers, errors = np.array(done, np.float64).T
    worst = float(errors.max())
    top = worst if of.more else min(worst, _ABOVE * float(np.median(errors)))
    last = max(line.number for line in trials if line.state != "waiting")
    best = np.minimum.accumulate(errors)
    sign = of.to_display(1.0)
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
    chart = line_chart(
        [*dots, stairs],
        labels=("trial", axis_label(of.short, of.unit)),
        size=_WIDE,
        y=(ends[0], ends[1]),
    )
    beyond = int((errors > top).sum())
    unit = f", in {of.unit}" if of.unit else ""
    text = f"{of.name.capitalize()} of each trial{unit}, and the best so far."
    text += f" {beyond} trials beyond {number(top)} are drawn at the top." if beyond else ""
    return f"<h2>History</h2><p>{text}</p><figure>{chart}</figure>"


def _settings(best: TrialRecord | None) -> str:
    if best is None or not best.settings:
        return ""
    rows = [
        [name_of(key), f"<code>{escape(json.dumps(value))}</code>"]
        for key, value in best.settings.items()
    ]
    text = "Overrides of the task, also in best.yaml in this folder."
    return f"<h2>Best settings</h2><p>{text}</p>{table(['key', 'value'], rows)}"


def _importances(shares: dict[str, float], done: int) -> str:
    if not shares:
        text = "Importances require ten complete trials."
        return f"<h2>Importance of settings</h2><p>{text}</p>"
    most = max(shares.values()) or 1.0
    rows = [
        [
            name_of(name),
            f'<span class="share" style="width:{100 * share / most:.0f}%"></span>',
            f"{share:.0%}",
        ]
        for name, share in shares.items()
    ]
    best = f"the best {quantile(done):.0%} of trials"
    text = f"Share of each choice in what sets {best} apart (PED-ANOVA)."
    return f"<h2>Importance of settings</h2><p>{text}</p>{table(['choice', '', 'share'], rows, 2)}"


def _trials(trials: list[TrialRecord], best: TrialRecord | None) -> str:
    rows = [_row(line, best) for line in trials if line.state not in {"waiting"}]
    of = trials[0].objective.short if trials else "error"
    heads = ["trial", "settings", "outcome", of, "parameters", "s"]
    return f"<h2>Trials</h2>{table(heads, rows, 3)}"


def _row(line: TrialRecord, best: TrialRecord | None) -> list[str]:
    is_best = best is not None and line.number == best.number
    error = _spell(line, line.error)
    if line.error is None and line.last:
        value = number(line.objective.to_display(line.last[1]))
        error = f'<span class="unit">{value} at step {line.last[0]}</span>'
    cell = f'<span title="{escape(line.why or "")}">{line.state}</span>'
    if line.state == "failed":
        cell += f'<br><span class="unit">{escape((line.why or "")[:160])}</span>'
    return [
        f"{'<b>' if is_best else ''}{line.number}{'</b>' if is_best else ''}",
        escape(line.spelled()),
        cell,
        f'<span class="best">{error}</span>' if is_best else error,
        str(line.facts.get("parameters") or ""),
        f"{line.seconds:.1f}" if line.seconds is not None else "",
    ]


def _facts(search: Search) -> str:
    task = search.task()
    of = objective_of(search.task())
    rolled = f"score of rollouts, up to {search.horizon} steps and whole episodes"
    rows: list[tuple[str, Any]] = [
        ("study", search.name),
        ("dataset", search.dataset.digest[:12]),
        ("seed", task.tune.seed),
        ("sampler", f"TPE after {task.tune.startup} random trials"),
        ("pruning", task.tune.pruning if search.prunes else "none"),
        ("objective", rolled if task.learn.type == "dynamics" else f"{of.name} {of.means}"),
        ("space", json.dumps(search.space)),
    ]
    cells = [[name_of(key), f"<code>{escape(str(value))}</code>"] for key, value in rows]
    return f"<h2>Search</h2>{table(['', ''], cells)}"
