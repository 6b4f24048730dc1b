"""Clips of motion as they are looked at: joints over the phase of their cycle, and their commands.

Phase is the share of a cycle, 0 where the joint that moves most is furthest up in its slowest wave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import card
from kinemill.task import Task
from kinemill.validate.cycles import STILL, cycle_of, fourier

Floats = NDArray[np.float64]

MOST = 12  # joints drawn, those that move most
MOTION = "motion"  # the `learn.type` whose recordings are clips
_HARMONICS = 10  # of the curve of a clip, as many as its cycle holds


@dataclass(frozen=True)
class Clip:
    """One clip.

    Attributes:
        joints: (n, J) of each joint that an action follows, in the task's unit.
        cycle: P, rows, as the clip repeats itself; None: it does not.
        commands: least and largest value of each command.
    """

    joints: Floats
    cycle: float | None
    commands: dict[str, tuple[float, float]]

    def phases(self, leading: int) -> Floats:
        """Return the phase of each row (n,) in [0, 1), by the joint that leads."""
        turns = np.arange(len(self.joints)) / (self.cycle or len(self.joints))
        terms = fourier(2.0 * np.pi * turns, 1)
        _, cosine, sine = np.linalg.lstsq(terms, self.joints[:, leading], rcond=None)[0]
        return np.asarray((turns - np.arctan2(sine, cosine) / (2.0 * np.pi)) % 1.0)

    def curve(self, joint: int, leading: int, at: Floats) -> Floats:
        """Return a joint of the mean cycle at some phases (m,) in [0, 1]: its Fourier series."""
        orders = max(1, min(_HARMONICS, int(0.45 * (self.cycle or 0.0))))
        terms = fourier(2.0 * np.pi * self.phases(leading), orders)
        series = np.linalg.lstsq(terms, self.joints[:, joint], rcond=None)[0]
        return np.asarray(fourier(2.0 * np.pi * at, orders) @ series, np.float64)


def joints_of(task: Task) -> list[str]:
    """Return the joints that a task learns to move as clips do; none of another kind of task."""
    learn: Any = task.learn
    return list(dict.fromkeys(learn.joints(task.channels).values())) if learn.type == MOTION else []


def commands_of(task: Task) -> list[str]:
    """Return the commands that such a policy gets."""
    learn: Any = task.learn
    inputs = learn.observed_channels(task.channels) if learn.type == MOTION else []
    return [name for name in inputs if task.channels[name].role == "observation"]


def clip_of(task: Task, values: Mapping[str, NDArray[np.generic]]) -> Clip:
    """Return what channel -> (n,) of a clip shows; rows with a joint that is not known are out."""
    joints = np.stack([np.asarray(values[name], np.float64) for name in joints_of(task)], axis=1)
    joints = joints[np.isfinite(joints).all(axis=1)]
    commands = {name: np.asarray(values[name], np.float64) for name in commands_of(task)}
    finite = {name: command[np.isfinite(command)] for name, command in commands.items()}
    ends = {
        name: (float(command.min()), float(command.max()))
        for name, command in finite.items()
        if len(command)
    }
    return Clip(joints, _cycle(task, joints), ends)


def _cycle(task: Task, joints: Floats) -> float | None:
    """Return the cycle that the task sets, else the one found, rows; None: nothing is repeated."""
    learn: Any = task.learn
    if learn.cycle is not None:
        return learn.cycle / task.dt
    if not len(joints):
        return None
    try:
        return cycle_of([joints[:, joints.std(axis=0) > STILL]])
    except BadInput:
        return None


def moving_joints(clips: Sequence[Clip]) -> list[int]:
    """Return the joints that move, those that move most, in their order."""
    deviation = np.max([clip.joints.std(axis=0) for clip in clips if len(clip.joints)], axis=0)
    most = np.argsort(-deviation, kind="stable")[:MOST]
    return sorted(int(joint) for joint in most if deviation[joint] > STILL)


def leading_joint(clips: Sequence[Clip]) -> int:
    """Return the joint that moves most in all of some clips."""
    return int(np.argmax(np.sum([clip.joints.std(axis=0) for clip in clips], axis=0)))


def clip_section(task: Task, values: Mapping[str, NDArray[np.generic]]) -> str:
    """Return a clip's cycle, its commands, and joints over its phase as HTML.

    Returns nothing if the task learns no motion, or if no row is known. Values (n,) are in the
    task's units, at its time step.
    """
    if not joints_of(task) or not len((clip := clip_of(task, values)).joints):
        return ""
    cards = [_cycle_card(task, clip), *_command_cards(task, clip)]
    body = f'<h2>Cycle</h2><div class="cards">{"".join(cards)}</div>'
    if clip.cycle is None:
        return f"{body}<p>The clip is not periodic, so it has no phase.</p>"
    first = leading_joint([clip])
    charts = list[str]()
    for joint in moving_joints([clip]):
        name = joints_of(task)[joint]
        unit = escape(task.channels[name].unit)
        caption = f'<b>{escape(name)}</b><span class="unit">{unit} over phase</span>'
        labels = ("phase of the cycle", axis_label(name, task.channels[name].unit))
        chart = line_chart(_cycle_lines(clip, joint, first), labels=labels)
        charts.append(f"<figure><figcaption>{caption}</figcaption>{chart}</figure>")
    return (
        f"{body}<p>All cycles over one another, thin; thick is their mean. Phase 0 is where "
        f"{escape(joints_of(task)[first])}, which moves most, is furthest up.</p>"
        f'<div class="grid">{"".join(charts)}</div>'
    )


def _cycle_card(task: Task, clip: Clip) -> str:
    if clip.cycle is None:
        return card("Cycle", "none", "", "found in this clip")
    count = len(clip.joints) / clip.cycle
    detail = f"{clip.cycle:.4g} rows at {1.0 / task.dt:.4g} Hz, {count:.3g} cycles"
    return card("Cycle", number(clip.cycle * task.dt), "s", detail)


def _command_cards(task: Task, clip: Clip) -> list[str]:
    cards: list[str] = []
    for name, (low, high) in clip.commands.items():
        unit = escape(task.channels[name].unit)
        detail = "of the whole clip" if low == high else f"{number(low)} to {number(high)}"
        cards.append(card(escape(name), number(0.5 * (low + high)), unit, detail))
    return cards


def _cycle_lines(clip: Clip, joint: int, first: int) -> list[Line]:
    """Return a line with all cycles of a joint, broken where one ends, and their mean."""
    phases = clip.phases(first)
    values = clip.joints[:, joint]
    ends = np.flatnonzero(np.diff(phases) < 0.0) + 1
    x = np.insert(phases, ends, 1.0)
    y = np.insert(values, ends, np.nan)
    at = np.linspace(0.0, 1.0, 101)
    return [
        Line("each cycle", "persistence", x, y),
        Line("mean", "model", at, clip.curve(joint, first, at)),
    ]
