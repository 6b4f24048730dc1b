"""`kinemill.run` from Python, with objects in the place of names."""

import gymnasium
import numpy as np
import pytest

import kinemill
from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill.task.overrides import nested
from kinemill.task.presets import list_presets, preset_overrides
from tests.conftest import EXAMPLES
from tests.environments.plants import Point

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
    run = kinemill.run(
        path, environment=point, wrappers=[Doubled], model=model, callbacks=[Counting()]
    )
    assert made
    assert Counting.steps == 32  # of each of two copies
    assert run.metrics["global_step"] == 64
    assert run.metrics["final"]["seeds"] == [1_000_000, 1_000_001, 1_000_002]
    assert run.policy.observation == ("position", "target")
    run.policy.reset(0)
    assert run.policy.act(np.float32([0.5, 0.0])).shape == (1,)
    found = run.rollout(2, seed=3, to=tmp_path / "logs")
    assert (found.lengths, found.seeds) == ((10, 10), (3, 4))
    assert len(list((tmp_path / "logs").glob("*.csv"))) == 2


def test_objects_are_for_reinforcement(home):
    with pytest.raises(BadInput, match="learns by dynamics"):
        kinemill.run(EXAMPLES / "pendulum.yaml", environment=Point)


def test_presets_are_named_settings_of_every_task():
    known = list_presets()
    assert {"wrappers", "model"} <= set(known)
    for part, names in known.items():
        for name in names:
            load_task("cartpole_rl", preset_overrides([f"{part}={name}"]))
    task = load_task("cartpole_rl", preset_overrides(["wrappers=vector_obs", "model=small"]))
    assert [one.type for one in task.environment.wrappers] == ["vector_obs"]
    assert task.learn.model.hidden_sizes == [32, 32]
    assert (
        load_task("pendulum", preset_overrides(["model=small_transformer"])).learn.model.type
        == "transformer"
    )


def test_a_preset_means_the_same_in_the_launchpad():
    given = preset_overrides(["algorithm=evolution", "model=wide"])
    direct = load_task("cartpole_rl", given)
    again = load_task("cartpole_rl", nested(given))
    assert direct.learn == again.learn
    assert (direct.learn.algorithm.type, direct.learn.num_envs) == ("evolution", 32)


@pytest.mark.parametrize(
    ("item", "told"),
    [("model", "not part=preset"), ("modle=small", "'model'"), ("model=smal", "'small'")],
)
def test_a_preset_that_is_not_there_is_told(item, told):
    with pytest.raises(BadInput, match=told):
        preset_overrides([item])
