"""View of a task's recordings: one row each, brought up to date before it is read."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import polars as pl

from kinemill.query import META
from kinemill.search import changes
from kinemill.search.changes import Changes, Position
from kinemill.search.rows import CONTENT, OTHERS, frame_of, row_of, schema
from kinemill.search.segments import FORMAT, KEY, Pointer, Segments
from kinemill.store import Home, digest, index_path
from kinemill.store.locks import lock
from kinemill.task import Task

VERSION = 2  # of the columns; another one rebuilds the view
FOLDER = "search"
_BATCH = 2_000  # rows that are built together


@dataclass(frozen=True)
class View:
    """The rows of a task as they are published.

    Attributes:
        segments: the files.
        pointer: which of them hold live rows.
    """

    task: Task
    segments: Segments
    pointer: Pointer

    def __len__(self) -> int:
        return sum(segment.live_rows for segment in self.pointer.segments)

    def metadata_keys(self) -> list[str]:
        """Return the keys of the metadata that any recording has, sorted."""
        keys = set[str]()
        for frame in self.segments.scan(self.pointer.segments):
            names = frame.collect_schema().names()
            keys |= {name.removeprefix(META) for name in names if name.startswith(META)}
            if OTHERS in names:
                listed = frame.select(pl.col(OTHERS).explode().struct.field("key").unique())
                keys |= {key for key in listed.collect()["key"] if key is not None}
        return sorted(keys)

    def scan(self, columns: Collection[str]) -> pl.LazyFrame:
        """Return the live rows with some columns, as a lazy table; unknown ones are null."""
        types = schema(self.task)
        empty = pl.LazyFrame(
            schema={name: types.get(name, pl.String) for name in dict.fromkeys([KEY, *columns])}
        )
        frames = [self._complete(segment, columns) for segment in self._segments(columns)]
        return pl.concat([empty, *frames], how="diagonal")

    def _segments(self, columns: Collection[str]) -> list[pl.LazyFrame]:
        read = {KEY, *columns}
        if any(name.startswith(META) for name in columns):
            read.add(OTHERS)
        return self.segments.scan(self.pointer.segments, read)

    def _complete(self, frame: pl.LazyFrame, columns: Collection[str]) -> pl.LazyFrame:
        """Return a segment with the keys of the metadata that it stores without a column."""
        present = frame.collect_schema().names()
        if OTHERS not in present:
            return frame
        item = pl.element().struct
        missing = [name for name in columns if name.startswith(META) and name not in present]
        added = [
            pl.col(OTHERS)
            .list.eval(item.field("value").filter(item.field("key") == name.removeprefix(META)))
            .list.first()
            .alias(name)
            for name in missing
        ]
        return frame.with_columns(added).drop(OTHERS)


def units_of(task: Task) -> dict[str, str]:
    """Return the unit of each channel that has statistics."""
    return {name: task.channels[name].unit for name in task.numbers}


def open_view(task: Task, home: Home) -> View:
    """Return the view of a task's recordings, brought up to date.

    Raises:
        CorruptArtifact: A published snapshot or recording is damaged.
    """
    rules = digest([VERSION, changes.rules_digest(task)])
    segments = Segments(index_path(home, task.name, FOLDER))
    pointer = segments.read(rules)
    if pointer and pointer.position == _position(task, home, pointer):
        return View(task, segments, pointer)
    with lock(home, f"search-{task.name}"):
        pointer = segments.read(rules) or Pointer(FORMAT, rules, Position())
        position = _position(task, home, pointer)
        view = View(task, segments, pointer)
        if pointer.position != position:
            view = _update(view, home, position)
    return view


def _position(task: Task, home: Home, pointer: Pointer) -> changes.Position:
    return changes.current_position(task, home, pointer.position)


def _update(view: View, home: Home, position: changes.Position) -> View:
    """Publish the rows that changed since the view was written."""
    task = view.task
    pointer = view.pointer
    columns = [KEY, CONTENT]
    rows = view.segments.scan(pointer.segments, columns)
    empty = pl.LazyFrame(schema={KEY: pl.String, CONTENT: pl.Int64})
    frame = pl.concat([empty, *(row.select(columns) for row in rows)])
    change = Changes(task, home, position, pointer.position, lambda: {*frame.collect()[KEY]})
    changed = frame.filter(pl.col(KEY).is_in(change.changed)).collect()
    contents = dict(changed.iter_rows())
    published = view.segments.update(
        Pointer(FORMAT, pointer.rules, position, pointer.segments),
        _batches(task, home, change, contents),
        change.removed,
    )
    return View(task, view.segments, published)


def _batches(
    task: Task, home: Home, change: Changes, contents: dict[str, int]
) -> Iterator[pl.DataFrame]:
    """Yield tables of the rows that differ from those of the view."""
    rows = (row_of(task, home, source) for source in change.sources())
    new = (row for row in rows if contents.get(str(row.values[KEY])) != row.content)
    while batch := [*islice(new, _BATCH)]:
        yield frame_of(task, batch)
