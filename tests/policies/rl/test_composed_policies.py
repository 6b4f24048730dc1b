"""Policies and critics of perception blocks, from the environment's parts to the exported file."""

import re

import numpy as np
import pytest
import torch
import yaml

import kinemill.api as km
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.rl.actor import observed_parts
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.train.warm_start import load_model
from tests.conftest import ROOT

TASK = """
task: field
dt: 0.1
environment:
  path: tests.policies.environments.spaces:Field
  type: python
  steps: 8
  wrappers: [{type: frame_stack, frames: 2}]
  trials: {episodes: 2, n_eval_episodes: 1}
learn:
  type: reinforcement
  algorithm: {type: ppo, n_steps: 16, n_epochs: 1}
  model:
    type: composed
    blocks:
      robot: {type: recurrent, size: 5}
      objects: {type: attention, of: [objects, present], size: 6, heads: 2}
      kind: {type: embedding, size: 3}
      camera: {type: conv, encoder: {type: conv, channels: [4], size: 6}}
      joint: {type: dense, of: [robot, objects, kind, camera], sizes: [7]}
  critic:
    type: composed
    blocks: {kind: {type: embedding, size: 2}}
  num_envs: 2
  steps: 32
  eval_every: 32
  save_every: 32
"""
OFF_POLICY = {"learning_starts": 8, "train_freq": 8}


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "field.yaml"
    file.write_text(TASK)
    return file


def test_parts_are_columns_of_the_row_that_a_network_gets(path):
    task = load_task(path)
    layout = layout_of(task, make_environment(task))
    parts, frames = observed_parts(task.environment.wrappers, layout)
    by_name = {part.name: part for part in parts}
    assert frames == 2
    assert len(layout.observation) == 3 + 12 + 4 + 2
    assert by_name["kind"].choices == (3,)
    assert by_name["objects"].shape == (4, 3)
    assert by_name["objects"].columns[1] - by_name["objects"].columns[0] == 12
    assert by_name["camera"].columns == (42, 42 + 2 * 192)
    assert by_name["observation"].columns == (0, 21)
    sizes = [by_name[name].columns for name in ("kind", "objects", "present", "robot")]
    assert sorted(sizes) == [(0, 3), (3, 15), (15, 19), (19, 21)]
    assert by_name[layout.observation[20]].columns == (20, 21)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("ppo", "td3")]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["sac", *SLOW])
def test_actor_and_critic_of_blocks_train_and_are_exported(algorithm, path, home):
    settings = {"type": algorithm, **({} if algorithm == "ppo" else OFF_POLICY)}
    # The export compares the file with the policy in torch.
    training = km.train(path, overrides={"learn.algorithm": settings}, progress=False, track=False)
    module = load_model(home.root / training.trained.path)
    tables = {name: tensor for name, tensor in module.restart.named().items() if "tables" in name}
    shapes = {tuple(tensor.shape) for name, tensor in tables.items() if "target" not in name}
    assert shapes == {(3, 3), (2, 3)}  # of the actor, and of the critic
    environment = make_environment(training.task)
    observed, _ = environment.reset(seed=0)
    training.policy.reset(0)
    first = training.policy.act(observed)
    training.policy.reset(0)
    changed = observed | {"observation": observed["observation"].copy()}
    changed["observation"][19:21] += 0.5  # robot
    assert not np.allclose(training.policy.act(changed), first)
    assert torch.isfinite(torch.from_numpy(first)).all()


def test_the_example_of_the_documentation_is_a_task():
    text = (ROOT / "docs" / "reinforcement.md").read_text()
    (example,) = [
        match for match in re.findall(r"```yaml\n(.*?)```", text, re.S) if "composed" in match
    ]
    learn = {"type": "reinforcement", **yaml.safe_load(example)["learn"]}
    task = Task.model_validate({"task": "a", "dt": 1.0, "environment": "A-v0", "learn": learn})
    assert [*task.learn.model.blocks] == ["robot", "objects", "kind", "joint"]
    assert task.learn.critic.hidden_sizes == [128, 128]
