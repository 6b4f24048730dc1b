"""Report page of runs of a controller: successes, costs, signals and animations."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from kinemill.control.closed_loop import Episode
from kinemill.control.cost import Cost
from kinemill.control.physics import control_of, joint_positions, make_plant
from kinemill.control.plan import Floats
from kinemill.reports.animation import animated_links
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card, html_page, mark, name_of, table
from kinemill.task.document import Task

PICTURED = 6  # runs in the animation, and in each chart


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
    plant = make_plant(task) if control_of(task).plant else None
    joints = joint_positions(task, plant) if plant else []
    if plant is None:
        return []
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
    good = sum(episode.success for episode in episodes)
    seconds = float(np.median([episode.seconds for episode in episodes]))
    rate = number(1.0 / seconds) if seconds else "–"
    hold = task.control.hold if task.control else 0.0
    cards = [
        card("Success", f"{good} of {len(episodes)}", "", f"held for the last {hold:g} s"),
        card("Cost", number(sum(episode.cost for episode in episodes)), "", "summed over runs"),
        card("Rate", rate, "Hz", f"median; an action lasts {task.dt:g} s"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _line(cost: Cost, name: str, episode: Episode, seed: int, staircase: bool) -> Line:
    states = episode.states[:-1]
    actions = episode.actions
    values: Floats = np.asarray(cost.quantities(states, actions, [name])[name], dtype=float)
    label = f"seed {seed}{'' if episode.success else ', failed'}"
    color = "model" if episode.success else "persistence"
    return Line(
        label,
        color,
        np.arange(len(values), dtype=np.float64) * cost.dt,
        values,
        staircase=staircase,
    )


def _rows(episodes: Sequence[Episode], seeds: Sequence[int]) -> str:
    rows: list[Any] = [
        [str(seed), mark(episode.success), number(episode.cost), number(1e3 * episode.seconds)]
        for episode, seed in zip(episodes, seeds, strict=True)
    ]
    return f"<h2>Runs</h2>{table(['seed', 'success', 'cost', 'ms per action'], rows, 2)}"
