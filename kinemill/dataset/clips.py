"""Compare the motion clips of a dataset: mean cycles by joint, and their numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinemill.dataset.aux_arrays import episode_values
from kinemill.dataset.histograms import COLUMNS, SIZE, STYLES
from kinemill.dataset.packed import PackedDataset, PackedEpisode
from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.reports.svg_grid import sheet
from kinemill.store import Json
from kinemill.task import Task
from kinemill.validate.clips import Clip, clip_of, joints_of, leading_joint, moving_joints

MOST = 20  # clips of all splits

Clips = list[tuple[PackedEpisode, Clip]]


def clips_in(task: Task, packed: PackedDataset, folder: Path) -> Clips:
    """Return up to `MOST` clips of a dataset, from each split in proportion.

    Empty for a task that learns no motion.
    """
    if not joints_of(task):
        return []
    splits = [packed.of(split) for split in STYLES]
    return [
        (episode, clip_of(task, episode_values(folder, packed, episode)))
        for split in splits
        for episode in split[: _count(splits, split)]
    ]


def _count(splits: Sequence[Sequence[PackedEpisode]], split: Sequence[PackedEpisode]) -> int:
    total = sum(len(clips) for clips in splits)
    return max(1, MOST * len(split) // total) if total > MOST else len(split)


def clip_sheet(task: Task, clips: Clips) -> str | None:
    """Draw the mean cycles of clips as one SVG, one chart per joint; None if none is cyclic."""
    cyclic = [(episode, clip) for episode, clip in clips if clip.cycle is not None]
    if not cyclic:
        return None
    only = [clip for _, clip in cyclic]
    at = np.linspace(0.0, 1.0, 101)
    first = leading_joint(only)
    names = joints_of(task)
    charts = list[tuple[str, str]]()
    for joint in moving_joints(only):
        lines = [
            Line(piece.name, STYLES[piece.split], at, clip.curve(joint, first, at))
            for piece, clip in cyclic
        ]
        unit = task.channels[names[joint]].unit
        title = f"{names[joint]}, {unit}, over the phase of a cycle"
        labels = ("phase of the cycle", axis_label(names[joint], unit))
        charts.append((title, line_chart(lines, labels=labels, size=SIZE)))
    return sheet(charts, SIZE, COLUMNS, {color: split for split, color in STYLES.items()})


def clip_rows(task: Task, clips: Clips) -> list[Json]:
    """Return a table row for each clip: split, length, cycle, and commands at mid-range."""
    return [
        {
            "clip": episode.name,
            "split": episode.split,
            "rows": episode.rows,
            "cycle, s": clip.cycle * task.dt if clip.cycle else None,
            "cycles": len(clip.joints) / clip.cycle if clip.cycle else None,
            **{
                f"{name}, {task.channels[name].unit}": 0.5 * (low + high)
                for name, (low, high) in clip.commands.items()
            },
        }
        for episode, clip in clips
    ]
