"""Files of named arrays (HDF5, NPZ, MATLAB): declared sizes, and columns of their arrays.

A file is a tree of arrays under names with `/` in them. A part, one episode, is a group of that
tree; a channel's source is the name of an array below the part (`obs/joint_pos[3]`), or with a
leading `/` of one anywhere in the file. Declared sizes are checked before anything is read.

Symbols: N rows of a part, C columns of an array.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache, partial
from math import prod
from typing import Protocol

import numpy as np
import polars as pl

from kinemill.ingest.name_heuristics import guess, is_stamp, rate_by
from kinemill.ingest.raw import (
    TIME,
    Columns,
    RawLog,
    Reason,
    Unreadable,
    elements,
    match_columns,
    reason,
    refused_part,
    row_numbers,
)
from kinemill.ingest.readers._arrays import (
    Array,
    Column,
    Values,
    check_columns,
    columns_of,
    only_number,
    read_texts,
    rows_first,
    size_problem,
)
from kinemill.ingest.readers._episodes import NAMES as MARKS
from kinemill.ingest.readers._episodes import split_episodes
from kinemill.ingest.readers._media import MediaColumn, read_media
from kinemill.task import Task

_LABEL_KEYS = ("columns", "channels", "names", "labels", "channel_names", "column_names", "fields",
               "joint_names")  # fmt: skip
MOST_LABELED = 200  # arrays of a file in which names of columns are searched
FEWEST_STEPS = 50  # of episodes that are stacked in an array
NAMED = 12  # most names in a message
EPISODES = (  # Minari; robomimic; ManiSkill; an array of structs
    *("episode_*", "data/demo_*", "traj_[0-9]*", "trajectory_[0-9]*", "demo_[0-9]*", "*([0-9]*)"),
)


class Tree(Protocol):
    """The arrays of one file."""

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        """Yield the names of all groups, without a leading `/`, skipping those below `stop_at`."""
        ...

    def arrays(self, group: str) -> dict[str, Array]:
        """Return the arrays (...) below a group, by their names relative to it; "" is the file."""
        ...

    def number(self, group: str, name: str) -> float | None:
        """Return the number in an array or attribute of a group; None if it is not one number."""
        ...

    def texts(self, group: str, name: str) -> list[str] | None:
        """Return the texts in an array or attribute of a group, one for all rows or one per row.

        An attribute is called `@name`. None if it holds no texts.
        """
        ...


class ArrayTree:
    """The arrays of a file that are all listed by their paths.

    Args:
        arrays: arrays (...) by path.
        groups: all groups, each before those inside it; None: those that the paths show.
    """

    def __init__(self, arrays: Mapping[str, Array], groups: Iterable[str] | None = None) -> None:
        self.listed = arrays
        parts = (name.split("/") for name in arrays)
        folders = ("/".join(path[:depth]) for path in parts for depth in range(1, len(path)))
        self._groups = [*dict.fromkeys(folders if groups is None else groups)]
        # A file may have many episodes: the arrays of each are found by bisection.
        self._sorted = sorted(arrays)
        self._order = {name: number for number, name in enumerate(arrays)}

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        """Yield the names of groups, as `Tree` states."""
        closed = set[str]()
        for group in self._groups:
            if group.rpartition("/")[0] in closed:
                closed.add(group)
                continue
            yield group
            if stop_at(group):
                closed.add(group)

    def arrays(self, group: str) -> dict[str, Array]:
        """Return the arrays (...) below a group."""
        below = f"{group}/" if group else ""
        first = bisect_left(self._sorted, below)
        last = bisect_right(self._sorted, below, first, key=lambda name: name[: len(below)])
        names = sorted(self._sorted[first:last], key=self._order.__getitem__)
        return {name.removeprefix(below): self.listed[name] for name in names}

    def number(self, group: str, name: str) -> float | None:
        """Return a number of a group, or None."""
        return only_number(self.listed.get(path_in(group, name)))

    def texts(self, group: str, name: str) -> list[str] | None:
        """Return the texts of an array of a group, or None."""
        array = self.listed.get(path_in(group, name))
        return read_texts(array) if array else None


def path_in(group: str, name: str) -> str:
    """Return the path of a name in a group."""
    return f"{group}/{name}" if group else name


def read_tree(tree: Tree, task: Task) -> RawLog | list[RawLog]:
    """Read every part of a file; a part that cannot be read does not affect the others.

    Raises:
        Header: The task has no channels.
        Unreadable: No group matches `ingest.groups`, or the file is one part and cannot be read.
    """
    parts = _parts(tree, task)
    if parts == [""] and not task.ingest.groups:
        tree = stacked(tree)
        parts = _parts(tree, task)
    outside = _absolute(tree, task)
    if parts == [""]:
        log = _read_part(tree, "", outside, task)
        return split_episodes(log, _marks(tree, log.frame.height))
    logs: list[RawLog] = []
    for part in parts:
        try:
            logs.append(_read_part(tree, part, outside, task))
        except Unreadable as error:
            logs.append(refused_part(part, error.reasons))
    return logs


class _Stacked:
    """The episodes of arrays (E, N, C): part `(k)` holds row k of each.

    Args:
        tree: the file.
        shape: (E, N).
    """

    def __init__(self, tree: Tree, shape: tuple[int, int]) -> None:
        self._tree = tree
        self._shape = shape
        self._arrays = {
            name: replace(array, load=cache(array.load)) for name, array in tree.arrays("").items()
        }

    def groups(self, stop_at: Callable[[str], bool]) -> Iterator[str]:
        del stop_at
        yield from (f"({number})" for number in range(self._shape[0]))

    def arrays(self, group: str) -> dict[str, Array]:
        if not group:
            return self._arrays
        number = int(group.strip("()"))
        return {
            name: replace(
                array,
                shape=array.shape[1:],
                load=lambda load=array.load: load()[number],
                stored=None,
                rows=None,
            )
            if array.shape[:2] == self._shape
            else array
            for name, array in self._arrays.items()
        }

    def number(self, group: str, name: str) -> float | None:
        del group
        return self._tree.number("", name)

    def texts(self, group: str, name: str) -> list[str] | None:
        del group
        return self._tree.texts("", name)


def stacked(tree: Tree) -> Tree:
    """Return the episodes of a file whose arrays are (E, N, C) or (E, N); else the file itself.

    A matrix of E rows shows that the first axis is time, and so does a short second axis: (N, 3, 3)
    are rotations, and (N, 13, 3) bodies.
    """
    arrays = [array for array in tree.arrays("").values() if not array.trouble]
    shapes = [
        array.shape for array in arrays if array.dtype.kind in "fiu" and prod(array.shape) > 1
    ]
    whole = {shape[:2] for shape in shapes if len(shape) == 3}
    if len(whole) != 1:
        return tree
    episodes, rows = whole.pop()
    others = [shape for shape in shapes if shape[:2] != (episodes, rows)]
    fits = all(shape in {(rows,), (episodes,)} for shape in others)
    return _Stacked(tree, (episodes, rows)) if fits and rows >= FEWEST_STEPS else tree


def _absolute(tree: Tree, task: Task) -> dict[str, Array]:
    """Return all arrays of the file by names with a leading `/`, if the task names one so."""
    if not any(name.startswith("/") for name in _source_names(task)):
        return {}
    return {f"/{name}": array for name, array in tree.arrays("").items()}


def _parts(tree: Tree, task: Task) -> list[str]:
    """Return the groups that are parts, `episode_2` before `episode_10`; [""] is the whole file."""
    patterns = task.ingest.groups or EPISODES

    def is_part(group: str) -> bool:
        return any(fnmatchcase(group, pattern) for pattern in patterns)

    groups = list(tree.groups(is_part))
    parts = sorted(filter(is_part, groups), key=_natural)
    if parts or not task.ingest.groups:
        return parts or [""]
    raise Unreadable(
        reason(
            "groups",
            "file",
            f"no group matches {', '.join(map(repr, patterns))}",
            expected=f"an episode in each; the file has {', '.join(groups[:NAMED]) or 'no group'}",
            fix="correct `ingest.groups`, or leave it out where the file is one episode",
        )
    )


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key in which numbers count as numbers."""
    pieces = re.findall(r"\d{1,18}|\D+|\d", name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in pieces]


