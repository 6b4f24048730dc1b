"""Faults known in public trainers of models and policies: one test each, so that none is ours."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.dataset import PackedEpisode
from kinemill.errors import BadInput
from kinemill.export.interface import describe
from kinemill.export.policy import describe as describe_policy
from kinemill.export.policy import write_policy
from kinemill.export.step_files import write_model
from kinemill.policies.environments.demonstrations import demonstrations as demonstrate
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train import TrainingJob
from kinemill.train.data import scale_of
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.layout import layout_of
from kinemill.train.loop import fit
from tests.conftest import EXAMPLES
from tests.export.conftest import DESCRIPTION
from tests.policies.imitation import cloning
from tests.policies.imitation.cloning import demonstrations, policy_task
from tests.train.conftest import pendulum_task, publish

QUIET, CPU = (NullReporter(), NullReporter()), torch.device("cpu")


def test_limits_of_a_channel_do_not_scale_its_features(packed):
    task = pendulum_task()
    velocity = task.channels["velocity"].model_copy(update={"limits": (-2.0, 0.0)})
    channels = task.channels | {"velocity": velocity}
    limited = Task.model_validate({**task.model_dump(by_alias=True), "channels": channels})
    assert limited.channels["velocity"].limits == (-2.0, 0.0)
    one, other = (scale_of(packed, layout_of(own)) for own in (task, limited))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_fewer_windows_than_a_batch_are_learned_from(packed, tmp_path):
    """Twelve rows hold six windows of seven; a batch of 256 of them is those six."""
    train = PackedEpisode("a", "a", "a.csv", "train", 0, 12)
    validation = PackedEpisode("b", "b", "b.csv", "validation", 150, 200)
    short = replace(packed, episodes=[train, validation])
    task = pendulum_task(batch_size=256, steps=30)
    module, objective = task.learn.prepare(task, short, short, CPU)
    assert objective.windows == 6
    state, _ = fit(module, objective, task.learn, tmp_path, QUIET)
    losses = [value for _, value in state.history["train/loss"]]
    assert state.step == 30
    assert losses[-1] < losses[0]


def test_a_window_is_predicted_in_a_batch_as_it_is_alone(packed, tmp_path):
    """Others are a hundred times as wide; scales are those of the training data."""
    task = pendulum_task(steps=20)
    module, _ = task.learn.prepare(task, packed, packed, CPU)
    module.eval()
    write_model(copy.deepcopy(module), describe(DESCRIPTION, module), tmp_path)
    simulator, rng = load(tmp_path), np.random.default_rng(0)
    sizes = ((3, 2), (2, 1), (5, 1))
    states, past, actions = (rng.normal(size=(6, rows, width)) for rows, width in sizes)
    alone = simulator.rollout(states[:1], past[:1], actions[:1])
    for part in (states, past, actions):
        part[1:] *= 100.0
    among = simulator.rollout(states, past, actions)[:1]
    np.testing.assert_allclose(among, alone, rtol=0, atol=1e-5)  # another batch, other sums


def test_weights_alone_are_no_resume(tmp_path, home):
    task, data = policy_task(), demonstrations()
    module, objective = task.learn.prepare(task, data, data, CPU)
    fit(module, objective, task.learn, tmp_path, QUIET)
    dataset = publish(home, data.packed)
    with pytest.raises(BadInput, match="no training of arm was interrupted after a checkpoint"):
        TrainingJob(task, home, dataset, dataset).check_resume()


def test_a_deployed_policy_takes_and_gives_units(tmp_path):
    """Torques of 100 to 200 N·m: the file alone gives them for angles in rad, not spreads."""

    def run(seed):
        random = np.random.default_rng(seed)
        inputs = random.uniform([-1, -300], [1, 300], (60, 2))
        return np.c_[inputs, 150.0 + 40.0 * inputs[:, 0] + 0.03 * inputs[:, 1]]

    splits = {"train": [run(k) for k in range(3)], "validation": [run(90)], "test": [run(91)]}
    document = policy_task(steps=300, batch_size=64, eval_every=100, optimizer={"lr": 1e-2})
    document = document.model_dump(mode="json", by_alias=True)
    document["channels"]["torque"]["limits"] = [-300, 300]
    task, data = Task.model_validate(document), Demonstrations(cloning.packed(splits))
    module, objective = task.learn.prepare(task, data, data, CPU)
    _, best = fit(module, objective, task.learn, tmp_path / "run", QUIET)
    module.load_state_dict(best)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    write_policy(module.eval(), describe_policy(module, "arm", "d" * 64), bundle)
    policy = load(bundle)
    for angle, speed in ((0.8, -200.0), (-0.5, 100.0), (0.0, 0.0)):
        policy.reset()
        expected = 150.0 + 40.0 * angle + 0.03 * speed
        assert policy.act([angle, speed]) == pytest.approx([expected], abs=5.0)


@pytest.mark.slow  # starts two processes
def test_demonstrations_do_not_depend_on_the_number_of_workers(tmp_path):
    task = load_task(EXAMPLES / "obstacle.yaml", {"environment.steps": 20})
    for workers in (1, 2):
        list(demonstrate(task, tmp_path / str(workers), range(7), workers=workers, failures=True))
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in "12"
    )
    assert len(one) == 7
    assert one == two
