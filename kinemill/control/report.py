"""Report page of runs of a controller: successes, costs, signals and animations.

Animations are inline SVG, without scripts and downloads, in the colors of the page.
"""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from kinemill.control.closed_loop import Episode, successes_of
from kinemill.control.cost import Cost
from kinemill.control.physics import control_of, joint_positions, make_plant
from kinemill.control.plan import Floats
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card, html_page, mark, name_of
from kinemill.reports.templates import table
from kinemill.task.document import Task

PICTURED = 6  # runs in the animation, and in each chart

_PANEL = 240
_COLUMNS = 3  # px, width and height of one run; runs per row
_RATE = 25.0  # keyframes per second; browsers interpolate
_HALF = _PANEL / 2

# Markers of the first point and of the other points.
_MARKS = (
    '<defs><marker id="cart" markerUnits="userSpaceOnUse" markerWidth="20" markerHeight="12" '
    'refX="10" refY="6"><rect class="link" x="1" y="1" width="18" height="10"/></marker>'
    '<marker id="joint" markerUnits="userSpaceOnUse" markerWidth="8" markerHeight="8" '
    'refX="4" refY="4"><circle class="joint" cx="4" cy="4" r="3"/></marker></defs>'
)


def page(task: Task, title: str, episodes: Sequence[Episode], seeds: Sequence[int]) -> str:
    """Return the page as one self-contained HTML document.

    Args:
        task: task with a `control` part.
        title: controller and model, such as `mppi on the champion`.
        episodes: the runs.
        seeds: seed of each run.
    """
    sections = [
        f'<header><div><div class="eyebrow">Closed loop</div><h1>{escape(task.name)}</h1></div>'
        f'</header><p class="lead">{escape(title)}</p>',
        _cards(task, episodes),
        f"<h2>Motion</h2>{motion(task, episodes, seeds)}",
        f"<h2>Signals</h2>{signals(task, episodes, seeds)}",
        _rows(episodes, seeds),
    ]
    return html_page(f"{task.name}: closed loop", sections)


def motion(task: Task, episodes: Sequence[Episode], seeds: Sequence[int]) -> str:
    """Return an HTML panel with an animation of the first runs, in real time."""
    which = ", ".join(str(seed) for seed in seeds[:PICTURED])
    title = f"Starts {which}, row by row" if "," in which else f"Start {which}"
    drawn = animated_links(links(task, [episode.states for episode in episodes]), task.dt, title)
    return f'<div class="panel">{drawn}<p>{title}, in real time.</p></div>'


def links(task: Task, runs: Sequence[Floats]) -> list[Floats]:
    """Return the P ends of the plant's links in the first runs: each (N, S) -> (N, P, 2), m.

    The list is empty if the position of a joint is not a state of the task.

    Raises:
        BadInput: The task has no `control` part.
    """
    if control_of(task).plant is None:
        return []
    plant = make_plant(task)
    joints = joint_positions(task, plant)
    return [plant.points(states[:, joints]) for states in runs[:PICTURED]] if joints else []


def signals(task: Task, episodes: Sequence[Episode], seeds: Sequence[int]) -> str:
    """Return HTML charts over time of each channel and of each derived quantity of the cost."""
    cost = Cost(task)
    charts: list[str] = []
    for name in [*task.columns, *cost.control.derived]:
        unit = task.channels[name].unit if name in task.channels else ""
        is_action = name in task.actions
        lines = [
            _line(cost, name, episode, seed, is_action)
            for episode, seed in list(zip(episodes, seeds, strict=True))[:PICTURED]
        ]
        chart = line_chart(lines, labels=("time, s", axis_label(name, unit)))
        charts.append(f'<div class="panel" tabindex="0"><p>{name_of(name, unit)}</p>{chart}</div>')
    return f'<div class="grid">{"".join(charts)}</div>'