def _read_part(tree: Tree, part: str, outside: dict[str, Array], task: Task) -> RawLog:
    arrays = rows_first(tree.arrays(part) | outside)
    listed = [column for name, array in arrays.items() for column in columns_of(name, array)]
    longest = max((prod(column.array.shape[:1]) for column in listed), default=1)
    listed = [column for column in listed if longest < 2 or not _is_no_clock(column, task)]
    rate = _rate(tree, part, [column.name for column in listed], task)
    columns = match_columns([column.name for column in listed], task, rate)
    indices = {} if columns.time is None else {TIME: columns.time}
    selected = {name: listed[index] for name, index in (indices | columns.channels).items()}
    check_columns(selected)
    media = read_media(tree, part, arrays, task)
    return _log(_load(selected), columns, media, task, part)


def labels_of(tree: Tree) -> dict[str, str]:
    """Return the names of columns of matrices, `x[2]`, that texts of the same group list.

    A matrix with a meaning by its name, such as `q` next to `joint_names`, keeps it.
    """
    labels = dict[str, str]()
    arrays = rows_first(tree.arrays(""))
    if len(arrays) > MOST_LABELED:
        return labels
    owners = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
    for owner in owners:
        inside = {name: array for name, array in arrays.items() if name.rpartition("/")[0] == owner}
        keys = [name.rpartition("/")[2] for name in inside] + [f"@{key}" for key in _LABEL_KEYS]
        texts = (tuple(tree.texts(owner, key) or ()) for key in keys)
        lists = [*dict.fromkeys(names for names in texts if len({*names}) > 1)]
        for name, array in inside.items():
            stated = [tuple(tree.texts(name, f"@{key}") or ()) for key in _LABEL_KEYS]
            listed = [n for n in {*lists, *stated} if n and array.shape[1:] == (len(n),)]
            if array.trouble or len(listed) != 1 or len({*listed[0]}) < len(listed[0]):
                continue
            leaf = name.rpartition("/")[2]
            above = "" if guess(leaf).what == "unknown" else f"{leaf} "
            labels |= {
                element: above + text.strip()
                for element, text in zip(elements(name, len(listed[0])), listed[0], strict=True)
            }
    return labels


