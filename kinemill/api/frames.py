"""Frames of polars, pandas or numpy as logs: one frame is one recording.

The frames are written as Parquet files, which ingest reads like any log. So the checks, the
resampling and the reasons for rejected rows are those of logs.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from kinemill.api.arguments import require
from kinemill.api.html import Summarized
from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.runtime.input_checks import to_array
from kinemill.store import Home, publish_file
from kinemill.task import Source, Task
from kinemill.task.units import factor

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    Frame = pl.DataFrame | pd.DataFrame | NDArray[np.float64] | Mapping[str, NDArray[np.float64]]
else:
    Frame = object

_NAME = re.compile(r"\w[\w. -]{0,99}")
_FOLDER = "frames"


@dataclass(frozen=True, eq=False, repr=False)
class FrameLogs(Summarized):
    """Recordings that are frames, see `from_frames`.

    Attributes:
        frames: one recording each, by name.
        units: unit of columns that are not in the unit that the task states.
        dt: time between rows, s; None: the frames have timestamps.
        time: column of the timestamps; None: one of the task's `ingest.time`.
    """

    frames: Mapping[str, "pl.DataFrame"]
    units: Mapping[str, str] = field(default_factory=dict[str, str])
    dt: float | None = None
    time: str | None = None

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        sizes = {name: f"{frame.height} rows" for name, frame in self.frames.items()}
        return f"Logs: {len(self.frames)}", sizes

    def write(self, task: Task, home: Home) -> Path:
        """Write the frames as Parquet files that the task reads as logs, and return their folder.

        Equal frames have the same folder.

        Raises:
            BadInput: a column or unit does not fit the task, or the task reads no Parquet files.
        """
        _require_parquet(task, self.frames)
        files = {f"{name}.parquet": self._parquet(task, name) for name in self.frames}
        whole = hashlib.sha256()
        for name, content in files.items():
            whole.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
        home.make()
        folder = home.root / _FOLDER / task.name / whole.hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if not (folder / name).is_file():
                publish_file(folder / name, content)
                # Ingest waits until a file is `ingest.min_file_age` old; this one is complete.
                os.utime(folder / name, (0, 0))
        return folder

    def _parquet(self, task: Task, name: str) -> bytes:
        frame = _in_units(self.frames[name], task, self.units)
        file = BytesIO()
        _add_timestamps(frame, task, f"frame {name!r}", self.dt, self.time).write_parquet(file)
        return file.getvalue()


def from_frames(
    frames: "Mapping[str, Frame]",
    *,
    columns: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    dt: float | None = None,
    time: str | None = None,
) -> FrameLogs:
    """Return frames as logs, for every function that reads logs.

    Args:
        frames: one recording each, by name: a polars or pandas frame, a mapping of column names to
            arrays (N,), or an array (N, C) with names in `columns`.
        columns: names of the columns of arrays.
        units: unit of a column, such as `{"angle": "deg"}`; default: the unit in the task.
        dt: time between rows, s, of frames without timestamps.
        time: column of the timestamps: s (or the task's `ingest.time_unit`), or dates. Default: one
            of the task's `ingest.time`. An index of pandas that has a name counts as a column.

    Raises:
        BadInput: there are no frames, a name is no file name, columns have different lengths, or
            both `dt` and `time` are set.
    """
    require("frames", frames, Mapping, "frames by name, such as {'run1': frame}")
    if not frames:
        raise BadInput("frames", "is empty", expected="at least one frame, by name")
    if dt is not None and time is not None:
        raise BadInput("dt and time", "are both set", expected="one of them")
    if dt is not None:
        require("dt", dt, (int, float, np.number), "a time step, s")
        if not 0.0 < dt < np.inf:
            raise BadInput("dt", str(dt), expected="more than 0 s")
    require("units", units or {}, Mapping, "units by column, such as {'angle': 'deg'}")
    read = {name: _as_polars(name, frame, columns) for name, frame in frames.items()}
    for name, frame in read.items():
        if time is not None and time not in frame.columns:
            fix = nearest(time, frame.columns)
            raise BadInput(f"frame {name!r}", f"has no column {time!r} of timestamps", fix=fix)
    return FrameLogs(read, dict(units or {}), dt, time)


def _as_polars(name: str, frame: object, columns: Sequence[str] | None) -> "pl.DataFrame":
    import polars as pl

    where = f"frame {name!r}"
    require(where, name, str, "a name that is a str")
    if not _NAME.fullmatch(name):
        expected = "letters, digits, spaces and . _ -"
        raise BadInput(where, "has a name that is no file name", expected=expected)
    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, np.ndarray):
        return _of_array(where, cast("NDArray[np.generic]", frame), columns)
    try:
        if isinstance(frame, Mapping):
            arrays = cast("Mapping[str, object]", frame).items()
            return _readable(where, {key: _of_column(key, values) for key, values in arrays})
        if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
            return _of_pandas(cast("pd.DataFrame", frame))
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise BadInput(where, f"cannot be read: {str(error).splitlines()[0]}") from error
    expected = "a polars or pandas frame, a mapping of names to arrays, or an array with `columns`"
    raise BadInput(where, f"is a {type(frame).__name__}", expected=expected)


def _of_column(name: object, values: object) -> "NDArray[Any] | list[Any]":
    """Return a column (N,) of values whose type polars can infer."""
    column = to_array(str(name), values)
    return column.tolist() if column.dtype == object else column


def _of_array(where: str, array: "NDArray[Any]", columns: Sequence[str] | None) -> "pl.DataFrame":
    import polars as pl

    if array.dtype.names is not None:
        return pl.DataFrame({name: array[name] for name in array.dtype.names})
    if columns is None:
        raise BadInput(where, "is an array without names", fix="name its columns: columns=[...]")
    if array.ndim != 2 or array.shape[1] != len(columns):
        expected = f"(rows, {len(columns)}) for {', '.join(columns)}"
        raise BadInput(where, f"has the shape {array.shape}", expected=expected)
    if len(set(columns)) < len(columns):
        raise BadInput("columns", f"has a name twice: {', '.join(columns)}", expected="one each")
    values = to_array(where, array)
    return _readable(where, {name: values[:, index] for index, name in enumerate(columns)})


def _readable(where: str, columns: Mapping[str, object]) -> "pl.DataFrame":
    """Return columns as a frame.

    Raises:
        BadInput: One holds objects that no file can hold, such as complex numbers.
    """
    import polars as pl

    frame = pl.DataFrame(columns)
    for name, kind in frame.schema.items():
        if kind == pl.Object:
            raise BadInput(
                where, f"column {name!r} holds objects", expected="numbers, texts, dates"
            )
    return frame


def _of_pandas(frame: "pd.DataFrame") -> "pl.DataFrame":
    import polars as pl

    indexed = frame.index.name is not None and frame.index.name not in frame.columns
    return pl.from_pandas(frame.reset_index() if indexed else frame)


def _require_parquet(task: Task, names: Mapping[str, object]) -> None:
    """Refuse a task that would ignore the files of frames.

    Raises:
        BadInput: its logs are of another format, or have other names.
    """
    if task.ingest.format not in {"auto", "parquet"}:
        where = "ingest.format"
        problem = f"is {task.ingest.format}"
        raise BadInput(where, problem, expected="auto, which also reads frames")
    ignored = [name for name in names if not task.ingest.wants(f"{name}.parquet")]
    if ignored:
        fix = "rename the frames, or change `ingest.include` and `ingest.exclude`"
        raise BadInput(f"frame {ignored[0]!r}", "is excluded by the task", fix=fix)


def _in_units(frame: "pl.DataFrame", task: Task, units: Mapping[str, str]) -> "pl.DataFrame":
    """Convert columns to the units in which the task expects them.

    Raises:
        BadInput: the task has no such column, or the unit has another dimension.
    """
    import polars as pl

    expected = _expected_units(task)
    for name, unit in units.items():
        if name not in expected:
            fix = nearest(name, list(expected))
            raise BadInput(f"units: {name}", f"is no column of the task {task.name}", fix=fix)
        require(f"units: {name}", unit, str, "a unit such as 'deg'")
        try:
            scale, offset = factor(unit, expected[name])
        except BadInput as error:
            raise BadInput(f"units: {name}", str(error), expected=expected[name]) from error
        if name in frame.columns and (scale, offset) != (1.0, 0.0):
            frame = frame.with_columns(pl.col(name).cast(pl.Float64) * scale + offset)
    return frame


def _expected_units(task: Task) -> dict[str, str]:
    """Return the unit in which the task reads each column that it names."""
    return {
        source.name: source.unit or channel.unit
        for name, channel in task.channels.items()
        for source in (channel.source or [Source(name=name)])
    }


def _add_timestamps(
    frame: "pl.DataFrame", task: Task, where: str, dt: float | None, time: str | None
) -> "pl.DataFrame":
    """Return a frame with timestamps under a name that the task reads."""
    import polars as pl

    names = task.ingest.time
    if dt is not None:
        if present := [name for name in names if name in frame.columns]:
            fix = "leave dt out, or drop the column"
            raise BadInput(where, f"has dt and the timestamps {present[0]!r}", fix=fix)
        ticks = np.arange(frame.height) * dt * task.ingest.ticks
        return frame.with_columns(pl.Series(names[0], ticks))
    if time is None or time in names:
        return frame
    return frame.drop([name for name in names if name in frame.columns]).rename({time: names[0]})
