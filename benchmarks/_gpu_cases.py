"""Data, tasks and trainings that the sections of `benchmarks.gpu` share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train.amp import scaler_of
from kinemill.train.device_steps import GROUP, WARM_UP
from kinemill.train.loop import batches_of
from kinemill.train.optimizer_step import Steps
from kinemill.train.training_state import State, Training

DT = 0.02  # s
MLP = {"type": "mlp", "hidden_sizes": [64, 64, 64]}
WIDE = {"type": "mlp", "hidden_sizes": [512, 512]}
GRU = {"type": "gru", "hidden_size": 128}
TRANSFORMER = {"type": "transformer", "size": 128, "heads": 4, "layers": 4}
QUIET = (NullReporter(), NullReporter())


def pendulums(episodes: int, rows: int) -> PackedDataset:
    """Return driven pendulums, θ̈ = -9 sin θ - 0.2 θ̇ + u, in semi-implicit Euler steps.

    Args:
        episodes: of training; a tenth more, 1 or more, are for validation, and as many for test.
        rows: of each episode.
    """
    held_out = max(1, episodes // 10)
    count, random = episodes + 2 * held_out, np.random.default_rng(0)
    angle, velocity = random.uniform(-1, 1, count), np.zeros(count)
    torque = np.repeat(random.uniform(-3, 3, (count, rows // 10 + 1)), 10, axis=1)[:, :rows]
    values = np.empty((count, rows, 3), np.float32)
    for k in range(rows):
        values[:, k] = np.stack([angle, velocity, torque[:, k]], axis=1)
        velocity = velocity + DT * (-9 * np.sin(angle) - 0.2 * velocity + torque[:, k])
        angle = angle + DT * velocity
    splits = ["train"] * episodes + ["validation"] * held_out + ["test"] * held_out
    of_split = [
        PackedEpisode(f"run{k}", f"run{k}", f"run{k}.csv", split, k * rows, (k + 1) * rows)
        for k, split in enumerate(splits)
    ]
    train = values[:episodes]
    return PackedDataset(
        task="pendulum",
        dt=DT,
        states=["angle", "velocity"],
        actions=["torque"],
        units={"angle": "rad", "velocity": "rad/s", "torque": "N*m"},
        angles=["angle"],
        episodes=of_split,
        segments=[values.reshape(-1, 3)],
        mean=train.mean((0, 1)).astype(float),
        std=train.std((0, 1)).astype(float),
        delta_std=np.diff(train[..., :2], axis=1).std((0, 1)).astype(float),
    )


def task_of(**learn: Any) -> Task:
    """Return the task of the pendulums with these settings of `learn`."""
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
                "model": MLP,
                "history": 8,
                "horizon": 1,
                "patience": None,
                "compile": "off",
                **learn,
            },
            "verify": {"horizon": 10},
        }
    )


@dataclass
class Run:
    """A training whose steps are called one by one.

    Attributes:
        task: with its settings.
        module: what learns.
        objective: what it minimizes.
        steps: its updates.
        done: steps so far.
    """

    task: Task
    module: Any
    objective: Any
    steps: Steps
    batches: Any
    done: int = 0

    def warm_up(self) -> None:
        """Make steps until a CUDA graph is captured, and wait for all of them."""
        for _ in range(WARM_UP + GROUP + 1):
            self()
        self.steps.collect()

    def __call__(self) -> None:
        """Make one step."""
        self.steps(self.done)
        self.done += 1


def begin(data: Any, device: torch.device, task: Task, *, waits: bool | None = None) -> Run:
    """Return a new training of a task on a device.

    Args:
        data: to learn from.
        device: of the training.
        task: with its settings.
        waits: whether every step waits for the device; None: as a training does, on a CPU always.
    """
    learn: Any = task.learn
    torch.set_num_threads(learn.threads)
    module, objective = learn.prepare(task, data, data, device)
    optimizer = learn.optimizer.build(p for p in module.parameters() if p.requires_grad)
    scaler = scaler_of(learn.amp, device)
    training = Training(module, optimizer, None, scaler, State(pieces=learn.accumulate))
    batches = batches_of(objective, learn)
    steps = Steps(training, objective, learn, NullReporter(), batches)
    if waits is not None:
        steps._is_for_device = lambda: not waits
    return Run(task, module, objective, steps, batches)


def fitted(data: Any, device: torch.device, folder: Path, **learn: Any) -> tuple[Any, dict]:
    """Train to the end; return the final state and the final weights, on the CPU."""
    from kinemill.train.loop import fit

    task = task_of(device="cpu" if device.type == "cpu" else "cuda", **learn)
    settings: Any = task.learn
    torch.set_num_threads(settings.threads)
    module, objective = settings.prepare(task, data, data, device)
    state, _ = fit(module, objective, settings, folder, QUIET)
    return state, {name: value.cpu() for name, value in module.state_dict().items()}
