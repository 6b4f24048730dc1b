"""A pendulum's step with random weights, of any architecture, and its exported files."""

import copy
from pathlib import Path

import pytest
import torch

from kinemill.export.interface import describe
from kinemill.export.writing import write_model
from kinemill.spec.plugins import MODELS
from kinemill.spec.task import Task
from kinemill.train.layout import make_layout
from kinemill.train.step import Step

SCALE = {
    "state_mean": torch.tensor([0.1, -0.2]),
    "state_std": torch.tensor([1.3, 2.0]),
    "action_mean": torch.tensor([0.3]),
    "action_std": torch.tensor([1.5]),
    "output_mean": torch.zeros(2),
    "output_std": torch.tensor([0.05, 0.3]),
}
DESCRIPTION = {
    "task": "pendulum",
    "dataset": "d" * 64,
    "units": {"angle": "rad", "velocity": "rad/s", "torque": "N*m"},
    "limits": {"angle": None, "velocity": [-30.0, 30.0], "torque": [-6.0, 6.0]},
}


def task_of(model: dict, history: int) -> Task:
    return Task.model_validate(
        {
            "task": "pendulum",
            "dt": 0.02,
            "channels": {
                "angle": {"role": "state", "kind": "angle", "unit": "rad"},
                "velocity": {"role": "state", "unit": "rad/s", "limits": [-30, 30]},
                "torque": {"role": "action", "unit": "N*m", "limits": [-6, 6]},
            },
            "learn": {"type": "dynamics", "model": model, "history": history, "horizon": 5},
        }
    )


def random_step(model: str = "mlp", history: int = 4, network=None) -> Step:
    """Return a step with random weights; `network` replaces the architecture's own."""
    torch.manual_seed(3)
    task = task_of({"type": model}, history)
    layout = make_layout(task, {}, "semi_implicit", history)
    own = MODELS[model](type=model).build(layout.features, len(layout.outputs), history)
    return Step(layout, network or own, SCALE).eval()


def published(step: Step, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_model(copy.deepcopy(step), describe(DESCRIPTION, step), folder)
    return folder


def batch(rows: int, history: int, horizon: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """(B, H, 2) states, (B, H-1, 1) past actions, (B, T, 1) actions."""
    random = torch.Generator().manual_seed(seed)
    shapes = [(rows, history, 2), (rows, history - 1, 1), (rows, horizon, 1)]
    return tuple(2 * torch.randn(shape, generator=random) for shape in shapes)


@pytest.fixture(scope="session")
def gru_folder(tmp_path_factory) -> Path:
    return published(random_step("gru"), tmp_path_factory.mktemp("gru"))
