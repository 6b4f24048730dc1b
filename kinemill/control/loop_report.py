"""One page about a learning loop: success and error over seconds of the robot, and each round."""

from collections.abc import Sequence
from html import escape

import numpy as np

from kinemill.control.learning_loop import RoundRecord
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card, figure, html_page, table
from kinemill.task.document import Task

_SIZE = (700, 260)  # px


def loop_page(task: Task, rounds: Sequence[RoundRecord]) -> str:
    """Return the page as one HTML document without links to anything outside.

    Args:
        task: with a `loop` part.
        rounds: the finished rounds, at least one.
    """
    sections = [
        f'<header><div><div class="eyebrow">Learning loop</div><h1>{escape(task.name)}</h1></div>'
        f'</header><p class="lead">{escape(task.description)}</p>',
        _cards(task, rounds),
        f"<h2>Learning curve</h2>{_curves(task, rounds)}",
        f"<h2>Rounds</h2>{_rounds(task, rounds)}",
        f"<h2>Episodes</h2>{_episodes(rounds)}",
    ]
    return html_page(f"{task.name}: learning loop", sections)


def _cards(task: Task, rounds: Sequence[RoundRecord]) -> str:
    last = rounds[-1]
    seconds = f"{last.steps * task.dt:.0f}"
    cards = [
        card("successes", str(last.successes), f"of {last.trials}", "closed loop, last version"),
        card("robot", seconds, "s", f"{last.steps} steps, failed episodes included"),
        card("version", str(last.version), "", escape(last.alias or "no alias")),
        card("processor", f"{sum(each.cpu for each in rounds):.0f}", "s", "all rounds"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _curves(task: Task, rounds: Sequence[RoundRecord]) -> str:
    seconds = np.array([each.steps * task.dt for each in rounds])
    shares = [each.successes / each.trials if each.trials else np.nan for each in rounds]
    errors = [np.nan if each.nrmse is None else each.nrmse for each in rounds]
    coverage = [np.nan if each.coverage is None else each.coverage for each in rounds]
    parts = [
        _curve("successes in closed loop", seconds, np.array(shares), (0.0, 1.0)),
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
            str(each.number),
            f"{each.steps * task.dt:.0f}",
            f"{sum(one.success for one in each.collected)} of {len(each.collected)}",
            f"{each.successes} of {each.trials}",
            str(each.version),
            escape(each.alias or ""),
            escape(", ".join(each.gate)),
            number(np.nan if each.nrmse is None else each.nrmse),
            number(np.nan if each.coverage is None else each.coverage),
            f"{each.wall:.0f}",
            f"{each.cpu:.0f}",
        ]
        for each in rounds
    ]
    return table(heads, rows, 7)


def _episodes(rounds: Sequence[RoundRecord]) -> str:
    rows = [
        [
            str(each.number),
            str(one.seed),
            escape(one.error or ("success" if one.success else "no success")),
            escape(one.log),
            number(one.cost),
            str(one.steps),
        ]
        for each in rounds
        for one in each.episodes
    ]
    return table(["round", "seed", "result", "log", "cost", "steps"], rows, 4)
