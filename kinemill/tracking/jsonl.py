"""Metrics as JSON lines: `metrics.jsonl` in a training's folder.

One object per line: `{"step": 50, "time": 1790000000.0, "train/loss": 0.1, ...}`. `time` is in s
since the epoch; values that are not finite are null. A kill can truncate only the last line, which
readers skip. A resumed training removes the lines of steps that it repeats.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from kinemill.store import Json

FILE = "metrics.jsonl"
Point = Json


class JsonLines:
    """A tracker that appends to a file. After a failed write, it retries with the next line.

    Args:
        path: the file, possibly of an earlier attempt.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end: int | None = None  # valid bytes; None before the first step
        self._waiting = b""

    def log_params(self, params: Mapping[str, object]) -> None:
        """Ignore parameters: the config is a file in the folder."""

    def log_text(self, name: str, text: str) -> None:
        """Ignore texts: they are files in the folder."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one line.

        Raises:
            OSError: The write failed; the line is written again with the next one.
        """
        if self._end is None:
            self._end = _valid_bytes(self._path, step)
            os.ftruncate(self._file, self._end)
        values = {name: float(value) for name, value in metrics.items()}
        finite = {name: v if math.isfinite(v) else None for name, v in values.items()}
        line = json.dumps({"step": step, "time": round(time.time(), 3), **finite})
        self._waiting += f"{line}\n".encode()
        self._write()

    def flush(self) -> None:
        """Write buffered lines and flush the file to disk."""
        if self._waiting:
            self._write()
        os.fsync(self._file)

    def close(self, ended_well: bool) -> None:
        """Flush and close the file."""
        del ended_well
        try:
            self.flush()
        finally:
            os.close(self._file)

    def _write(self) -> None:
        end = self._end or 0
        try:
            written = os.pwrite(self._file, self._waiting, end)
        except OSError:
            os.ftruncate(self._file, end)
            raise
        if written < len(self._waiting):
            os.ftruncate(self._file, end)  # readers would skip a partial line
            message = f"{self._path}: the disk took {written} of {len(self._waiting)} bytes"
            raise OSError(message)
        self._end = end + written
        self._waiting = b""


def _valid_bytes(path: Path, step: int) -> int:
    """Return the number of bytes of complete lines before step `step`."""
    size = 0
    with path.open("rb") as file:
        for line in file:
            point = _point(line)
            if point is None or point["step"] >= step:
                break
            size += len(line)
    return size


def _point(line: bytes) -> Point | None:
    """Parse a line; return None if it is truncated."""
    if not line.endswith(b"\n"):
        return None
    try:
        point = json.loads(line)
    except ValueError:
        return None
    return point if isinstance(point, dict) and isinstance(point.get("step"), int) else None


@dataclass
class Reader:
    """Incremental reader of a growing file of JSON lines.

    Attributes:
        path: the file, possibly not created yet.
        offset: bytes read so far.
        last: the last line read.
    """

    path: Path
    offset: int = 0
    last: bytes = field(default=b"", repr=False)

    def new(self) -> Iterator[Point]:
        """Yield the points since the last call; all points if the file was truncated."""
        try:
            with self.path.open("rb") as file:
                self._find_place(file)
                for line in file:
                    if not line.endswith(b"\n"):
                        return  # in progress, or truncated by a kill
                    self.offset = self.offset + len(line)
                    self.last = line
                    if point := _point(line):
                        yield point
        except FileNotFoundError:
            return

    def _find_place(self, file: IO[bytes]) -> None:
        start = self.offset - len(self.last)
        file.seek(start)
        if file.read(len(self.last)) != self.last:
            self.offset = 0
            self.last = b""
            file.seek(0)


def read_points(path: Path) -> list[Point]:
    """Return all points of a file; none if it does not exist."""
    return list(Reader(path).new())


def read_tail(path: Path, size: int) -> list[Point]:
    """Return the points in the last `size` bytes of a file; none if it does not exist."""
    try:
        with path.open("rb") as file:
            start = max(0, file.seek(0, os.SEEK_END) - size)
            file.seek(start)
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    complete = lines[1:] if start else lines  # the first one is truncated
    return [point for line in complete if (point := _point(line))]
