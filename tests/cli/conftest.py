"""A pendulum's task among the tasks, its logs, and the command line in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.ingest import stage as ingest
from kinemill.store import Artifact
from kinemill.task import Task, load_task
from kinemill.validate import stage as validate

TASK = """\
task: swing
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad}
  velocity: {role: state, unit: rad/s, derivative_of: angle, limits: [-20, 20]}
  torque: {role: action, unit: N*m, limits: [-5, 5]}
ingest: {min_file_age: 0.0, format: csv}
dataset: {validation: {tail: 0.1}, test: ["*b.csv"]}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def swing(tmp_path, home, monkeypatch) -> Callable[..., Task]:
    """The task `swing`, read anew: its file may have been changed by `text`."""
    folder = tmp_path / "swing-tasks"
    folder.mkdir()
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))
    path = folder / "swing.yaml"
    path.write_text(TASK)

    def load(old: str = "", new: str = "") -> Task:
        path.write_text(path.read_text().replace(old, new) if old else path.read_text())
        return load_task("swing")

    return load


@pytest.fixture
def log(tmp_path) -> Callable[..., Path]:
    """Write a log of 1.5 sin(3 t) rad, 6 s at 100 Hz; `spoil` changes it before it is written."""
    folder = tmp_path / "swing-logs"

    def write(
        name: str, phase: float = 0.0, spoil: Callable[[np.ndarray], None] | None = None
    ) -> Path:
        time = 0.01 * np.arange(600)
        swinging = 1.5 * np.sin(3 * time + phase), 4.5 * np.cos(3 * time + phase)
        rows = np.stack([time, *swinging, np.sin(5 * time + phase)], axis=1)
        if spoil:
            spoil(rows)
        text = "\n".join(",".join(f"{value:.9g}" for value in row) for row in rows)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"time,angle,velocity,torque\n{text}\n")
        return path

    return write


def spike(rows: np.ndarray) -> None:
    """A velocity of 88 rad/s, beyond its limits, from 3.00 to 3.09 s."""
    rows[300:310, 2] = 88.0


@pytest.fixture
def evaluated(home) -> Callable[[Task, Path], Artifact]:
    """Ingest a folder and validate it, as the chain does."""

    def go(task: Task, folder: Path) -> Artifact:
        return validate.run(task, home, ingest.run(task, home, folder).artifact.ref)

    return go


@pytest.fixture
def kinemill() -> Callable[..., Any]:
    """Run a command in this process: its document with `--json`, else its output.

    Raises:
        KinemillError: what the command ended in.
    """

    def run(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.stdout

    return run


def bytes_under(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
