"""Training with Python objects in the place of names."""

import gymnasium
import numpy as np
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from kinemill.task import load_task
from tests.conftest import EXAMPLES
from tests.policies.environments.plants import Point

TASK = """task: point
dt: 0.1
environment:
  {type: gymnasium, id: Pendulum-v1, steps: 10, trials: {episodes: 3, n_eval_episodes: 2}}
learn:
  type: reinforcement
  algorithm: {type: ppo, n_steps: 16, n_epochs: 1}
  model: {type: mlp, hidden_sizes: [8]}
  num_envs: 2
  steps: 64
  eval_every: 64
  batch_size: 32
"""


class Doubled(gymnasium.ActionWrapper):
    def action(self, action):
        return 2.0 * action


def test_objects_are_taken_in_the_place_of_names(home, tmp_path):
    from stable_baselines3.common.callbacks import BaseCallback

    class Counting(BaseCallback):
        steps = 0

        def _on_step(self):
            Counting.steps += 1
            return True

    made = []

    def point():
        made.append(Point())
        return made[-1]

    path = tmp_path / "point.yaml"
    path.write_text(TASK)
    model = load_task(path, {"learn.model.hidden_sizes": [5]}).learn.model
    objects = km.Objects(point, wrappers=[Doubled], model=model, callbacks=[Counting()])
    training = km.train(path, objects=objects, progress=False)
    assert made
    assert Counting.steps == 32  # of each of two copies
    assert training.summary.steps == 64
    assert training.summary.final["seeds"] == [1_000_000, 1_000_001, 1_000_002]
    assert training.policy.observation == ("position", "target")
    training.policy.reset(0)
    assert training.policy.act(np.float32([0.5, 0.0])).shape == (1,)
    trials = training.trials(2, seed=3)
    assert (trials.lengths, trials.seeds) == ((10, 10), (3, 4))
    rolled = km.rollout_policy(
        training.task, model=training, episodes=2, seed=3, to=tmp_path / "logs", progress=False
    )
    assert len(rolled.files) == len(list((tmp_path / "logs").glob("*.csv"))) == 2
    assert rolled.to_polars()["seed"].to_list() == [3, 4]
    assert rolled.plot().png().startswith(b"\x89PNG")


def test_environments_are_for_reinforcement(home):
    with pytest.raises(BadInput, match="learns by dynamics"):
        km.train(EXAMPLES / "pendulum.yaml", objects=km.Objects(Point))


@pytest.mark.ci
def test_settings_objects_and_an_instance_of_an_environment_are_taken(home, tmp_path):
    from kinemill.models.mlp import MLP
    from kinemill.policies.environments.kinds.python import PythonEnvironment
    from kinemill.policies.environments.wrappers.frame_stack import FrameStack
    from kinemill.policies.rl.algorithms.a2c import A2C

    path = tmp_path / "point.yaml"
    path.write_text(TASK)
    trials = {"episodes": 3, "n_eval_episodes": 2}
    objects = km.Objects(
        environment=PythonEnvironment(
            path="tests.policies.environments.plants:Point", steps=10, trials=trials
        ),
        wrappers=[FrameStack(frames=2)],
        algorithm=A2C(n_steps=4),
        policy=MLP(hidden_sizes=[5]),
        critic=MLP(hidden_sizes=[7, 6]),
    )
    training = km.train(path, objects=objects, progress=False, track=False)
    task = training.task
    assert (task.environment.type, task.learn.algorithm.n_steps) == ("python", 4)
    assert [wrapper.frames for wrapper in task.environment.wrappers] == [2]
    assert task.learn.critic.hidden_sizes == [7, 6]
    assert km.train(path, objects=objects, progress=False, track=False).cached

    one = Point(edge=0.5)  # without a spec: it is copied with its arguments
    again = km.train(path, objects=km.Objects(environment=one), progress=False)
    assert again.policy.observation == ("position", "target")
    assert min(again.trials(20).lengths) < 10  # the edge is near
