"""Contract of every environment, including plug-ins."""

import json
import runpy
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from kinemill.policies.environments import layout_of, make_environment
from kinemill.task import KINDS, load_task
from tests.conftest import load_task_in
from tests.policies.environments.test_environments import POINT
from tests.policies.environments.test_legged import TASK as DOG
from tests.policies.environments.test_legged import quadruped

# Example tasks by environment. Others have `EXAMPLE`, its settings, in its own test file
# tests/policies/environments/kinds/test_<name>.py, or default settings.
TASKS = {
    "gymnasium": ("cartpole_rl", {}),
    "mujoco": ("arm", {}),
    "obstacle": ("obstacle", {}),
    "plant": ("pendulum_swing_up", {"environment": {"type": "plant", "steps": 20}}),
    "reach": ("reach", {}),
    "targets": ("targets", {}),
}
# It needs a trained model: tests/policies/environments/test_learned_simulator.py.
NAMES = sorted(set(KINDS) - {"learned"})


def task_of(name, folder):
    """Return a task with the environment."""
    if name in TASKS:
        return load_task(*TASKS[name])
    if name == "legged":
        (folder / "dog.xml").write_text(quadruped())
        (folder / "dog.yaml").write_text(DOG)
        return load_task(folder / "dog.yaml")
    file = Path(__file__).parent / "kinds" / f"test_{name}.py"
    settings = runpy.run_path(str(file))["EXAMPLE"] if file.exists() else {}
    settings = POINT if name == "python" else settings
    environment = json.dumps({"type": name, **settings})
    text = f"task: sample\ndt: 0.02\nenvironment: {environment}\nlearn: {{type: reinforcement}}\n"
    return load_task_in(folder, text)


def flat(observation):
    parts = observation.values() if isinstance(observation, dict) else [observation]
    return [np.asarray(part) for part in parts]


@pytest.mark.parametrize("name", NAMES)
def test_environment_with_a_seed_repeats_its_episode_within_its_spaces(name, tmp_path):
    task = task_of(name, tmp_path)
    episodes = []
    with closing(make_environment(task)) as environment:
        layout = layout_of(task, environment)
        for _ in range(2):
            environment.action_space.seed(0)
            rows = [environment.reset(seed=3)[0]]
            for _ in range(5):
                observation, reward, terminated, truncated, _ = environment.step(
                    environment.action_space.sample()
                )
                assert np.isfinite(reward)
                rows.append(observation)
                if terminated or truncated:
                    break
            assert all(environment.observation_space.contains(row) for row in rows)
            episodes.append([part for row in rows for part in flat(row)])
    assert layout.observation or layout.images
    assert layout.actions
    for first, second in zip(*episodes, strict=True):
        np.testing.assert_array_equal(first, second)
