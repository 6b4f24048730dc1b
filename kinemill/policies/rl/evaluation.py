"""Evaluation during training: episodes in parallel, one batched call of the policy per step."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from kinemill.errors import TrainingFailed
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.evaluation import Recorded, Trials, success_in, summed
from kinemill.policies.environments.gym_types import Env
from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout
from kinemill.task.document import Task
from kinemill.train.policy import PolicyModule


class Evaluator:
    """Run a policy in a task's environment as on a robot: in task units, deterministic.

    Args:
        task: task with an `environment` part.
        variant: name of a variant of the environment's settings.
    """

    def __init__(self, task: Task, variant: str | None = None) -> None:
        self._task, self._variant, self._all = task, variant, list[Env]()

    def close(self) -> None:
        """Close the environments."""
        for environment in self._all:
            environment.close()

    @torch.no_grad()
    def run(self, policy: PolicyModule, seeds: Sequence[int]) -> Trials:
        """Run one episode from each seed to its end.

        Raises:
            TrainingFailed: A return is not finite.
        """
        while len(self._all) < len(seeds):
            self._all.append(make_environment(self._task, variant=self._variant))
        runs = [
            EpisodeRun(environment, seed)
            for environment, seed in zip(self._all, seeds, strict=False)
        ]
        single = len(policy.layout.actions) == 1 and any(policy.layout.choices)
        carry = policy.initial_carry(len(runs))
        while any(not run.over for run in runs):
            inputs = [
                torch.from_numpy(np.stack([run.part(name) for run in runs]))
                for name in policy.layout.inputs
            ]
            actions, *carry = policy(*inputs, *carry)
            for run, action in zip(runs, actions.numpy(), strict=True):
                if not run.over:
                    run.step(_as_action(action, policy.layout.choices or (0,), single))
        layout = layout_of(self._task, self._all[0])
        trials = summed([run.recorded(layout) for run in runs], 0)
        if not np.isfinite(trials.mean_return):
            problem = f"a return of {trials.mean_return}"
            raise TrainingFailed("environment", problem, fix="check its rewards")
        return trials


def _as_action(
    action: NDArray[np.float32], choices: Sequence[int], single: bool
) -> NDArray[np.generic] | int:
    if not all(choices):
        return action
    return int(action[0]) if single else action.astype(np.int64)


class EpisodeRun:
    """One episode in progress.

    Args:
        environment: as `make_environment` returns it.
        seed: seed of the initial state.
    """

    def __init__(self, environment: Env, seed: int) -> None:
        self._environment = environment
        self._seed = seed
        self._latest, self._info = environment.reset(seed=seed)
        self._rewards = list[float]()
        self.over = self._terminated = False

    def part(self, name: str) -> NDArray[np.generic]:
        """Return the current value of an input of the policy, without the batch axis."""
        latest = self._latest
        values = latest[name] if isinstance(latest, dict) else latest
        numbers = name in (OBSERVATION, MASK)
        return np.asarray(values, np.float32) if numbers else np.asarray(values)

    def step(self, action: NDArray[np.generic] | int) -> None:
        """Advance one step with an action (A,) in task units, or a choice."""
        self._latest, reward, ended, cut, self._info = self._environment.step(action)
        self._rewards.append(float(reward))
        self.over, self._terminated = bool(ended or cut), bool(ended)

    def recorded(self, layout: PolicyLayout) -> Recorded:
        """Return rewards and success, without observations and actions."""
        return Recorded(
            self._seed,
            {},
            np.zeros(0),
            np.asarray(self._rewards),
            layout,
            self._terminated,
            success_in(self._info),
        )
