"""Refuse a dataset that the task's `learn` part cannot use, before the dataset is published."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from kinemill.dataset._aux_arrays import Media, load_beside
from kinemill.dataset._empty_split import check_sides
from kinemill.dataset._packed import PackedDataset, read_packed
from kinemill.dataset._split import Known, SplitEpisode, cut_pieces
from kinemill.errors import BadInput
from kinemill.task import Task

_NAMED = 8  # episodes that a message names


class SplitRows(Protocol):
    """A number of rows of a recording, on one side of the split."""

    @property
    def name(self) -> str:
        """Name of the recording."""
        ...

    @property
    def split(self) -> str:
        """Side of the split."""
        ...

    @property
    def rows(self) -> int:
        """Number of time steps."""
        ...


def check_rows(task: Task, pieces: Iterable[SplitRows]) -> None:
    """Refuse a split in which no episode is long enough for one window.

    Raises:
        BadInput: names the split, its recordings with their lengths, and the settings to change.
    """
    listed = list(pieces)
    for split, parts in task.learn.needed_rows(task).items():
        own = sorted((one for one in listed if one.split == split), key=lambda one: -one.rows)
        needed = sum(parts.values())
        if not own or own[0].rows >= needed:
            continue
        settings = " or ".join(name for name in parts if "." in name)
        move = "" if split == "train" else f"choose a longer recording with dataset.{split}, "
        raise BadInput(
            f"{task.path or task.name}: dataset, {split} split",
            f"no episode is long enough: {_spell(own)}",
            expected=f"an episode of at least {needed} rows "
            f"({' + '.join(f'{name} {rows}' for name, rows in parts.items())})",
            fix=f"lower {settings}, {move}or add longer logs",
        )


def _spell(pieces: list[Any]) -> str:
    named = ", ".join(f"{one.name} {one.rows} rows" for one in pieces[:_NAMED])
    more = len(pieces) - _NAMED
    return f"{named} and {more} shorter" if more > 0 else named


def check_trainable(task: Task, dataset: PackedDataset, folder: Path) -> None:
    """Refuse a packed dataset that the task's `learn` part cannot use.

    Args:
        task: what is learned.
        dataset: the packed rows.
        folder: where they lie, with the values beside them.

    Raises:
        BadInput: an episode is too short, or the training clips cannot be learned from.
    """
    check_rows(task, dataset.episodes)
    if task.learn.reads_clips:
        task.learn.check_clips(task, _clips(dataset, folder))


def check_published(task: Task, folder: Path) -> None:
    """Check a dataset that was published before, perhaps for another `learn` part.

    Raises:
        BadInput: as for `check_trainable`.
    """
    check_trainable(task, read_packed(folder), folder)


def check_split(
    task: Task,
    episodes: Iterable[SplitEpisode],
    known: Known,
    values: Mapping[str, Mapping[str, Any]],
) -> None:
    """Check the split that episodes would get, as `make_dataset` does.

    Args:
        task: what is learned, and how it is split.
        episodes: all accepted episodes.
        known: which of them stay together.
        values: values (n,) by channel, by id of those episodes whose clips are checked.

    Raises:
        BadInput: a side is empty, or as for `check_trainable`.
    """
    pieces = cut_pieces(task.dataset, episodes, task.validation.min_steps, known)
    check_sides(task, pieces, known)
    check_rows(task, pieces)
    clips = {
        piece.name: {
            name: own[piece.first : piece.last] for name, own in values[piece.episode].items()
        }
        for piece in pieces
        if piece.split == "train" and piece.episode in values
    }
    if task.learn.reads_clips and clips:
        task.learn.check_clips(task, clips)


def _clips(dataset: PackedDataset, folder: Path) -> dict[str, dict[str, Any]]:
    """Return the values (n,) of each training episode by channel."""
    media = Media.read(folder)
    beside = list(media.units) if media else []
    found: dict[str, dict[str, Any]] = {}
    for episode in dataset.of("train"):
        values = dict(zip(dataset.columns, dataset.rows(episode).T, strict=True))
        if beside:
            numbers = load_beside(folder, episode).numbers
            values |= dict(zip(beside, numbers.T, strict=True))
        found[episode.name if episode.name not in found else episode.id] = values
    return found
