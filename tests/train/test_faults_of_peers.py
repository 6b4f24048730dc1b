"""Faults known in Onyx Engine and in hydrax's training of dynamics: one test each, so none is ours.

Those about simulators, search and control stand beside what they test; dt of 0 and NaN is also in
`test_relations`.
"""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.dataset import PackedEpisode
from kinemill.errors import TaskError
from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.data import make_windows, scale_of
from kinemill.train.layout import layout_of
from kinemill.train.loop import fit
from kinemill.train.step import make_step
from tests.export.conftest import DESCRIPTION
from tests.train.conftest import pendulum_task, publish

QUIET = (NullReporter(), NullReporter())
CPU = torch.device("cpu")


def step_for(task, packed):
    torch.manual_seed(0)
    layout = layout_of(task)
    return make_step(task.learn.model, layout, scale_of(packed, layout)).eval()


def test_onyx_a_scale_from_minus_two_to_zero(packed):
    """Its upper end is 0, which is not the same as none: -2 becomes -1, -1 is 0, 0 becomes 1."""
    channel = {"torque": {"type": "plain", "scale": [-2.0, 0.0]}}
    step = step_for(pendulum_task(encoding={"channels": channel}), packed)
    rows = torch.tensor([[0.0, 0.0, torque] for torque in (-2.0, -1.0, 0.0)])
    (features,) = step.network_inputs(rows, None)
    assert features[:, -1].tolist() == [-1.0, 0.0, 1.0]


def test_onyx_limits_from_minus_two_to_zero_are_kept_and_scale_by_the_data(packed):
    task = pendulum_task()
    velocity = task.channels["velocity"].model_copy(update={"limits": (-2.0, 0.0)})
    channels = task.channels | {"velocity": velocity}
    limited = Task.model_validate({**task.model_dump(by_alias=True), "channels": channels})
    assert limited.channels["velocity"].limits == (-2.0, 0.0)
    one, other = step_for(task, packed), step_for(limited, packed)
    assert torch.equal(one.feature_mean, other.feature_mean)
    assert torch.equal(one.feature_std, other.feature_std)


RELATED = """\
task: pair
dt: 0.1
channels:
  position: {role: state, unit: m}
  again:    {role: state, unit: m}
  force:    {role: action, unit: N}
learn:
  type: dynamics
  model: {type: gru}
  history: 1
  relations:
    again: {relation: equal, parent: position}
"""


def test_onyx_an_input_equal_to_another_input_follows_it_at_the_same_step(tmp_path):
    (tmp_path / "pair.yaml").write_text(RELATED)
    layout = layout_of(load_task(tmp_path / "pair.yaml"))
    state, change = np.array([1.0, 55.0]), np.array([0.25])
    after = state + state @ layout.drift + change @ layout.gain
    assert after.tolist() == [1.25, 1.25]


def test_onyx_parents_in_a_circle_are_an_error_and_no_endless_loop(tmp_path):
    circle = RELATED + "    position: {relation: equal, parent: again}\n"
    (tmp_path / "pair.yaml").write_text(circle)
    with pytest.raises(TaskError, match=r"pair.yaml:1[23]: .*follows from itself"):
        load_task(tmp_path / "pair.yaml")


@pytest.fixture(scope="module")
def deployed(packed, tmp_path_factory):
    """A short training, and its files as a robot loads them."""
    task = pendulum_task(steps=20)
    module, objective = task.learn.prepare(task, packed, packed, CPU)
    fit(module, objective, task.learn, tmp_path_factory.mktemp("runs"), QUIET)
    folder = tmp_path_factory.mktemp("files")
    module.eval()
    write_model(copy.deepcopy(module), describe(DESCRIPTION, module), folder)
    return module, objective, load(folder)


def test_hydrax_angles_are_treated_alike_in_training_and_on_the_robot(deployed, packed):
    """The error that training watches is that of the files, for angles many turns away as well."""
    module, objective, simulator = deployed
    monitored = objective.evaluate()["validation/multi_step"]
    windows = make_windows(packed, "validation", module.layout, 4)
    states, past, actions, truth = (
        part.numpy() for part in windows.gather(torch.arange(len(windows)))
    )
    for turns in (0, 1, -3):
        shift = np.array([2 * np.pi * turns, 0.0], dtype=np.float32)
        error = simulator.rollout(states + shift, past, actions) - truth
        error[..., 0] -= 2 * np.pi * np.round(error[..., 0] / (2 * np.pi))
        result = np.sqrt(((error / packed.std[:2]) ** 2).mean())
        assert result == pytest.approx(monitored, rel=1e-3)


def test_hydrax_what_a_model_was_scaled_by_is_kept_when_it_is_loaded(home, packed):
    artifact = train.run(pendulum_task(steps=20), home, *2 * (publish(home, packed),), QUIET)
    loaded = load_model(home.root / artifact.ref.path)
    layout = layout_of(pendulum_task())
    for name, value in scale_of(packed, layout).items():
        torch.testing.assert_close(getattr(loaded, name), value.float(), rtol=0, atol=0)


def test_hydrax_fewer_windows_than_a_batch_are_learned_from(packed, tmp_path):
    """Twelve rows hold six windows of seven; a batch of 256 of them is those six."""
    short = replace(
        packed,
        episodes=[
            PackedEpisode("a", "a", "a.csv", "train", 0, 12),
            PackedEpisode("b", "b", "b.csv", "validation", 150, 200),
        ],
    )
    task = pendulum_task(batch_size=256, steps=30)
    module, objective = task.learn.prepare(task, short, short, CPU)
    assert objective.windows == 6
    state, _ = fit(module, objective, task.learn, tmp_path, QUIET)
    losses = [value for _, value in state.history["train/loss"]]
    assert state.step == 30
    assert losses[-1] < losses[0]


def test_hydrax_scales_are_never_those_of_what_is_evaluated(deployed):
    """A window among others a hundred times as wide is predicted as it is alone."""
    _, _, simulator = deployed
    rng = np.random.default_rng(0)
    states, past, actions = (
        rng.normal(size=(6, rows, width)) for rows, width in ((3, 2), (2, 1), (5, 1))
    )
    alone = simulator.rollout(states[:1], past[:1], actions[:1])
    for part in (states, past, actions):
        part[1:] *= 100.0
    among = simulator.rollout(states, past, actions)[:1]
    np.testing.assert_allclose(among, alone, rtol=0, atol=1e-5)  # another batch, other sums


def test_hydrax_windows_of_one_episode_are_never_on_two_sides(packed):
    """Nor do windows of two sides share a row, though each side's own overlap."""
    layout = layout_of(pendulum_task())
    rows = {}
    for split in ("train", "validation"):
        windows = make_windows(packed, split, layout, 4)
        rows[split] = {int(start) + k for start in windows.starts for k in range(7)}
        of_split = [(item.start, item.stop) for item in packed.of(split)]
        for start in windows.starts.tolist():
            assert any(low <= start and start + 7 <= high for low, high in of_split)
    assert rows["train"].isdisjoint(rows["validation"])
