"""Trials in the environment: returns of the policy, of random actions and of the policy in torch.

Returns are compared in pairs of episodes that start with the same seed.

Symbols: N steps, T observations, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.export.policy_cases import action_scale
from kinemill.policies.environments.evaluation import (
    RandomPolicy,
    Recorded,
    Trials,
    trial_seeds,
    try_policy,
)
from kinemill.policies.environments.factory import action_space_of
from kinemill.runtime import Floats, Policy, PolicyInterface
from kinemill.runtime.policy_layout import OBSERVATION
from kinemill.task.document import Task
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.results import TorchTrials, TrialResults
from kinemill.verify.test_inputs import Array

EPISODES = 5  # episodes of the policy in torch
SAME = 1e-5  # tolerance of rounding, as a share of the largest observation
ROUNDED = 64  # samples of an observation with rounding
NEAR = 1e-3  # tolerance of rounding, as a share of the scale of an action
RETURNS = 1e-3  # relative difference of mean returns that passes
SIGMAS = 4.0  # standard errors; a normal variable exceeds them with a probability of 1 / 16,000


@dataclass(frozen=True)
class EnvironmentTrials:
    """Episodes of the exported policy, of random actions, and of the policy in torch.

    Attributes:
        model: episodes of the exported policy; the first of them are recorded.
        random: episodes of random actions, from the same starts.
        torch: the first episodes again with the policy in torch.
        diverged_at: step at which each of these differs from that of the file; None if it never
            does.
        faults: actions that differ although all earlier observations are equal.
    """

    model: Trials
    random: Trials
    torch: Trials
    diverged_at: list[int | None]
    faults: list[str]

    def gates(self) -> list[Gate]:
        """Return the gates on returns and on equal actions."""
        is_finite = bool(np.isfinite(self.model.returns).all())
        returns = self.model.returns[: len(self.torch.returns)]
        difference = float(np.mean(returns) - np.mean(self.torch.returns))
        allowed = self._allowed()
        steps = [step for step in self.diverged_at if step is not None]
        later = f", different after {min(steps)} steps" if steps else ""
        faults = [] if is_finite else ["some are not finite"]
        return [
            gate("finite returns", faults, "a finite return of each episode"),
            gate(
                "closed loop",
                self.faults,
                "the actions of the policy in torch",
                f"{len(returns)} episodes{later}",
            ),
            Gate(
                "same return",
                abs(difference) <= allowed,  # false for NaN
                f"{difference:+.3g} on average",
                f"within {allowed:.3g} of the policy in torch",
            ),
        ]

    def _allowed(self) -> float:
        """Return the allowed difference of the mean return.

        After episodes differ, the difference is random: `SIGMAS` standard errors of a difference of
        two means are allowed.
        """
        returns = np.asarray(self.model.returns)
        count = len(self.torch.returns)
        near = RETURNS * max(1.0, abs(float(returns[:count].mean())))
        if all(step is None for step in self.diverged_at):
            return near
        return max(near, SIGMAS * float(returns.std()) * float(np.sqrt(2.0 / count)))

    def torch_trials(self) -> TorchTrials:
        """Return the comparison with the policy in torch as a part of a document."""
        count = len(self.torch.returns)
        return TorchTrials(
            episodes=count,
            diverged_at=self.diverged_at,
            onnx_returns=list(self.model.returns[:count]),
            torch_returns=list(self.torch.returns),
            faults=self.faults,
        )


def trial_results(trials: Trials) -> TrialResults:
    """Return the outcomes of episodes as a part of a document."""
    intervals = trials.interval()
    return TrialResults(
        mean_return=trials.mean_return,
        return_interval=intervals["return"],
        success=trials.success,
        success_interval=intervals.get("success"),
        returns=list(trials.returns),
        successes=list(trials.successes),
        lengths=list(trials.lengths),
        seeds=list(trials.seeds),
    )


def run_trials(
    task: Task, policy: Policy, in_torch: Policy, interface: PolicyInterface
) -> EnvironmentTrials:
    """Run the trials of a task with an environment."""
    seeds = trial_seeds(task)
    first = seeds[:EPISODES]
    model = try_policy(task, policy, seeds, record=len(first))
    torch = try_policy(task, in_torch, first, record=len(first))
    compared = list[tuple[int | None, str]]()
    for exported, original in zip(model.episodes, torch.episodes, strict=True):
        step, fault = compare_episodes(exported, original, interface)
        is_fault = fault and step is not None and not is_tie(in_torch, exported, step)
        compared.append((step, fault if is_fault else ""))
    return EnvironmentTrials(
        model=model,
        random=run_random(task, seeds),
        torch=torch,
        diverged_at=[step for step, _ in compared],
        faults=[text for _, text in compared if text],
    )


def run_random(task: Task, seeds: Sequence[int], variant: str | None = None) -> Trials:
    """Run episodes with random actions."""
    return try_policy(task, RandomPolicy(action_space_of(task)), seeds, variant=variant)


def compare_episodes(
    first: Recorded, second: Recorded, interface: PolicyInterface
) -> tuple[int | None, str]:
    """Compare two episodes until their observations differ.

    It returns the step at which observations or lengths differ, or None; and the fault, which is an
    action that differs although all earlier observations are equal, or an empty text.
    """
    steps = min(len(first.rewards), len(second.rewards))
    equal = np.ones(steps + 1, dtype=bool)
    for name, values in first.observations.items():
        equal &= _equal(values[: steps + 1], second.observations[name][: steps + 1])
    same = int(np.logical_and.accumulate(equal).sum())  # number of equal observations
    off = _relative_difference(first, second, interface)[: min(same, steps)]
    if bool((off > 1.0).any()):
        step = int(np.flatnonzero((off > 1.0).any(axis=1))[0])
        name = interface.layout.actions[int(off[step].argmax())]
        return step, f"seed {first.seed}, step {step}: {name} differs after equal observations"
    ended = len(first.rewards) == len(second.rewards)
    return (None if same == steps + 1 and ended else min(same, steps)), ""


def is_tie(policy: Policy, episode: Recorded, step: int) -> bool:
    """Return whether a policy takes the recorded choices if rounding changes what it observes.

    If two choices are of nearly equal value, rounding decides between them. Continuous and random
    actions, and those of several agents, do not count as ties.
    """
    layout = policy.interface.layout
    if not all(policy.interface.choices) or layout.seeded or layout.agents:
        return False
    carry = policy.initial_carry(1)
    for number in range(step):
        inputs = {name: part[number][None] for name, part in episode.observations.items()}
        _, carry = policy.step(inputs, carry)
    carry = tuple(np.repeat(part, ROUNDED, axis=0) for part in carry)
    inputs = {
        name: np.repeat(part[step][None], ROUNDED, axis=0)
        for name, part in episode.observations.items()
    }
    if OBSERVATION in inputs:
        reach = SAME * np.abs(episode.observations[OBSERVATION]).max(axis=0)
        numbers = inputs[OBSERVATION]
        change = np.random.default_rng(0).uniform(-reach, reach, numbers.shape)
        inputs[OBSERVATION] = (numbers + change).astype(numbers.dtype)
    actions, _ = policy.step(inputs, carry)
    recorded = episode.actions[step].reshape(1, -1)
    return bool((actions.reshape(ROUNDED, -1) == recorded).all(axis=1).any())


def _equal(actual: Array, expected: Array) -> NDArray[np.bool_]:
    """Return whether observations are equal up to rounding at each step: (T, ...) -> (T,)."""
    first, second = (part.reshape(len(part), -1).astype(np.float64) for part in (actual, expected))
    reach = np.maximum(np.abs(first).max(axis=0, initial=0.0), 1e-6)
    return (np.abs(first - second) <= SAME * reach).all(axis=1)


def _relative_difference(
    actual: Recorded, expected: Recorded, interface: PolicyInterface
) -> Floats:
    """Return the difference of actions divided by the allowed difference, (N, A)."""
    count = len(interface.layout.actions)
    steps = min(len(actual.rewards), len(expected.rewards))
    first, second = (
        part.actions[:steps].reshape(steps, count).astype(np.float64) for part in (actual, expected)
    )
    choices = np.array(interface.choices)
    scale = action_scale(first.astype(np.float32)[None], interface)
    return np.abs(first - second) / np.where(choices > 0, 0.5, NEAR * scale)
