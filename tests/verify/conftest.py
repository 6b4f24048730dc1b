"""A dataset of a few episodes of a pendulum with known equations of motion."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.dataset import PackedDataset
from kinemill.task.document import Task
from tests.dataset.packing import PENDULUM, packed_of, swing

DT = 0.02


def pendulum_task(kind="angle", **verify) -> Task:
    """Return the task of the datasets of `pack`."""
    return Task.model_validate(
        {
            "task": "pendulum",
            "dt": 0.02,
            "channels": PENDULUM | {"angle": {**PENDULUM["angle"], "kind": kind}},
            "learn": {"type": "dynamics", "model": {"type": "mlp"}},
            "verify": verify,
        }
    )


def pack(runs: dict[str, list[np.ndarray]], angles=("angle",)) -> PackedDataset:
    """Pack episodes (rows, 3), columns angle rad, velocity rad/s, torque N·m."""
    return replace(packed_of("pendulum", DT, PENDULUM, runs), angles=list(angles))


@pytest.fixture(scope="session")
def pendulum() -> PackedDataset:
    return pack(
        {
            "train": [swing(200, seed) for seed in range(4)],
            "validation": [swing(100, 50)],
            "test": [swing(120, 60 + seed) for seed in range(6)],
        }
    )