def _marks(tree: Tree, rows: int) -> dict[str, Values]:
    """Return numbers (rows,) that mark the episodes of a file.

    They are arrays at the top of the file, or follow from an array of the lengths or ends of all
    episodes, such as `meta/episode_ends` of Diffusion Policy.
    """
    arrays = {
        name: array
        for name, array in tree.arrays("").items()
        if array.dtype.kind in "biuf" and not array.trouble and not size_problem(name, array)
    }
    marks = {
        name: array.load().reshape(-1)
        for name, array in arrays.items()
        if name in MARKS and array.shape in {(rows,), (rows, 1)}
    }
    for array in arrays.values():
        if array.dtype.kind not in "iu" or len(array.shape) != 1 or not 1 < array.shape[0] < rows:
            continue
        numbers = array.load().astype(np.int64)
        lengths = np.diff(numbers, prepend=0) if numbers[-1] == rows else numbers
        if lengths.min() > 0 and lengths.sum() == rows:
            return marks | {"episode": np.repeat(np.arange(len(lengths)), lengths)}
    return marks


def _is_no_clock(column: Column, task: Task) -> bool:
    """Return whether an array is named as timestamps, but holds one number, or none."""
    is_named = column.name in task.ingest.time or is_stamp(column.name.rpartition("/")[2])
    return is_named and prod(column.array.shape) < 2


