"""Refuse a dataset with an empty split, or one that the task's `learn` part cannot use.

The checks run before the dataset is published.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.dataset.aux_arrays import episode_values
from kinemill.dataset.listing import scan_listing
from kinemill.dataset.packed import PackedDataset, read_packed
from kinemill.dataset.split import (
    SplitContext,
    SplitEpisode,
    cut_pieces,
    piece_table,
    unmatched_patterns,
)
from kinemill.errors import BadInput
from kinemill.task import Dataset, Task
from kinemill.task.stages import EpisodeShare

_NAMED = 8  # recordings or episodes listed in a message

Values = Mapping[str, NDArray[np.floating]]


def check_sides(task: Task, pieces: pl.LazyFrame, context: SplitContext | None = None) -> None:
    """Refuse an empty split, with the reason and a fix.

    Raises:
        BadInput: There is no episode at all, or none for training, validation or test.
    """
    rules = task.dataset
    where = f"{task.path or task.name}: dataset"
    groups = context.groups if context else {}
    repeating = len(context.roots) if context else 0
    present = set(pieces.select(pl.col("split").unique()).collect()["split"])
    if not present:
        raise BadInput(where, "no episode was accepted", fix="see the reasons in quarantine")
    units = f"values of {rules.group_by}" if groups else "recordings"
    for side in ("test", "validation", "train"):
        if side in present:
            continue
        recordings = pieces.select(pl.col("name").unique()).collect()["name"]
        names = sorted(set(groups.values()) if groups else recordings)
        listed = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        repeats = f" ({repeating} near-duplicates stay with what they repeat)" if repeating else ""
        raise BadInput(
            where if side == "train" else f"{where}.{side}",
            f"{_why_empty(rules, side, names, units)}{repeats}; the {units} are {listed}",
            expected="at least one episode in each of training, validation and test",
            fix=_fix(rules, side, names, repeating),
        )


def _why_empty(rules: Dataset, side: str, names: list[str], units: str) -> str:
    rule = rules.validation if side == "validation" else rules.test
    if side == "train":
        return "nothing is left for training"
    if isinstance(rule, EpisodeShare):
        share = f"{rule.blocks:g}" if rule.tail is None else f"the last {rule.tail:g}"
        return f"no training episode is long enough to give {share} of it away"
    if isinstance(rule, float):
        return f"the share {rule:g} of {len(names)} {units} leaves it empty"
    missed = [line for line in unmatched_patterns(rules, names) if line.startswith(side)]
    if missed:
        return f"none of the {units} is in this split; nothing matches {', '.join(missed)}"
    return "an earlier rule takes all recordings that its patterns match"


def _fix(rules: Dataset, side: str, names: list[str], repeating: int) -> str:
    by_name = f"`{side}: [{names[-1]!r}]` names them by pattern"
    if repeating and side != "train":
        return f"{by_name}; `near_duplicates: apart` if the task is the same motion over and over"
    if side == "test":
        return f"{by_name}; a share needs at least one recording for each split"
    if side == "validation" and isinstance(rules.validation, EpisodeShare):
        return f"a larger share, a lower `validate.min_steps`, or: {by_name}"
    if side == "validation":
        return f"`validation: {{blocks: 0.15}}` takes parts of every training episode; {by_name}"
    return "lower the shares, narrow the patterns, or add recordings"


def check_rows(task: Task, pieces: pl.LazyFrame) -> None:
    """Refuse a split in which no episode is long enough for one window.

    Raises:
        BadInput: Names the split, its recordings with their lengths, and the settings to change.
    """
    for split, parts in task.learn.needed_rows(task).items():
        pieces_of_split = pieces.filter(pl.col("split") == split)
        needed = sum(parts.values())
        number, most = pieces_of_split.select(pl.len(), pl.col("rows").max()).collect().row(0)
        if not number or most >= needed:
            continue
        longest = (
            pieces_of_split.sort("rows", descending=True, maintain_order=True)
            .head(_NAMED)
            .collect()
        )
        settings = " or ".join(name for name in parts if "." in name)
        move = "" if split == "train" else f"choose a longer recording with dataset.{split}, "
        lines = longest.select("name", "rows").iter_rows()
        names = ", ".join(f"{name} {rows} rows" for name, rows in lines)
        more = f" and {number - _NAMED} shorter" if number > _NAMED else ""
        raise BadInput(
            f"{task.path or task.name}: dataset, {split} split",
            f"no episode is long enough: {names}{more}",
            expected=f"an episode of at least {needed} rows "
            f"({' + '.join(f'{name} {rows}' for name, rows in parts.items())})",
            fix=f"lower {settings}, {move}or add longer logs",
        )


def check_clips(task: Task, dataset: PackedDataset, folder: Path) -> None:
    """Refuse training clips that the task's `learn` part cannot learn from.

    Raises:
        BadInput: The clips cannot be learned from.
    """
    if task.learn.reads_clips:
        clips: dict[str, Values] = {}
        for episode in dataset.of("train"):
            key = episode.name if episode.name not in clips else episode.id
            clips[key] = episode_values(folder, dataset, episode)
        task.learn.check_clips(task, clips)


def check_published(task: Task, folder: Path) -> None:
    """Check a dataset that was published before, perhaps for another `learn` part.

    Raises:
        BadInput: An episode is too short, or the training clips cannot be learned from.
    """
    check_rows(task, scan_listing(folder))
    check_clips(task, read_packed(folder), folder)


def check_split(
    task: Task,
    episodes: Iterable[SplitEpisode],
    context: SplitContext,
    values: Mapping[str, Values],
) -> None:
    """Check the split that episodes would get, as the stage does.

    Args:
        task: task with the `dataset` and `learn` parts.
        episodes: all accepted episodes.
        context: sessions and near-duplicates.
        values: channel -> (n,) by id of those episodes whose clips are checked.

    Raises:
        BadInput: A split is empty, or as for `check_published`.
    """
    pieces = cut_pieces(task.dataset, episodes, task.validation.min_steps, context)
    table = piece_table(pieces).lazy()
    check_sides(task, table, context)
    check_rows(task, table)
    clips = {
        piece.name: {
            name: samples[piece.first : piece.last]
            for name, samples in values[piece.episode].items()
        }
        for piece in pieces
        if piece.split == "train" and piece.episode in values
    }
    if task.learn.reads_clips and clips:
        task.learn.check_clips(task, clips)
