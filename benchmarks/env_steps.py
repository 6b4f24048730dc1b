"""Steps of environments per second: runners of kinemill, Gymnasium's and SB3's vector environments.

`ours` is the runner `native`. The cases alternate, so that load affects all of them: compare within
a row. The references step the ordinary environment of an MJCF file, without our wrappers for
statistics. Processes are measured with 8
copies only: Gymnasium starts one for each.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from benchmarks import EXAMPLES, Row, interleaved, main, row
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.rl.learner_context import copy_factory, native_factory
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.task.reinforcement import RUNNERS

TASKS = {"arm (MJCF)": "arm"}
COUNTS, STEPS, ROUNDS = (8, 64), 1600, 7  # environment steps of one call, of all copies together
SMALL = COUNTS[0]


def ordinary(name: str) -> gymnasium.Env[Any, Any]:
    """Return one ordinary environment; picklable by name."""
    return make_environment(load_task(EXAMPLES / f"{name}.yaml"))


def opened(name: str, count: int) -> dict[str, Any]:
    """Return the environments to compare, reset; `native` first."""
    from stable_baselines3.common.vec_env import DummyVecEnv

    task: Task = load_task(EXAMPLES / f"{name}.yaml")
    make, plain = copy_factory(task, []), partial(ordinary, name)
    native = native_factory(task, layout_of(task, plain()), [])
    environments = {
        runner: RUNNERS[runner].model_validate({"type": runner}).open(make, native, count)
        for runner in ("native", "in_process", *(["processes"] if count == SMALL else []))
    }
    same_step = AutoresetMode.SAME_STEP
    environments["Gymnasium SyncVectorEnv"] = SyncVectorEnv(
        [plain] * count, autoreset_mode=same_step
    )
    if count == SMALL:
        environments["Gymnasium AsyncVectorEnv"] = AsyncVectorEnv(
            [plain] * count, context="spawn", autoreset_mode=same_step
        )
    environments["SB3 DummyVecEnv"] = DummyVecEnv([plain] * count)
    for environment in environments.values():
        environment.reset()
    return environments


def walk(environment: Any, actions: Any) -> None:
    """Step through actions (T, B, ...)."""
    for action in actions:
        environment.step(action)


def rates(name: str, count: int) -> dict[str, float]:
    """Return environment steps per second of each side."""
    environments = opened(name, count)
    space = environments["native"].action_space
    space.seed(0)
    actions = np.array([[space.sample() for _ in range(count)] for _ in range(STEPS // count)])
    cases: dict[str, Callable[[], object]] = {
        side: partial(walk, environment, actions) for side, environment in environments.items()
    }
    try:
        seconds = interleaved(cases, ROUNDS)
    finally:
        for environment in environments.values():
            environment.close()
    return {side: actions.shape[0] * count / each for side, each in seconds.items()}


def measure() -> list[Row]:
    """Return steps per second, `native` over the others."""
    rows = list[Row]()
    for label, name in TASKS.items():
        for count in COUNTS:
            rate = rates(name, count)
            rows.append(row(f"{label}, {count} copies", "steps/s", rate.pop("native"), rate))
    return rows


if __name__ == "__main__":
    main("env_steps", measure)