def _source_names(task: Task) -> list[str]:
    names = [source.name for channel in task.channels.values() for source in channel.source]
    return [*names, *task.ingest.time]


def _rate(tree: Tree, part: str, names: list[str], task: Task) -> float | None:
    """Return the rate of rows, Hz, from the group of the channels or a parent group."""
    available = set(names)
    first = next((name for name in [*_source_names(task), *task.channels] if name in available), "")
    near = first if first.startswith("/") else f"{part}/{first}"
    group = near.rpartition("/")[0].strip("/")
    while True:
        rate = rate_by(partial(tree.number, group)) or _rate_of_environment(tree, group)
        if rate or not group:
            return rate
        group = group.rpartition("/")[0]


def _rate_of_environment(tree: Tree, group: str) -> float | None:
    """Return the control rate, Hz, in the attribute `env_args` that robomimic writes, if any."""
    try:
        arguments = json.loads(next(iter(tree.texts(group, "@env_args") or ()), ""))
        rate = float(arguments["env_kwargs"]["control_freq"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return rate if 0.0 < rate < 1e9 else None


def _load(columns: dict[str, Column]) -> dict[str, Values]:
    loaded: dict[int, Values] = {}
    for column in columns.values():
        if id(column.array) not in loaded:
            loaded[id(column.array)] = column.array.load()
    return {name: column.take(loaded[id(column.array)]) for name, column in columns.items()}


def _log(
    values: dict[str, Values], matched: Columns, media: list[MediaColumn], task: Task, part: str
) -> RawLog:
    counts = {name: len(column) for name, column in values.items()}
    counts |= {column.channel: column.rows for column in media if column.rows}
    rows, reasons = _common_rows(counts, task)
    stamps = values.pop(TIME, None)
    time = row_numbers(rows) if stamps is None else _stamps(stamps[:rows])
    columns = {name: np.ascontiguousarray(v[:rows], np.float64) for name, v in values.items()}
    columns |= {column.channel: column.references(rows) for column in media}
    frame = pl.DataFrame([time, *(pl.Series(name, column) for name, column in columns.items())])
    ticks = matched.rate if stamps is None and matched.rate else task.ingest.ticks
    contents = {column.channel: column.media for column in media}
    return RawLog(frame, matched.sources, ticks, len(reasons), reasons, part, media=contents)


def _stamps(values: Values) -> pl.Series:
    exact = values.dtype.kind in "iu" and values.dtype != np.uint64
    return pl.Series(TIME, np.ascontiguousarray(values, np.int64 if exact else np.float64))


def _common_rows(counts: dict[str, int], task: Task) -> tuple[int, list[Reason]]:
    """Return how many rows all columns have, without a last observation that no action follows.

    Raises:
        Unreadable: The columns have different numbers of rows.
    """
    fewest = min(counts.values())
    most = max(counts.values())
    if fewest == most and fewest > 0:
        return fewest, []
    # Episodes of learning agents have rewards, and may have an instruction per step.
    role = {name: task.channels[name].role for name in counts if name != TIME}
    action_rows = {counts[name] for name in role if role[name] in {"action", "reward"}}
    observation_rows = {
        counts[name] for name in role if role[name] in {"state", "output", "observation", "image"}
    }
    if action_rows == {fewest} and observation_rows == {most} and most == fewest + 1 and fewest > 0:
        return fewest, [_last_observation(most)]
    listed = [f"{name} {count}" for name, count in counts.items()]
    more = [f"and {len(listed) - NAMED} more"] if len(listed) > NAMED else []
    row_counts = ", ".join([*listed[:NAMED], *more])
    raise Unreadable(
        reason(
            "rows",
            "whole log",
            f"columns of different or no length: {row_counts}",
            expected="as many rows in each (observations may have one more than actions)",
            fix="name arrays that belong together at `source`",
        )
    )


def _last_observation(row: int) -> Reason:
    return reason(
        "last_row",
        f"row {row}",
        "an observation that no action follows",
        expected="an action in each row",
        fix="nothing to do: the row is left out",
    )
