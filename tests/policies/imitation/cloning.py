"""Demonstrations that tests make up, and tasks for them."""

from dataclasses import replace

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.task.document import Task
from kinemill.train.demonstrations import Demonstrations
from tests.conftest import learning_task
from tests.dataset.packing import packed_of

CHANNELS = {
    "angle": {"role": "state", "kind": "angle", "unit": "rad"},
    "speed": {"role": "state", "unit": "rad/s"},
    "torque": {"role": "action", "unit": "N*m", "limits": [-2, 2]},
}


def policy_task(**learn) -> Task:
    usual = {"type": "imitation", "model": {"type": "mlp", "hidden_sizes": [16]}, "steps": 40}
    usual |= {"batch_size": 16, "eval_every": 20, "save_every": 20, "log_every": 10}
    return learning_task("arm", 0.02, CHANNELS, usual | learn)


def packed(values: dict[str, list[np.ndarray]]) -> PackedDataset:
    """Pack episodes of rows (angle, speed, torque) by split."""
    return packed_of("arm", 0.02, CHANNELS, values)


def demonstrations(rows: int = 40, runs: int = 4) -> Demonstrations:
    """A torque that follows from angle and speed: u = sin(angle) - 0.5 speed, within ± 2 N·m."""

    def run(seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        inputs = random.uniform([-3, -1], [3, 1], (rows, 2))
        return np.c_[inputs, np.sin(inputs[:, 0]) - 0.5 * inputs[:, 1]]

    splits = {"train": [run(k) for k in range(runs)], "validation": [run(90)], "test": [run(91)]}
    return Demonstrations(packed(splits))


def scaled(data: Demonstrations, factor: float) -> Demonstrations:
    return Demonstrations(replace(data.packed, segments=[data.packed.values * np.float32(factor)]))
