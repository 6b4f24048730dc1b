"""Report page of a learning loop: learning curve, contribution of each round, and videos.

Symbols: N rows of an episode, S states.
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from kinemill.control.learning_loop import RoundRecord
from kinemill.control.plan import Floats
from kinemill.control.report import links
from kinemill.reports.animation import animated_links
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card, figure, html_page, table
from kinemill.runtime import wrapped
from kinemill.task.document import Task

_SIZE = (700, 260)  # px
_CELLS = 5  # per state, over its range in all rounds
_NO_VIDEO = "<p>None: the logs lack the position of a joint of the plant, or were moved.</p>"
Runs = Mapping[str, Floats]  # states (N, S) of an episode by the name of its log


def loop_page(task: Task, rounds: Sequence[RoundRecord], runs: Runs) -> str:
    """Return the page as one self-contained HTML document.

    Args:
        task: task with a `loop` part.
        rounds: the finished rounds, at least one.
        runs: states of the collected episodes, in task units; the videos and the table of new
            states leave a missing one out.
    """
    sections = [
        f'<header><div><div class="eyebrow">Learning loop</div><h1>{escape(task.name)}</h1></div>'
        f'</header><p class="lead">{escape(task.description)}</p>',
        _cards(task, rounds),
        f"<h2>Learning curve</h2>{_curves(task, rounds)}",
        f"<h2>Rounds</h2>{_rounds(task, rounds)}",
        f"<h2>What each round added</h2>{_added(task, rounds, runs)}",
        f"<h2>Videos</h2>{_videos(task, rounds, runs) or _NO_VIDEO}",
        f"<h2>Episodes</h2>{_episodes(rounds)}",
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


def _added(task: Task, rounds: Sequence[RoundRecord], runs: Runs) -> str:
    """Return a table of the changes by round: states, error, successes."""
    shares = new_states(task, [_runs_of(record, runs) for record in rounds])
    rows: list[list[str]] = []
    for index, (record, share) in enumerate(zip(rounds, shares, strict=True)):
        previous = rounds[index - 1] if index else None
        error = np.nan
        if previous and previous.nrmse and record.nrmse is not None:
            error = 100.0 * (record.nrmse / previous.nrmse - 1.0)
        gained = record.success_counts[0] - (previous.success_counts[0] if previous else 0)
        rows.append(
            [
                str(record.number),
                f"{sum(episode.steps for episode in record.episodes) * task.dt:.0f}",
                number(100.0 * share),
                number(error),
                f"{gained:+d}",
            ]
        )
    heads = ["round", "robot, s", "rows in new states, %", "change of nrmse, %", "successes"]
    text = (
        f"New states: cells that no earlier round visited, {_CELLS} for each state over its range "
        "in all rounds. The nrmse is that of different test episodes in each round."
    )
    return f"{table(heads, rows, 5)}<p>{text}</p>"


def new_states(task: Task, rounds: Sequence[Sequence[Floats]]) -> list[float]:
    """Return for each round the share of its rows in cells that no earlier round visited.

    Args:
        task: defines which states are angles.
        rounds: states (N, S) of the episodes of each round, in task units; the share of a round
            without episodes is NaN.
    """
    angle = np.array([task.channels[name].kind == "angle" for name in task.states])
    whole = [wrapped(np.concatenate(runs), angle) if runs else None for runs in rounds]
    visits = [rows for rows in whole if rows is not None]
    if not visits:
        return [np.nan] * len(rounds)
    low = np.concatenate(visits).min(axis=0)
    high = np.concatenate(visits).max(axis=0)
    # A state that never changes has a single cell.
    width = np.where(high > low, high - low, 1.0)
    visited = set[tuple[int, ...]]()
    shares = list[float]()
    for rows in whole:
        if rows is None:
            shares.append(np.nan)
            continue
        # The largest value of a state belongs to the last of its cells.
        indices = np.minimum((rows - low) / width * _CELLS, _CELLS - 1).astype(int)
        cells = [tuple(row) for row in indices.tolist()]
        shares.append(float(np.mean([cell not in visited for cell in cells])))
        visited.update(cells)
    return shares


def _videos(task: Task, rounds: Sequence[RoundRecord], runs: Runs) -> str:
    """Return an animation of the episodes of each round."""
    panels: list[str] = []
    for record in rounds:
        if not (ends := links(task, _runs_of(record, runs))):
            continue
        good = sum(episode.success for episode in record.collected)
        by = (
            "random actions"
            if record.number == 0
            else f"version {rounds[record.number - 1].version}"
        )
        text = f"Round {record.number}, {by}: {good} of {len(record.collected)} episodes succeed"
        drawn = animated_links(ends, task.dt, text)
        panels.append(f'<div class="panel">{drawn}<p>{text}, with exploration noise.</p></div>')
    return "".join(panels)


def _runs_of(record: RoundRecord, runs: Runs) -> list[Floats]:
    return [runs[episode.log] for episode in record.collected if episode.log in runs]


def _episodes(rounds: Sequence[RoundRecord]) -> str:
    rows = [
        [
            str(record.number),
            str(episode.seed),
            escape(episode.error or ("success" if episode.success else "no success")),
            escape(episode.log),
            number(episode.cost),
            str(episode.steps),
            str(episode.refused),
        ]
        for record in rounds
        for episode in record.episodes
    ]
    heads = ["round", "seed", "result", "log", "cost", "steps", "steps without a plan"]
    return table(heads, rows, 4)
