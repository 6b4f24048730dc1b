"""Demonstrations: what an expert does in a task's environment, as logs that ingest reads.

Each episode follows from its seed alone, so any number of workers writes the same bytes. DART noise
(Laskey et al. 2017) perturbs the executed actions, while logs hold the expert's choice. The
demonstrations then show how to recover from states that a policy's own errors lead to.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from kinemill.errors import BadInput
from kinemill.parallel import worker_pool
from kinemill.policies.environments.evaluation import Agent, run_episode
from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.gym_types import Env, Options, Reset, Transition
from kinemill.policies.environments.logs import write_episode
from kinemill.process import without_ctrl_c
from kinemill.store import Json
from kinemill.task.document import Task

_AT_ONCE = 16  # episodes that a process is handed
_STREAM = 29  # apart from what else is drawn by an episode's seed


@dataclass(frozen=True)
class Demonstration:
    """One episode of an expert.

    Attributes:
        seed: of its start.
        episode_return: sum of rewards.
        success: as reported by the environment at its end; None: nothing.
        rows: of the log.
        file: the log; None where a failure was left out.
    """

    seed: int
    episode_return: float
    success: bool | None
    rows: int
    file: Path | None


def demonstrations(
    task: Task,
    folder: Path,
    seeds: Sequence[int],
    *,
    expert: Agent | None = None,
    workers: int = 1,
    failures: bool = False,
) -> Iterator[Demonstration]:
    """Write one log for each seed, and yield the demonstrations in the order of the seeds.

    Args:
        task: with an `environment` part.
        folder: where logs go.
        seeds: of the initial states and of an expert's randomness.
        expert: the acting policy, picklable; default: the environment's own.
        workers: processes.
        failures: whether episodes that the environment calls failures are written, too.

    Raises:
        BadInput: there is no environment, or it has no expert.
        ProcessLost: a process was ended from outside.
    """
    environment_of(task)
    folder.mkdir(parents=True, exist_ok=True)
    count = min(workers, len(seeds))
    if count < 2:
        yield from _demonstrate(task, folder, seeds, expert, failures)
        return
    settings = task.model_dump(mode="json", by_alias=True)
    size = min(_AT_ONCE, -(-len(seeds) // count))
    parts = [seeds[first : first + size] for first in range(0, len(seeds), size)]
    with worker_pool(count) as pool:
        with without_ctrl_c():
            jobs = [
                pool.submit(_demonstrate_from_settings, settings, folder, part, expert, failures)
                for part in parts
            ]
        for job in jobs:
            yield from job.result()


def _demonstrate_from_settings(
    settings: Json, folder: Path, seeds: Sequence[int], expert: Agent | None, failures: bool
) -> list[Demonstration]:
    return list(_demonstrate(Task.model_validate(settings), folder, seeds, expert, failures))


def _demonstrate(
    task: Task, folder: Path, seeds: Iterable[int], expert: Agent | None, failures: bool
) -> Iterator[Demonstration]:
    with closing(make_environment(task)) as plain:
        std = environment_of(task).dart_noise
        environment = DartNoise(plain, std) if std else plain
        agent: Agent = expert if expert is not None else environment_of(task).expert(environment)
        for seed in seeds:
            run = run_episode(task, environment, agent, seed)
            is_written = failures or run.success is not False
            file = write_episode(task, run, folder) if is_written else None
            yield Demonstration(seed, run.episode_return, run.success, len(run.rewards), file)


def document(task: Task, runs: Sequence[Demonstration]) -> Json:
    """Return what `kinemill model rollout --expert --json` prints."""
    successes = [run.success for run in runs if run.success is not None]
    return {
        "task": task.name,
        "episodes": len(runs),
        "written": sum(run.file is not None for run in runs),
        "success": sum(successes) / len(successes) if successes else None,
        "return": sum(run.episode_return for run in runs) / len(runs),
        "runs": [
            {**vars(run), "file": str(run.file) if run.file is not None else None} for run in runs
        ],
    }


class DartNoise(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Carries out actions with noise, which follows from an episode's seed.

    Args:
        env: acts.
        std: standard deviation of the noise, in shares of half the range of each action.

    Raises:
        BadInput: actions are choices, or have no limits.
    """

    def __init__(self, env: Env, std: float) -> None:
        super().__init__(env)
        space = env.action_space
        if not isinstance(space, Box) or not space.is_bounded():
            raise BadInput(
                "environment.dart_noise", f"actions are {space}", expected="numbers with limits"
            )
        self._low = space.low
        self._high = space.high
        self._std = std * (space.high - space.low) / 2
        self._random = np.random.default_rng(0)

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        if seed is not None:
            # A separate stream: the environment draws its start from the same seed.
            self._random = np.random.default_rng([seed, _STREAM])
        return self.env.reset(seed=seed, options=options)

    def step(self, action: object) -> Transition:
        """Carry out an action and noise, within the limits."""
        expert_action = np.asarray(action, self._low.dtype)
        noise = self._std * self._random.normal(size=expert_action.shape)
        return self.env.step(
            np.clip(expert_action + noise, self._low, self._high).astype(expert_action.dtype)
        )
