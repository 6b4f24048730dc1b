"""Data, tasks and trainings that the sections of `benchmarks.gpu` share."""

from dataclasses import dataclass
from typing import Any

import torch

from kinemill.dataset import PackedDataset
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train.amp import scaler_of
from kinemill.train.device_steps import GROUP, WARM_UP
from kinemill.train.loop import batches_of
from kinemill.train.optimizer_step import Steps
from kinemill.train.training_state import State, Training
from tests.dataset.packing import PENDULUM, packed_of, swing

DT = 0.02  # s
MLP = {"type": "mlp", "hidden_sizes": [64, 64, 64]}
GRU = {"type": "gru", "hidden_size": 128}
TRANSFORMER = {"type": "transformer", "size": 128, "heads": 4, "layers": 4}


def pendulums(episodes: int, rows: int) -> PackedDataset:
    """Return driven pendulums.

    Args:
        episodes: of training; a tenth more, 1 or more, are for validation, and as many for test.
        rows: of each episode.
    """
    held_out = max(1, episodes // 10)
    counts = {"train": episodes, "validation": held_out, "test": held_out}
    seeds = iter(range(sum(counts.values())))
    runs = {split: [swing(rows, next(seeds)) for _ in range(n)] for split, n in counts.items()}
    return packed_of("pendulum", DT, PENDULUM, runs)


def task_of(**learn: Any) -> Task:
    """Return the task of the pendulums with these settings of `learn`."""
    return Task.model_validate(
        {
            "task": "pendulum",
            "dt": DT,
            "channels": PENDULUM,
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
        module: what learns.
        steps: its updates.
        done: steps so far.
    """

    module: Any
    steps: Steps
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
    steps = Steps(training, objective, learn, NullReporter(), batches_of(objective, learn))
    if waits is not None:
        steps._is_for_device = lambda: not waits
    return Run(module, steps)
