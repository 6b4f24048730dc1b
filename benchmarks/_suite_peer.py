"""SAC of stable-baselines3 with its tuned settings on a task of the DeepMind Control Suite.

`python -m benchmarks._suite_peer TASK SEED` prints a JSON document. The settings are those of
rl-baselines3-zoo for `InvertedPendulumSwingupBulletEnv-v0`: the zoo has none for this suite, and
that task is the same kind of machine. Its control step is 0.0165 s, so that actions are held for
two steps here as well (0.02 s).
"""

import json
import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import RepeatAction
from stable_baselines3 import SAC

from benchmarks.prove_suite import EPISODES, REPEAT, STEPS
from kinemill.policies.environments.dm_control import register_suite
from kinemill.task.environment import Trials

TUNED: dict[str, Any] = {  # rl-baselines3-zoo 2.x, hyperparams/sac.yml, pybullet-defaults
    "learning_rate": 7.3e-4,
    "buffer_size": 300_000,
    "batch_size": 256,
    "ent_coef": "auto",
    "gamma": 0.98,
    "tau": 0.02,
    "train_freq": 8,
    "gradient_steps": 8,
    "learning_starts": 10_000,
    "use_sde": True,
    "policy_kwargs": {"log_std_init": -3, "net_arch": [400, 300]},
}


def environment(name: str) -> Any:
    """Return a task with observations as one vector and held actions."""
    register_suite()
    made = gymnasium.wrappers.FlattenObservation(gymnasium.make(f"dm_control/{name}-v0"))
    return RepeatAction(made, REPEAT)


def episode_return(model: SAC, env: Any, seed: int) -> float:
    """Return the sum of rewards of one episode without exploration."""
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, ended, cut, _ = env.step(action)
        total, over = total + float(reward), ended or cut
    return total


def trained_return(name: str, seed: int) -> float:
    """Train, and return the mean return over the start states of the pipeline's verification."""
    model = SAC("MlpPolicy", environment(name), seed=seed, device="cpu", **TUNED)
    model.learn(STEPS // REPEAT)
    env, first = environment(name), Trials().seed
    returns = [episode_return(model, env, first + index) for index in range(EPISODES)]
    return float(np.mean(returns))


if __name__ == "__main__":
    print(json.dumps({"return": trained_return(sys.argv[1], int(sys.argv[2]))}))
