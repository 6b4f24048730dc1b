"""Wrappers of the policy around copies of an environment: what the algorithm observes and does."""

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.policies.environments.kinds.python import PythonEnvironment
from kinemill.policies.environments.vector_env import Advanced, Rows
from kinemill.policies.rl.learner_context import check_task
from tests.policies.environments.plants import Point
from tests.policies.rl.test_training_loop import CART, POINT, rl_task, site_of


class PointBatch:
    """`Point` as a `Batch`."""

    observation_space = Point().observation_space
    action_space = Point().action_space

    def start(self, random):
        return random.uniform(-1, 1, 1)

    def observe(self, states):
        return np.pad(states, ((0, 0), (0, 1))).astype(np.float32)

    def advance(self, states, actions):
        after = states + actions
        return Advanced(after, -np.abs(after[:, 0]), np.abs(after[:, 0]) > 5.0)


def copies_of(wrappers, runner="in_process", steps=10):
    task = rl_task({**POINT, "steps": steps, "wrappers": wrappers}, runner=runner)
    environment = site_of(task).environment
    environment.seed(3)
    return environment


def test_each_wrapper_changes_observations_and_actions_as_its_name_says():
    plain = copies_of([]).reset()
    (position, _), _ = plain
    turned = copies_of([{"type": "angle_features", "of": ["position"]}]).reset()
    assert turned[0] == pytest.approx([0.0, np.sin(position), np.cos(position)], abs=1e-6)
    stacked = copies_of([{"type": "frame_stack", "frames": 2}])
    assert np.array_equal(stacked.reset(), np.tile(plain, 2))
    after = stacked.step(np.full((2, 1), 0.5, np.float32))[0]
    assert np.array_equal(after[:, :2], plain)
    assert after[:, 2] == pytest.approx(plain[:, 0] + 0.5, abs=1e-6)
    scaled = copies_of(["action_scaling"])
    scaled.reset()
    moved = scaled.step(np.full((2, 1), 0.5, np.float32))[0]  # of limits of 2 m
    assert moved[:, 0] == pytest.approx(plain[:, 0] + 1.0, abs=1e-6)
    normalized = copies_of([{"type": "normalize_observation", "steps": 50}])
    values = normalized.reset()
    adapter = normalized._chains[0][0]
    expected = (plain[:, 0] - float(adapter.mean[0])) / float(adapter.std[0])
    assert values[:, 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("runner", ["in_process", "native"])
def test_last_observation_of_an_episode_belongs_to_its_frames(runner, monkeypatch):
    def vectorized(self, task):
        return lambda count: Rows(PointBatch(), count, 3)

    if runner == "native":
        monkeypatch.setattr(PythonEnvironment, "vectorized", vectorized)
    copies = copies_of([{"type": "frame_stack", "frames": 2}], runner, steps=3)
    rows = [copies.reset()]
    for _ in range(3):
        observations, _, dones, infos = copies.step(np.full((2, 1), 0.5, np.float32))
        rows.append(observations)
    assert dones.all()
    last = np.stack([info["terminal_observation"] for info in infos])
    assert np.array_equal(last[:, :2], rows[2][:, 2:])
    assert last[:, 2] == pytest.approx(rows[0][:, 2] + 1.5, abs=1e-6)
    # A new episode fills the stack with its start.
    assert np.array_equal(observations[:, :2], observations[:, 2:])


@pytest.mark.parametrize(
    ("environment", "wrapper", "message"),
    [
        (POINT, {"type": "angle_features", "of": ["positio"]}, "is not observed.*'position'"),
        (POINT, {"type": "angle_features", "of": [2]}, "angle_features: 2: is not observed"),
        (CART, "action_scaling", "action_scaling: action_0: is a choice; expected continuous"),
        (
            {**POINT, "path": "tests.policies.environments.spaces:Pixels"},
            "normalize_observation",
            "normalize_observation: expects numbers",
        ),
    ],
)
def test_a_wrapper_that_does_not_fit_is_refused_before_the_training(environment, wrapper, message):
    algorithm = "dqn" if environment is CART else "ppo"
    with pytest.raises(BadInput, match=message):
        check_task(rl_task({**environment, "wrappers": [wrapper]}, algorithm))
