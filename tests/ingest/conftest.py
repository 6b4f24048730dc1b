"""A small task whose settings a test can change, and logs written as bytes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest

from kinemill.ingest import IngestReport, Recording, load_recordings, scan_cache
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.rows import read_rows
from kinemill.store.home import Home
from kinemill.task import Task, load_task

TASK = """
task: pendulum
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad, source: [position, {name: q_deg, unit: deg}]}
  velocity: {role: state, unit: rad/s, derivative_of: angle}
  torque: {role: action, unit: N*m}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def make_task(tmp_path) -> Callable[..., Task]:
    """A pendulum at 100 Hz: `angle` is `position` rad or `q_deg` deg, `velocity`, `torque`.

    `sources` are other columns of these three, in order.
    """
    path = tmp_path / "pendulum.yaml"
    path.write_text(TASK)

    def make(sources: Sequence[str] = (), **overrides: object) -> Task:
        values = {key.replace("__", "."): new for key, new in overrides.items()}
        channels = zip(("angle", "velocity", "torque"), sources, strict=False)
        return load_task(path, values | {f"channels.{n}.source": column for n, column in channels})

    return make


@pytest.fixture
def task(make_task) -> Task:
    return make_task()


@pytest.fixture
def logs(tmp_path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


@pytest.fixture
def write(logs) -> Callable[..., Path]:
    """Write rows of time, position, velocity, torque as CSV, or bytes as they are."""

    def write_log(name: str, content: bytes | str | list[tuple[float, ...]]) -> Path:
        path = logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            lines = ["time,position,velocity,torque", *(",".join(map(repr, r)) for r in content)]
            content = "\n".join(lines) + "\n"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_log


@pytest.fixture
def swing() -> list[tuple[float, ...]]:
    """A hundred rows on the grid: position k/10 rad, velocity 10 rad/s, torque k N*m."""
    return [(k / 100, k / 10, 10.0, float(k)) for k in range(100)]


@pytest.fixture
def remembered(monkeypatch) -> None:
    """Let the scan cache keep files that were written just before they are read."""
    monkeypatch.setattr(scan_cache, "_FRESH", -60.0)


def with_ingest(task: Task, **settings: object) -> Task:
    """Return a task with other settings of `ingest`."""
    return task.model_copy(update={"ingest": task.ingest.model_copy(update=settings)})


def stored(home: Home, report: IngestReport) -> tuple[Recording, list[pl.DataFrame]]:
    """Return the only recording of an ingest, and the rows of its tracks."""
    (recording,) = load_recordings(home, report.artifact.ref)
    return recording, [read_rows(recording.folder / item.file) for item in recording.summary.tracks]


def refusals(read, path, task) -> list[dict[str, object]]:
    """Return the reasons for which a reader refuses a log."""
    with pytest.raises(Unreadable) as error:
        read(path, task)
    return error.value.reasons
