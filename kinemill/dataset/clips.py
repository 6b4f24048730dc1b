"""The clips of a dataset side by side: the mean cycle of each, joint by joint, and its numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinemill.dataset._aux_arrays import Media, load_beside
from kinemill.dataset._packed import PackedDataset, PackedEpisode
from kinemill.dataset.histograms import STYLES
from kinemill.reports.charts import Line, line_chart
from kinemill.reports.svg_grid import sheet
from kinemill.store import Json
from kinemill.task import Task
from kinemill.validate.clips import Clip, clip_of, joints_of, leading, moving

SHOWN = 20  # clips, some of each split
_SIZE, _ACROSS = (340, 190), 3  # px, charts in a row

Clips = list[tuple[PackedEpisode, Clip]]


def clips_in(task: Task, packed: PackedDataset, folder: Path) -> Clips:
    """Return some clips of a dataset, as many of each split as there is room for.

    None of a task that learns no motion.

    Args:
        task: of which channels are.
        packed: its rows.
        folder: of the dataset, with what lies beside them.
    """
    if not joints_of(task):
        return []
    media = Media.read(folder)
    beside = list(media.units) if media else []
    splits = [packed.of(split) for split in STYLES]
    chosen = [one for split in splits for one in split[: _share(splits, split)]]
    found: Clips = []
    for episode in chosen:
        values = dict(zip(packed.columns, packed.rows(episode).T, strict=True))
        if beside:
            numbers = load_beside(folder, episode).numbers
            values |= dict(zip(beside, numbers.T, strict=True))
        found.append((episode, clip_of(task, values)))
    return found


def _share(splits: Sequence[Sequence[PackedEpisode]], split: Sequence[PackedEpisode]) -> int:
    """Return how many of a split are shown: all of small ones, of others in proportion."""
    every = sum(len(one) for one in splits)
    return max(1, SHOWN * len(split) // every) if every > SHOWN else len(split)


def clip_sheet(task: Task, clips: Clips) -> str | None:
    """Draw the mean cycle of clips as one SVG, a chart a joint; None where none repeats itself."""
    cyclic = [(episode, clip) for episode, clip in clips if clip.cycle is not None]
    if not cyclic:
        return None
    only, at = [clip for _, clip in cyclic], np.linspace(0.0, 1.0, 101)
    first, names, charts = leading(only), joints_of(task), list[tuple[str, str]]()
    for joint in moving(only):
        lines = [
            Line(one.name, STYLES[one.split], at, clip.curve(joint, first, at))
            for one, clip in cyclic
        ]
        unit = task.channels[names[joint]].unit
        title = f"{names[joint]}, {unit}, over the phase of a cycle"
        charts.append((title, line_chart(lines, size=_SIZE)))
    return sheet(charts, _SIZE, _ACROSS, {color: split for split, color in STYLES.items()})


def clip_rows(task: Task, clips: Clips) -> list[Json]:
    """Return for each clip its split, length, cycle and commands, commands in the middle."""
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
