"""A pendulum's step with random weights, of any architecture, and its exported files."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import _exports
from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.task.document import Task
from kinemill.task.export import Export
from kinemill.train.ensemble import Ensemble
from kinemill.train.ensemble_member import Member, Noise
from kinemill.train.layout import Layout, layout_of
from kinemill.train.step import Step, make_step
from tests.models.options import LEARN, LEAST

SCALE = {
    "state_std": torch.tensor([1.3, 2.0]),
    "feature_mean": torch.tensor([0.0, 0.0, -0.2, 0.3]),
    "feature_std": torch.tensor([1.0, 1.0, 2.0, 1.5]),
    "output_mean": torch.zeros(2),
    "output_std": torch.tensor([0.05, 0.3]),
}
DESCRIPTION = {
    "task": "pendulum",
    "dataset": "d" * 64,
    "units": {"angle": "rad", "velocity": "rad/s", "torque": "N*m"},
    "limits": {"angle": None, "velocity": [-30.0, 30.0], "torque": [-6.0, 6.0]},
}


def task_of(model: dict, history: int, **learn) -> Task:
    return _exports.task_of(model, history, learn)


def scale_for(layout: Layout) -> dict[str, torch.Tensor]:
    """Return the scale of a layout, in new tensors, because a test may change those of its step."""
    scale = dict(SCALE)
    if layout.features != 4:
        std = torch.linspace(0.5, 2.0, layout.features)
        scale |= {"feature_mean": std - 1.0, "feature_std": std}
    if len(layout.outputs) != 2:
        scale |= {"output_mean": torch.zeros(1), "output_std": torch.tensor([9.0])}
    return {name: values.clone() for name, values in scale.items()}


def random_step(model: str | dict = "mlp", history: int = 4, network=None, **learn) -> Step:
    """Return a step with random weights; `network` replaces that of the architecture."""
    torch.manual_seed(3)
    settings = {"type": model, **LEAST.get(model, {})} if isinstance(model, str) else model
    task = task_of(settings, history, **LEARN.get(settings["type"], {}), **learn)
    layout = layout_of(task)
    step = make_step(task.learn.model, layout, scale_for(layout))
    step.network = network or step.network
    if settings["type"] in ("narx", "polynomial"):  # random products diverge within 25 steps
        step.network.head.weight.data *= 0.1
    return step.eval()


def ensemble_of(step: Step, members: int, *, noisy: bool = False) -> Ensemble:
    """Return members with other weights each; the first has those of the step."""
    layout, made = step.layout, []
    for index in range(members):
        copied = copy.deepcopy(step)
        with torch.no_grad():
            for value in copied.parameters():
                value.mul_(1 - 0.2 * index)
        noise = Noise(layout.features, len(layout.outputs), len(layout.states)) if noisy else None
        made.append(Member(copied, noise))
    return Ensemble(made).eval()


def published(step: Step | Ensemble, folder: Path, described=DESCRIPTION, **settings) -> Path:
    """Export a step to a folder, with the settings of `export`."""
    folder.mkdir(parents=True, exist_ok=True)
    export = Export(**settings)
    write_model(copy.deepcopy(step), describe(described, step), folder, export)
    return folder


def angle_free(difference: np.ndarray) -> float:
    """Return the largest difference; the first state is an angle, compared modulo a whole turn."""
    turns = np.round(difference[..., 0] / (2 * np.pi)) * 2 * np.pi
    return float(np.abs(difference - np.stack([turns, 0 * turns], -1)).max())


def assert_fed_back(simulator, inputs, rolled) -> None:
    """Check that a rollout is the step, fed back: not close to it, equal to it."""
    states, past, actions = inputs
    state, carry = states[:, -1], simulator.warm_up(states, past)
    for k in range(actions.shape[1]):
        state, *carry = simulator.step(state, actions[:, k], *carry)
        np.testing.assert_array_equal(state, rolled[:, k])


def batch(rows: int, history: int, horizon: int, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Return random states (B, H, 2), past actions (B, H-1, 1) and actions (B, T, 1)."""
    random = torch.Generator().manual_seed(seed)
    shapes = [(rows, history, 2), (rows, history - 1, 1), (rows, horizon, 1)]
    return tuple(2 * torch.randn(shape, generator=random) for shape in shapes)


@pytest.fixture(scope="session")
def gru_folder(step_folders) -> Path:
    return step_folders["gru"]


def own_rows(rows: int = 400) -> tuple[Step, PackedDataset]:
    """Return rows of the model itself under random torques, so that its predictions are exact."""
    step = random_step({"type": "mlp", "hidden_sizes": [64, 64]})
    random = np.random.default_rng(0)
    torques = random.uniform(-3, 3, (1, rows - 1, 1)).astype(np.float32)
    with torch.no_grad():
        start, none = torch.zeros(1, 4, 2), torch.zeros(1, 3, 1)
        states = step.rollout(start, none, torch.from_numpy(torques)).numpy()[0]
    states[:, 0] = np.unwrap(states[:, 0])
    values = np.zeros((rows, 3), np.float32)
    values[1:, :2], values[:-1, 2] = states, torques[0, :, 0]
    episode = PackedEpisode(id="a", recording="r", name="n", split="train", start=0, stop=rows)
    return step, PackedDataset(
        task="pendulum",
        dt=0.02,
        states=["angle", "velocity"],
        actions=["torque"],
        units=DESCRIPTION["units"],
        angles=["angle"],
        episodes=[episode],
        segments=[values],
        mean=values.mean(0).astype(np.float64),
        std=values.std(0).astype(np.float64),
        delta_std=np.ones(2),
    )
