"""Recordings made from arrays, and the real logs on a task's time grid."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from kinemill import catalog
from kinemill.catalog import SetRules
from kinemill.ingest import snapshot
from kinemill.ingest.rows import SUFFIX, write_rows
from kinemill.ingest.snapshot import entry_of
from kinemill.store import ArtifactRef, digest, get_or_build
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.validate import table
from kinemill.validate.faults import checks_of
from tests.conftest import EXAMPLES, learning_task

ROOT = Path(__file__).resolve().parents[2]
Frames = dict[str, list[pl.DataFrame]]


def summarize(frame: pl.DataFrame, task: Task) -> pl.DataFrame:
    """The table of the episodes in `frame`: rows of `episode` and the task's columns."""
    parts = frame.group_by("episode", maintain_order=True)
    rows = [
        table.row(str(name), {column: part[column].to_numpy() for column in task.columns}, task)
        for (name,), part in parts
    ]
    return pl.DataFrame(rows, schema=table.empty(task).schema, orient="row")


def make_task(**validate: Any) -> Task:
    """A pendulum at 100 Hz: angle rad, velocity rad/s in [-20, 20], torque N*m in [-5, 5]."""
    channels = {
        "angle": {"role": "state", "kind": "angle", "unit": "rad"},
        "velocity": {
            "role": "state",
            "unit": "rad/s",
            "derivative_of": "angle",
            "limits": [-20, 20],
        },
        "torque": {"role": "action", "unit": "N*m", "limits": [-5, 5]},
    }
    return learning_task("pendulum", 0.01, channels, validate=validate)


@pytest.fixture
def pendulum() -> Callable[..., Task]:
    return make_task


def locations(task: Task, check: str, values) -> list[tuple[int, int, str | None]]:
    """Start, stop and channel of each fault that a check of the task finds."""
    faults = checks_of(task)[check].find(values, task)
    return [(fault.start, fault.stop, fault.channel) for fault in faults]


def make_swing(rows: int = 1000, phase: float = 0.0) -> dict[str, np.ndarray]:
    """1.5 sin(3 t) rad at 100 Hz, read by an encoder of 2^14 steps, with its velocity."""
    time = 0.01 * np.arange(rows)
    step = 2 * np.pi / 2**14
    return {
        "angle": step * np.round(1.5 * np.sin(3 * time + phase) / step),
        "velocity": 4.5 * np.cos(3 * time + phase),
        "torque": np.sin(time + phase),
    }


@pytest.fixture
def swing() -> Callable[..., dict[str, np.ndarray]]:
    return make_swing


def as_frame(values: dict[str, np.ndarray], dt: float = 0.01) -> pl.DataFrame:
    rows = len(next(iter(values.values())))
    return pl.DataFrame({"time_s": dt * np.arange(rows), **values})


def _record_one(home, task, name: str, frames: list[pl.DataFrame]):
    def build(folder: Path):
        tracks = []
        for index, frame in enumerate(frames):
            file = f"track-{index:04d}{SUFFIX}"
            write_rows(frame, folder / file)
            start = float(frame["time_s"][0])
            tracks.append({"index": index, "rows": frame.height, "start_s": start, "file": file})
        unread = {
            "check": "readable",
            "channel": None,
            "where": "row 1",
            "found": "<b>nothing</b>",
            "expected": "rows",
            "fix": "log again",
        }
        return {
            "hash": digest(name),
            "format": "csv",
            "rows": sum(frame.height for frame in frames),
            "dropped_rows": 0,
            "tracks": tracks,
            "reasons": [] if frames else [unread],
        }

    inputs = {"name": name, "frames": [frame.write_json() for frame in frames]}
    return get_or_build(home, "recording", task.name, inputs, build)


@pytest.fixture
def record(home) -> Callable[[Task, Frames], ArtifactRef]:
    """Publish recordings as ingest does: name -> frames of its tracks (none: unreadable)."""

    def publish(task: Task, frames: Frames, home: Home = home) -> ArtifactRef:
        entries = [
            entry_of(digest(name), name, _record_one(home, task, name, tracks), released=False)
            for name, tracks in frames.items()
        ]
        changes = {entry.hash: entry for entry in entries}
        head = catalog.amend(home, task.name, changes, SetRules(), whole=True)
        return snapshot.publish(home, task.name, head).ref

    return publish


def real_logs(task: Task, folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read the real logs of a task on its time grid, in its units."""
    logs = {}
    for path in sorted(folder.glob("*.csv")):
        if not task.ingest.wants(path.name):
            continue
        frame = pl.read_csv(path)
        frame = frame.rename({name: name.strip() for name in frame.columns})
        stamps = frame["time"].to_numpy()
        later = np.concatenate(([True], np.diff(stamps) > 0))
        grid = np.arange(stamps[later][0], stamps[later][-1], task.dt)
        logs[path.name] = {
            name: np.interp(grid, stamps[later], _column(frame, name, channel)[later])
            for name, channel in task.channels.items()
        }
    return logs


def logs_at(shared_data: Path, folder: str, dt: float):
    """Return the task of the double pendulum at another time step, and the logs of a folder."""
    task = load_task(EXAMPLES / "double_pendulum.yaml", {"dt": dt})
    return task, real_logs(task, shared_data / folder)


def _column(frame: pl.DataFrame, name: str, channel) -> np.ndarray:
    names = [source.name for source in channel.source] or [name]
    return frame[next(key for key in names if key in frame.columns)].to_numpy()


@pytest.fixture(scope="session")
def double_pendulum(shared_data):
    task = load_task(EXAMPLES / "double_pendulum.yaml")
    return task, real_logs(task, shared_data / "double_pendulum_sysid")


@pytest.fixture(scope="session")
def simple_pendulum(shared_data):
    task = load_task(EXAMPLES / "simple_pendulum.yaml")
    return task, real_logs(task, shared_data / "simple_pendulum")
