"""Report page of a learning loop: its learning curve and a table of the rounds."""

from collections.abc import Sequence
from html import escape

import numpy as np

from kinemill.control.learning_loop import RoundRecord
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card, figure, html_page, table
from kinemill.task.document import Task

_SIZE = (700, 260)  # px


def loop_page(task: Task, rounds: Sequence[RoundRecord]) -> str:
    """Return the page as one self-contained HTML document.

    Args:
        task: task with a `loop` part.
        rounds: the finished rounds, at least one.
    """
    sections = [
        f'<header><div><div class="eyebrow">Learning loop</div><h1>{escape(task.name)}</h1></div>'
        f'</header><p class="lead">{escape(task.description)}</p>',
        _cards(task, rounds),
        f"<h2>Learning curve</h2>{_curves(task, rounds)}",
        f"<h2>Rounds</h2>{_rounds(task, rounds)}",
    ]
    return html_page(f"{task.name}: learning loop", sections)


def _cards(task: Task, rounds: Sequence[RoundRecord]) -> str:
    last = rounds[-1]
    seconds = f"{last.steps * task.dt:.0f}"
    good, count = last.success_counts
    of = "closed loop, last version" if last.trials else "episodes of the last round"
    cards = [
        card("successes", str(good), f"of {count}", of),
        card("robot", seconds, "s", f"{last.steps} steps, failed episodes included"),
        card("version", str(last.version), "", escape(last.alias or "no alias")),
        card("processor", f"{sum(record.cpu for record in rounds):.0f}", "s", "all rounds"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _curves(task: Task, rounds: Sequence[RoundRecord]) -> str:
    seconds = np.array([record.steps * task.dt for record in rounds])
    counts = [record.success_counts for record in rounds]
    shares = [good / trials if trials else np.nan for good, trials in counts]
    errors = [np.nan if record.nrmse is None else record.nrmse for record in rounds]
    coverage = [np.nan if record.coverage is None else record.coverage for record in rounds]
    parts = [
        _curve("share of successes", seconds, np.array(shares), (0.0, 1.0)),
        _curve("error on test episodes, nrmse", seconds, np.array(errors), None),
    ]
    if np.isfinite(coverage).any():
        name = "test states in the 90 % intervals"
        parts.append(_curve(name, seconds, np.array(coverage), (0.0, 1.0)))
    return "".join(parts)


def _curve(
    name: str,
    seconds: np.ndarray[tuple[int], np.dtype[np.float64]],
    values: np.ndarray[tuple[int], np.dtype[np.float64]],
    y: tuple[float, float] | None,
) -> str:
    line = Line(name, "model", seconds, values)
    labels = (axis_label("robot", "s"), axis_label(name, ""))
    return figure(name, "", line_chart([line], labels=labels, size=_SIZE, y=y))


def _rounds(task: Task, rounds: Sequence[RoundRecord]) -> str:
    heads = ["round", "robot, s", "collected", "successes", "version", "alias", "gate refused"]
    heads += ["nrmse", "coverage", "wall, s", "processor, s"]
    rows = [
        [
            str(record.number),
            f"{record.steps * task.dt:.0f}",
            f"{sum(episode.success for episode in record.collected)} of {len(record.collected)}",
            f"{record.successes} of {record.trials}" if record.trials else "–",
            str(record.version),
            escape(record.alias or ""),
            escape(", ".join(record.gate)),
            number(np.nan if record.nrmse is None else record.nrmse),
            number(np.nan if record.coverage is None else record.coverage),
            f"{record.wall:.0f}",
            f"{record.cpu:.0f}",
        ]
        for record in rounds
    ]
    return table(heads, rows, 7)
