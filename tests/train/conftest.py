"""A pendulum that we know, as a task and as packed episodes."""

import numpy as np
import pytest

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.store import ArtifactRef, get_or_build
from kinemill.task.document import Task
from tests.dataset.packing import write_packed

DT = 0.02


def pendulum_task(**learn) -> Task:
    return Task.model_validate(
        {
            "task": "pendulum",
            "dt": DT,
            "channels": {
                "angle": {"role": "state", "kind": "angle", "unit": "rad"},
                "velocity": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
                "torque": {"role": "action", "unit": "N*m"},
            },
            "learn": {
                "type": "dynamics",
                "model": {"type": "mlp", "hidden_sizes": [16]},
                "history": 3,
                "horizon": 4,
                "steps": 60,
                "batch_size": 32,
                "eval_every": 20,
                "save_every": 20,
                "log_every": 10,
                **learn,
            },
        }
    )


def swing(rows: int, seed: int) -> np.ndarray:
    """θ̈ = -9 sin θ - 0.2 θ̇ + u, semi-implicit Euler at dt: (rows, 3) rad, rad/s, N·m."""
    random = np.random.default_rng(seed)
    angle, velocity, rows_out = random.uniform(-1, 1), 0.0, []
    for torque in np.repeat(random.uniform(-3, 3, rows // 10 + 1), 10)[:rows]:
        rows_out.append((angle, velocity, torque))
        velocity += DT * (-9 * np.sin(angle) - 0.2 * velocity + torque)
        angle += DT * velocity
    return np.array(rows_out)


@pytest.fixture(scope="session")
def packed() -> PackedDataset:
    runs = {"train": [swing(150, seed) for seed in range(4)], "validation": [swing(150, 9)]}
    episodes, rows, start = [], [], 0
    for split, values in runs.items():
        for index, value in enumerate(values):
            stop = start + len(value)
            episodes.append(
                PackedEpisode(f"{split}{index}", split, f"{split}{index}.csv", split, start, stop)
            )
            rows.append(value)
            start = stop
    train = np.concatenate(runs["train"])
    return PackedDataset(
        task="pendulum",
        dt=DT,
        states=["angle", "velocity"],
        actions=["torque"],
        units={"angle": "rad", "velocity": "rad/s", "torque": "N*m"},
        angles=["angle"],
        episodes=episodes,
        segments=[np.concatenate(rows).astype(np.float32)],
        mean=train.mean(0),
        std=train.std(0),
        delta_std=np.concatenate([np.diff(run[:, :2], axis=0) for run in runs["train"]]).std(0),
    )


def publish(home, packed) -> ArtifactRef:
    def build(folder):
        write_packed(folder, packed)
        return {}

    return get_or_build(home, "dataset", "pendulum", {"of": "tests"}, build).ref
