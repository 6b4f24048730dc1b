"""Outputs that are predicted but not fed back: an accelerometer and a force of a known pendulum."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput, TaskError
from kinemill.task.document import Task
from kinemill.task.plugins import MODELS
from kinemill.train.data import make_windows, on_device
from kinemill.train.layout import layout_of
from kinemill.train.objectives._dynamics_setup import prepare
from kinemill.train.readout import fit_readout
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from tests.conftest import load_task_in
from tests.models.options import LEARN, OPTIONS
from tests.train.conftest import pendulum_task

OUTPUTS = {
    "acceleration": {"role": "output", "unit": "rad/s^2"},
    "force": {"role": "output", "unit": "N"},
}


def task_with_outputs(**learn) -> Task:
    raw = pendulum_task(**learn).model_dump(mode="json", by_alias=True)
    return Task.model_validate(raw | {"channels": raw["channels"] | OUTPUTS})


def measured(rows: np.ndarray) -> np.ndarray:
    """θ̈ of the row, rad/s², and the force in the rod, v² + 9 cos θ: (N, 3) -> (N, 2)."""
    angle, velocity, torque = rows.T
    acceleration = -9 * np.sin(angle) - 0.2 * velocity + torque
    return np.stack([acceleration, velocity**2 + 9 * np.cos(angle)], axis=1)


@pytest.fixture(scope="module")
def with_outputs(packed) -> PackedDataset:
    values = measured(np.asarray(packed.values, np.float64)).astype(np.float32)
    units = packed.units | {"acceleration": "rad/s^2", "force": "N"}
    names = ["acceleration", "force"]
    return replace(packed, units=units, outputs=names, output_values=values)


def fitted(task: Task, dataset: PackedDataset):
    torch.manual_seed(0)
    layout = layout_of(task)
    step = make_step(task.learn.model, layout, scale_of(dataset, layout))
    windows = make_windows(dataset, "train", layout, 2)
    fit_readout(step.eval(), windows, torch.arange(len(windows)))
    return step


def relative_errors(step, dataset: PackedDataset, horizon: int = 1) -> list[float]:
    """RMSE of the outputs at the last row of validation windows, over their deviation there."""
    windows = make_windows(dataset, "validation", step.layout, horizon)
    states, past, actions, truth = windows.gather_channels(torch.arange(len(windows)))
    with torch.no_grad():
        predicted = step.rollout_channels(states, past, actions)
    error = (predicted - truth)[:, -1, 2:]
    return (error.square().mean(0).sqrt() / truth[:, -1, 2:].std(0)).tolist()


CASES = [{"type": name, **OPTIONS.get(name, {})} for name in sorted(MODELS)]


@pytest.mark.parametrize("window", ["carried", "sliding"])
@pytest.mark.parametrize("model", CASES, ids=lambda one: one["type"])
def test_every_family_reads_out_what_it_was_not_asked_to_feed_back(model, window, with_outputs):
    own = {**LEARN.get(model["type"], {}), "model": model, "window": window}
    step = fitted(task_with_outputs(**own), with_outputs)
    acceleration, force = relative_errors(step, with_outputs)
    # A linear map of cos, sin, velocity and torque gives the acceleration; the mean has 1.0. The
    # force has the square of the velocity in it, which no linear map gives.
    assert acceleration < 0.05
    assert force < 0.5


def test_the_states_of_a_step_do_not_depend_on_its_readout(with_outputs, packed):
    plain = pendulum_task()
    torch.manual_seed(0)
    layout = layout_of(plain)
    alone = make_step(plain.learn.model, layout, scale_of(packed, layout)).eval()
    step = fitted(task_with_outputs(), with_outputs)
    step.network.load_state_dict(alone.network.state_dict())
    states, past, actions, _ = make_windows(packed, "train", layout, 4).gather(torch.arange(5))
    assert torch.equal(
        step.rollout_channels(states, past, actions)[..., :2], alone.rollout(states, past, actions)
    )


def test_outputs_belong_to_the_row_of_the_action_and_not_to_the_row_after(with_outputs):
    windows = make_windows(with_outputs, "train", layout_of(task_with_outputs()), 4)
    some = torch.tensor([0, 40])
    *_, truth = windows.gather_channels(some)
    for row, start in enumerate(windows.starts[some].tolist()):
        present = start + windows.history - 1
        rows = with_outputs.output_values[present : present + 4]
        assert np.array_equal(truth[row, :, 2:], rows)
        assert np.array_equal(truth[row, :, :2], with_outputs.values[present + 1 : present + 5, :2])


def train(task: Task, dataset: PackedDataset, steps: int = 60):
    module, objective = prepare(task.learn, task, (dataset, dataset), torch.device("cpu"), None)
    previous = objective.evaluate()["validation/multi_step"]
    optimizer = torch.optim.Adam(module.parameters(), 1e-3)
    random = torch.Generator().manual_seed(0)
    for step in range(steps):
        which = torch.randint(objective.windows, (objective.members, 64), generator=random)
        optimizer.zero_grad()
        objective.loss(which, step).backward()
        optimizer.step()
    return module, previous, objective.evaluate()["validation/multi_step"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"weights": {"force": 0.1}},
        {"weights": "unit"},
        {"ensemble": 2},
        {"integrator": "rk4", "outputs": {"a": {"relation": "derivative", "of": "velocity"}}},
    ],
    ids=str,
)
def test_one_loss_trains_states_and_outputs(more, with_outputs):
    module, previous, after = train(task_with_outputs(**more), with_outputs)
    assert after < previous
    errors = relative_errors(module, with_outputs, horizon=4)
    assert max(errors) < 0.6


def test_the_members_of_an_ensemble_share_the_scaling_of_their_readouts(with_outputs):
    module, *_ = train(task_with_outputs(ensemble=3), with_outputs, 1)
    apart = module.apart()
    scales = [member.step.readout.input_std for member in apart.copies]
    assert all(torch.equal(scales[0], scale) for scale in scales)
    windows = on_device(
        make_windows(with_outputs, "validation", module.layout, 3), torch.device("cpu")
    )
    inputs = windows.gather(torch.arange(10))[:3]
    with torch.no_grad():
        joint = module.rollout_channels(*inputs)
        assert torch.allclose(joint, apart.rollout_channels(*inputs), atol=1e-5)


def test_gauss_newton_leaves_the_readout_to_its_own_fit(with_outputs):
    task = task_with_outputs(
        model={"type": "rigid_body", "delay": 0},
        outputs={"a": {"relation": "derivative", "of": "velocity"}},
        gauss_newton={"windows": 64, "iterations": 3},
        history=1,
    )
    module, previous, _ = train(task, with_outputs, 0)
    assert previous < 0.2
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_a_dataset_without_the_outputs_of_the_task_is_an_error(packed):
    with pytest.raises(BadInput, match=r"has the outputs none.*expected acceleration, force"):
        make_windows(packed, "train", layout_of(task_with_outputs()), 2)


@pytest.mark.parametrize(
    ("channel", "learn", "message"),
    [
        ({"limits": [-1.0, 1.0]}, {}, "`limits` is for a state or an action"),
        ({"kind": "angle", "unit": "rad"}, {}, "a channel of role output is of kind linear"),
        ({}, {"loss": "gaussian"}, "gaussian supports no output channels such as 'force'"),
        ({}, {"weights": {"farce": 1.0}}, "farce.*did you mean 'force'"),
        ({"derivative_of": "angle"}, {}, "N is not rad per time"),
    ],
)
def test_what_an_output_cannot_be_is_refused_at_load(channel, learn, message, tmp_path):
    settings = {"type": "dynamics", "model": {"type": "mlp"}, **learn}
    raw = pendulum_task().model_dump(mode="json", by_alias=True)
    channels = {
        name: {"role": one["role"], "unit": one["unit"]} for name, one in raw["channels"].items()
    }
    document = {
        "task": "pendulum",
        "dt": 0.02,
        "channels": channels | {"force": OUTPUTS["force"] | channel},
        "learn": settings,
    }
    with pytest.raises(TaskError, match=message):
        load_task_in(tmp_path, document)
