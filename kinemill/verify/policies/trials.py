"""A policy in its environment: what it brings, beside chance, and as the policy in torch.

Returns are compared start by start: all act from the same seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.environments import environment_of, make_environment
from kinemill.environments.evaluation import (
    RandomPolicy,
    Recorded,
    Trials,
    run_episode,
    try_policy,
)
from kinemill.errors import BadInput
from kinemill.export.policy_cases import action_scale
from kinemill.runtime import Policy, PolicyInterface
from kinemill.store import Json
from kinemill.task.document import Task
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.policies.subject import Subject

EPISODES = 5  # that the policy in torch plays as well
SAME, NEAR = 1e-5, 1e-3  # of what is observed, and of an action's spread: the same; near enough
RETURNS = 1e-3  # relative difference of mean returns that passes
CHANCE = 4.0  # standard errors, that differ by chance once in 16,000 times


@dataclass(frozen=True)
class Looped:
    """What came of trials.

    Attributes:
        model: the file's; the first episodes in full.
        random: of actions drawn at random, from the same starts.
        torch: the first episodes again by the policy in torch.
        parted: of those, the step from which each differs from the file's; None: never.
        wrong: where an action differs although all before was the same.
    """

    model: Trials
    random: Trials
    torch: Trials
    parted: list[int | None]
    wrong: list[str]

    def gates(self) -> list[Gate]:
        """Return the lines that decide."""
        finite = bool(np.isfinite(self.model.returns).all())
        mine = self.model.returns[: len(self.torch.returns)]
        off = float(np.mean(mine) - np.mean(self.torch.returns))
        same = abs(off) <= self._allowed()  # NaN is not
        steps = [step for step in self.parted if step is not None]
        text = f"{len(mine)} episodes" + (f", parted after {min(steps)} steps" if steps else "")
        return [
            gate("finite returns", [] if finite else ["some are not"], "a return of each episode"),
            gate("closed loop", self.wrong, "the policy in torch's own actions", text),
            Gate(
                "same return",
                same,
                f"{off:+.3g} on average",
                f"within {self._allowed():.3g} of the policy in torch",
            ),
        ]

    def _allowed(self) -> float:
        """Return by how much the mean return may differ: more where episodes have parted.

        What follows after that is chance: four standard errors of a difference of two means.
        """
        returns, count = np.asarray(self.model.returns), len(self.torch.returns)
        near = RETURNS * max(1.0, abs(float(returns[:count].mean())))
        if all(step is None for step in self.parted):
            return near
        return max(near, CHANCE * float(returns.std()) * float(np.sqrt(2.0 / count)))

    def document(self) -> Json:
        """Return the parts `trials` and `closed_loop` of verification.json."""
        return {
            "trials": {"model": self.model.document(), "random": self.random.document()},
            "closed_loop": {
                "episodes": len(self.torch.returns),
                "parted": self.parted,
                "returns": {"onnx": self._first(), "torch": list(self.torch.returns)},
                "wrong": self.wrong,
            },
        }

    def _first(self) -> list[float]:
        return list(self.model.returns[: len(self.torch.returns)])


def trial_seeds(task: Task) -> list[int]:
    """Return the seeds of a task's trials, which nothing is trained or chosen by."""
    trials = environment_of(task).trials
    return [trials.seed + index for index in range(trials.episodes)]


def looped(subject: Subject) -> Looped | None:
    """Run the trials; None where the task has no environment."""
    task = subject.task
    if task.environment is None:
        return None
    seeds = trial_seeds(task)
    few = seeds[:EPISODES]
    model = try_policy(task, subject.policy, seeds, record=len(few))
    torch = try_policy(task, subject.in_torch, few, record=len(few))
    found = [
        compared(one, other, subject.trained)
        for one, other in zip(model.episodes, torch.episodes, strict=True)
    ]
    return Looped(
        model=model,
        random=by_chance(task, seeds),
        torch=torch,
        parted=[step for step, _ in found],
        wrong=[text for _, text in found if text],
    )


def by_chance(task: Task, seeds: Sequence[int]) -> Trials:
    """Try actions drawn at random."""
    environment = make_environment(task)
    try:
        return try_policy(task, RandomPolicy(environment.action_space), seeds)
    finally:
        environment.close()


def compared(one: Recorded, other: Recorded, interface: PolicyInterface) -> tuple[int | None, str]:
    """Follow two episodes until they part.

    Returns:
        The step from which observations differ, None if that is never; and what is wrong: an action
        that differs although what was observed is the same; or nothing.
    """
    steps = min(len(one.rewards), len(other.rewards))
    alike = np.ones(steps + 1, dtype=bool)
    for name, seen in one.observations.items():
        alike &= _alike(seen[: steps + 1], other.observations[name][: steps + 1])
    same = int(np.logical_and.accumulate(alike).sum())  # so many observations are the same
    off = _off(one, other, interface)[: min(same, steps)]
    if bool((off > 1.0).any()):
        step = int(np.flatnonzero((off > 1.0).any(axis=1))[0])
        name = interface.layout.actions[int(off[step].argmax())]
        return step, f"seed {one.seed}, step {step}: {name} differs, though all before is the same"
    ended = len(one.rewards) == len(other.rewards)
    return (None if same == steps + 1 and ended else min(same, steps)), ""


def _alike(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell for each step whether two observations are the same, but for rounding: (T,)."""
    mine, other_one = (part.reshape(len(part), -1).astype(np.float64) for part in (one, other))
    reach = np.maximum(np.abs(mine).max(axis=0, initial=0.0), 1e-6)
    return (np.abs(mine - other_one) <= SAME * reach).all(axis=1)


def _off(one: Recorded, other: Recorded, interface: PolicyInterface) -> NDArray[np.float64]:
    """Return how far actions differ, over what is near enough, (T, A)."""
    count, steps = len(interface.layout.actions), min(len(one.rewards), len(other.rewards))
    mine, other_one = (
        part.actions[:steps].reshape(steps, count).astype(np.float64) for part in (one, other)
    )
    choices = np.array(interface.choices)
    spread = action_scale(mine.astype(np.float32)[None], interface)
    near = np.where(choices > 0, 0.5, NEAR * spread)
    return np.abs(mine - other_one) / near


def filmed(task: Task, policy: Policy, seed: int) -> NDArray[np.uint8] | None:
    """Return pictures (N+1, H, W, 3) of one episode; None where the environment draws none."""
    from gymnasium.error import DependencyNotInstalled

    try:
        environment = make_environment(task, render=True)
    except BadInput:  # its class takes no `render_mode`
        return None
    try:
        frames = run_episode(task, environment, policy, seed, keep=False, film=True).frames
    except DependencyNotInstalled:  # a report without a film is one
        return None
    finally:
        environment.close()
    return frames if frames is not None and frames.ndim == 4 else None
