"""A dataset of a few episodes of a pendulum with known equations of motion."""

import numpy as np
import pytest

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.task.document import Task

DT = 0.02


def pendulum_task(kind="angle", **verify) -> Task:
    """Return the task of the datasets of `pack`."""
    return Task.model_validate(
        {
            "task": "pendulum",
            "dt": 0.02,
            "channels": {
                "angle": {"role": "state", "kind": kind, "unit": "rad"},
                "velocity": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
                "torque": {"role": "action", "unit": "N*m"},
            },
            "learn": {"type": "dynamics", "model": {"type": "mlp"}},
            "verify": verify,
        }
    )


def pack(runs: dict[str, list[np.ndarray]], angles=("angle",)) -> PackedDataset:
    """Pack episodes (rows, 3), columns angle rad, velocity rad/s, torque N·m."""
    episodes, start = [], 0
    for split in ("train", "validation", "test"):
        for index, values in enumerate(runs.get(split, [])):
            stop, name = start + len(values), f"{split}{index}"
            episodes.append(PackedEpisode(f"{name}-0000", name, f"{name}.csv", split, start, stop))
            start = stop
    values = np.concatenate([run for split in runs.values() for run in split])
    train = np.concatenate(runs["train"])
    return PackedDataset(
        task="pendulum",
        dt=DT,
        states=["angle", "velocity"],
        actions=["torque"],
        units={"angle": "rad", "velocity": "rad/s", "torque": "N*m"},
        angles=list(angles),
        episodes=episodes,
        segments=[values.astype(np.float32)],
        mean=train.mean(axis=0),
        std=train.std(axis=0),
        delta_std=np.concatenate([np.diff(run[:, :2], axis=0) for run in runs["train"]]).std(
            axis=0
        ),
    )


def swing(rows: int, seed: int, *, linear: bool = False) -> np.ndarray:
    """Simulate θ̈ = -9 sin θ - 0.2 θ̇ + u, or with θ for sin θ: (rows, 3) rad, rad/s, N·m."""
    random = np.random.default_rng(seed)
    angle, velocity, out = random.uniform(-1, 1), 0.0, []
    for torque in np.repeat(random.uniform(-3, 3, rows // 10 + 1), 10)[:rows]:
        out.append((angle, velocity, torque))
        pull = angle if linear else np.sin(angle)
        velocity += DT * (-9 * pull - 0.2 * velocity + torque)
        angle += DT * velocity
    return np.array(out)


@pytest.fixture(scope="session")
def pendulum() -> PackedDataset:
    return pack(
        {
            "train": [swing(200, seed) for seed in range(4)],
            "validation": [swing(100, 50)],
            "test": [swing(120, 60 + seed) for seed in range(6)],
        }
    )