def _cards(task: Task, episodes: Sequence[Episode]) -> str:
    good = successes_of(episodes)
    seconds = float(np.median([episode.seconds for episode in episodes]))
    rate = number(1.0 / seconds) if seconds else "–"
    hold = task.control.hold if task.control else 0.0
    note = f"held for the last {hold:g} s"
    cards = [
        *([] if good is None else [card("Success", f"{good} of {len(episodes)}", "", note)]),
        card("Cost", number(sum(episode.cost for episode in episodes)), "", "summed over runs"),
        card("Rate", rate, "Hz", f"median; an action lasts {task.dt:g} s"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _line(cost: Cost, name: str, episode: Episode, seed: int, staircase: bool) -> Line:
    states = episode.states[:-1]
    actions = episode.actions
    values: Floats = np.asarray(cost.quantities(states, actions, [name])[name], dtype=float)
    has_failed = episode.success is False
    label = f"seed {seed}{', failed' if has_failed else ''}"
    color = "persistence" if has_failed else "model"
    return Line(
        label,
        color,
        np.arange(len(values), dtype=np.float64) * cost.dt,
        values,
        staircase=staircase,
    )


def _rows(episodes: Sequence[Episode], seeds: Sequence[int]) -> str:
    rows = [
        [
            str(seed),
            *([] if episode.success is None else [mark(episode.success)]),
            number(episode.cost),
            number(1e3 * episode.seconds),
        ]
        for episode, seed in zip(episodes, seeds, strict=True)
    ]
    success = [] if successes_of(episodes) is None else ["success"]
    columns = ["seed", *success, "cost", "ms per action"]
    return f"<h2>Runs</h2>{table(columns, rows, 1 + len(success))}"


def animated_links(runs: Sequence[NDArray[np.float64]], dt: float, label: str) -> str:
    """Draw runs of links side by side, each in an endless loop.

    A run ends before its first row that is not finite.

    Args:
        runs: ends of the links of each run, (N, P, 2) m, x to the right, z up.
        dt: time between two rows, s.
        label: description for screen readers.
    """
    finite_runs = [run[: _finite(run)] for run in runs]
    columns = min(_COLUMNS, len(finite_runs))
    width = columns * _PANEL
    height = -(-len(finite_runs) // columns) * _PANEL
    reach = 1.1 * max((float(np.abs(run).max()) for run in finite_runs if len(run)), default=1.0)
    stride = max(1, round(1.0 / (_RATE * dt)))
    panels = [
        f'<g transform="translate({index % columns * _PANEL + _HALF:g},'
        f'{index // columns * _PANEL + _HALF:g})">{_panel(run, stride, dt, reach or 1.0)}</g>'
        for index, run in enumerate(finite_runs)
    ]
    return (
        f'<svg class="moving" viewBox="0 0 {width} {height}" style="max-width:{width}px" '
        f'role="img" aria-label="{label}">{_MARKS}{"".join(panels)}</svg>'
    )


def _finite(run: NDArray[np.float64]) -> int:
    """Return the number of rows before the first that is not finite."""
    lost = ~np.isfinite(run).all(axis=(1, 2))
    return int(lost.argmax()) if lost.any() else len(run)


def _panel(run: NDArray[np.float64], stride: int, dt: float, reach: float) -> str:
    """Draw one run: the rail through its first joint, its links, and a time bar."""
    if not len(run):
        return ""
    points = np.rint(run[::stride] * [1.0, -1.0] * (10.0 * _HALF / reach)) / 10.0 + 0.0  # no -0
    frames = [" ".join(f"{x:g},{z:g}" for x, z in ends) for ends in points.tolist()]
    seconds = max(1, len(frames) - 1) * stride * dt
    start = -0.92 * _HALF
    end = 0.92 * _HALF
    low = 0.95 * _HALF
    timing = f'dur="{seconds:g}s" repeatCount="indefinite"'
    return (
        f'<line class="rail" x1="{start:g}" y1="0" x2="{end:g}" y2="0"/>'
        f'<line class="clock" x1="{start:g}" y1="{low:g}" x2="{start:g}" y2="{low:g}">'
        f'<animate attributeName="x2" values="{start:g};{end:g}" {timing}/></line>'
        f'<polyline class="link" points="{frames[0]}" marker-start="url(#cart)" '
        f'marker-mid="url(#joint)" marker-end="url(#joint)">'
        f'<animate attributeName="points" values="{";".join(frames)}" {timing}/></polyline>'
    )
