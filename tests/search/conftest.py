"""A task whose logs have metadata, and its recordings from logs to the view."""

import numpy as np
import pytest

from kinemill.ingest import stage as ingest
from kinemill.search.view import open_view
from kinemill.task import Task
from kinemill.validate import stage as validate

STEPS, DT = 60, 0.01  # s


def arm(**parts) -> Task:
    """A task with three channels; `parts` replace keys of the task file."""
    document = {
        "task": "arm",
        "dt": DT,
        "channels": {
            "angle": {"role": "state", "kind": "angle", "unit": "rad"},
            "velocity": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
            "torque": {"role": "action", "unit": "N*m", "limits": [-5, 5]},
        },
        "ingest": {"min_file_age": 0.0},
        "validate": {"min_steps": 20, "max_quarantined_share": 1.0},
        "learn": {"type": "dynamics", "model": {"type": "mlp"}},
    }
    return Task.model_validate(document | parts)


@pytest.fixture
def task() -> Task:
    """The task of the logs."""
    return arm()


@pytest.fixture
def logs(tmp_path):
    """Write a log of its own; keywords are its metadata, `peak` its largest torque in N*m."""
    folder = tmp_path / "logs"

    def write(name: str, number: int = 0, peak: float = 1.0, **metadata: object):
        random, t = np.random.default_rng(number), DT * np.arange(STEPS)[:, None]
        speed, phase = random.uniform(0.3, 2.0, 6), random.uniform(0.0, 6.3, 6)
        rate = random.uniform(5.0, 50.0, 6)  # rad/s
        angle = (speed / rate * np.sin(rate * t + phase)).sum(axis=1)
        velocity = (speed * np.cos(rate * t + phase)).sum(axis=1)
        torque = np.full(STEPS, peak)
        torque[::2] = 0.5 * peak
        columns = zip(1_767_225_600.0 + number + t[:, 0], angle, velocity, torque, strict=True)
        rows = [",".join(f"{value:.6f}" for value in row) for row in columns]
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["time,angle,velocity,torque", *rows, ""]))
        if metadata:
            lines = [f"{key}: '{value}'" for key, value in metadata.items()]
            path.with_name(f"{path.name}.meta.yaml").write_text("\n".join(lines))
        return folder

    return write


@pytest.fixture
def update(home):
    """Ingest and validate a folder, and return the view that shows it."""

    def run(task: Task, folder):
        recordings = ingest.run(task, home, folder).artifact.ref
        validate.run(task, home, recordings)
        return open_view(task, home)

    return run
