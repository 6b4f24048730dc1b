"""Every space of Gymnasium through training, export, verification and gate, without settings."""

import time
import warnings

import gymnasium
import numpy as np
import pytest

import kinemill.api as km
from kinemill.draft.reinforcement import build_reinforcement
from kinemill.policies.environments import make_environment
from kinemill.runtime import load
from kinemill.task import load_task

HERE = "tests.policies.environments.spaces"
FAMILIES = ("classic_control", "box2d", "toy_text", "mujoco")
SMALL = {
    "learn.steps": 256,
    "learn.eval_every": 256,
    "learn.save_every": 256,
    "learn.target": None,
    "learn.batch_size": 32,
    "environment.steps": 30,
    "environment.trials": {"episodes": 4, "n_eval_episodes": 2},
}


def registered_ids() -> list[str]:
    """Return the ids of Gymnasium's own environments that its present release can make."""
    return [
        name
        for name, spec in gymnasium.registry.items()
        if isinstance(spec.entry_point, str)
        and spec.entry_point.split(".")[2] in FAMILIES
        and name != "Pusher-v4"  # of MuJoCo 2
    ]


def run_briefly(env: str, folder) -> km.Registered:
    """Draft a task, train a few hundred steps, export, verify and pass the policy to the gate."""
    checked = build_reinforcement("game", env)
    path = folder / "game.yaml"
    path.write_text(checked.text)
    small = dict(SMALL)
    if checked.task.learn.algorithm.type != "sac":
        small |= {"learn.algorithm.n_steps": 32, "learn.num_envs": 2}
    return km.run(load_task(path, small), progress=False)


def acts_in(env: gymnasium.Env, policy) -> bool:
    """Return whether a policy acts in the bare environment, in its own spaces."""
    policy.reset(0)
    observation, _ = env.reset(seed=1)
    for _ in range(3):
        action = policy.act_native(observation)
        if not env.action_space.contains(action):
            return False
        observation, _, ended, _, _ = env.step(action)
        if ended:
            break
    return True


def check(registered: km.Registered) -> None:
    failed = [result for result in registered.verification.checks if not result.passed]
    assert not failed
    assert registered.status in ("done", "refused")
    assert registered.training.summary.steps >= 256


# Parts, texts, numbers and choices; images and masks. The next test has one of each family.
@pytest.mark.parametrize(
    "env", [f"{HERE}:Nested", pytest.param(f"{HERE}:Masked", marks=pytest.mark.ci)]
)
def test_an_environment_trains_without_settings(env, tracked_home, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts are left out
        registered = run_briefly(env, tmp_path)
    check(registered)
    bare = make_environment(registered.task).unwrapped
    assert acts_in(bare, load(registered.training.folder))


@pytest.mark.parametrize(
    "env",
    [
        pytest.param(name, marks=pytest.mark.ci if name == "HalfCheetah-v5" else pytest.mark.slow)
        for name in registered_ids()
    ],
)
def test_every_environment_of_gymnasium_trains(env, tracked_home, tmp_path):
    began = time.perf_counter()
    registered = run_briefly(env, tmp_path)
    check(registered)
    assert acts_in(gymnasium.make(env), load(registered.training.folder))
    print(f"{env}: {registered.training.summary.steps} steps, {time.perf_counter() - began:.0f} s")  # noqa: T201


@pytest.mark.parametrize(
    ("env", "algorithm"),
    [
        ("Pixels", "a2c"),
        pytest.param("Camera", "sac", marks=pytest.mark.slow),
        pytest.param("Frame", "dqn", marks=pytest.mark.slow),
    ],
)
def test_the_exported_policy_acts_in_the_bare_environment(env, algorithm, home, monkeypatch):
    import tests.policies.environments.spaces as spaces

    settings = {"type": algorithm, **({"n_steps": 16} if algorithm == "a2c" else {})}
    task = {
        "task": "game",
        "dt": 0.1,
        "environment": {
            "type": "python",
            "path": f"{HERE}:{env}",
            "wrappers": ["frame_stack"],
            "trials": {"episodes": 2, "n_eval_episodes": 2},
        },
        "learn": {
            "type": "reinforcement",
            "algorithm": settings,
            "model": {"type": "mlp", "hidden_sizes": [8]},
            "num_envs": 2,
            "steps": 64,
            "eval_every": 64,
            "batch_size": 16,
        },
    }
    training = km.train(task, progress=False, track=False)
    assert acts_in(getattr(spaces, env)(), training.policy)
    # The policy in torch acts alike, so images and stacked frames are the same in both.
    environment = make_environment(training.task)
    observation, _ = environment.reset(seed=5)
    training.policy.reset(0)
    first = training.policy.act(observation)
    training.policy.reset(0)
    assert np.array_equal(first, training.policy.act(observation))
    assert environment.action_space.contains(np.asarray(first))
