"""Trials: a policy in its environment, from seeded starts, each to the end of the episode.

Each episode follows from its seed alone, so it is the same whichever process it runs in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.parallel import worker_pool
from kinemill.policies.environments.dm_control import STEP_INFO
from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.gym_types import Env, Space
from kinemill.policies.environments.layout import action_limits, actions_text, layout_of
from kinemill.policies.environments.obs_filter import seen_by
from kinemill.process import without_ctrl_c
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task.document import Task

_AT_ONCE = 16  # episodes that a process is handed
_NO_EVENTS = ("TimeLimit.truncated", *STEP_INFO)
_RESAMPLES = 2000  # of a bootstrap; the ends of an interval then move by a few per cent of it

Result = TypeVar("Result")


class Agent(Protocol):
    """A policy; it must be picklable if several processes are used."""

    def reset(self, seed: int) -> None:
        """Begin an episode; all randomness follows from the seed."""
        ...

    def act(self, observation: Any) -> object:
        """Choose an action, in the environment's own terms."""
        ...


@dataclass(frozen=True)
class Recorded:
    """One episode in full.

    Attributes:
        seed: of its start.
        observations: by input of a policy, (N+1, ...), the first is the start.
        actions: (N, A) or, for a single choice, (N,), as passed to the environment.
        rewards: (N,).
        layout: names of what the environment shows and of the actions.
        terminated: whether it terminated; otherwise it was truncated.
        success: what the environment says at the end; None: nothing.
        frames: images (N+1, H, W, 3) uint8, if requested.
        commands: (N, A), what the policy chose; None where every action is within limits.
        step_events: numbers in `info` by name, (N,) each; NaN in steps without one.
    """

    seed: int
    observations: dict[str, NDArray[Any]]
    actions: NDArray[Any]
    rewards: NDArray[np.float64]
    layout: PolicyLayout
    terminated: bool
    success: bool | None
    frames: NDArray[np.uint8] | None = None
    commands: NDArray[Any] | None = None
    step_events: dict[str, NDArray[np.float64]] = field(
        default_factory=dict[str, NDArray[np.float64]]
    )

    @property
    def episode_return(self) -> float:
        """The sum of rewards."""
        return float(self.rewards.sum())


@dataclass(frozen=True)
class Trials:
    """Results of episodes.

    Attributes:
        returns: sum of rewards of each.
        successes: as reported by the environment; empty if it reports none.
        lengths: steps of each.
        seeds: of their starts.
        episodes: the first of them in full, as many as requested.
    """

    returns: tuple[float, ...]
    successes: tuple[bool, ...]
    lengths: tuple[int, ...]
    seeds: tuple[int, ...]
    episodes: tuple[Recorded, ...] = ()

    @property
    def mean_return(self) -> float:
        """The mean of the returns."""
        return float(np.mean(self.returns))

    @property
    def success(self) -> float | None:
        """The share of successes; None if the environment reports nothing."""
        return float(np.mean(self.successes)) if self.successes else None

    def interval(self) -> dict[str, tuple[float, float]]:
        """Return where the mean `return` and `success` lie, 95 %, by bootstrap over episodes."""
        intervals = {"return": bootstrap(self.returns)}
        return intervals | ({"success": bootstrap(self.successes)} if self.successes else {})

    def document(self) -> Json:
        """Return means and 95 % intervals of return and success, and each episode's numbers."""
        ends = self.interval()
        return {
            "return": self.mean_return,
            "return_interval": list(ends["return"]),
            "success": self.success,
            "success_interval": list(ends["success"]) if self.successes else None,
            "returns": list(self.returns),
            "successes": list(self.successes),
            "lengths": list(self.lengths),
            "seeds": list(self.seeds),
        }


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of some values."""
    sample = np.asarray(values, dtype=float)
    random = np.random.default_rng(0)
    means = sample[random.integers(len(sample), size=(_RESAMPLES, len(sample)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def trial_seeds(task: Task) -> list[int]:
    """Return the seeds of a task's trials, which training and selection never use."""
    trials = environment_of(task).trials
    return [trials.seed + index for index in range(trials.episodes)]


def try_policy(
    task: Task,
    policy: Agent,
    seeds: Sequence[int],
    *,
    variant: str | None = None,
    workers: int = 1,
    record: int | None = None,
) -> Trials:
    """Run one episode from each seed; the same for any number of workers.

    Args:
        task: with an `environment` part.
        policy: chooses the actions; picklable if there are several workers.
        seeds: of the starts, and of the policy's randomness.
        variant: name of the changed settings; default: that of `trials`.
        workers: processes.
        record: how many of the episodes, from the first on, are returned in full; default: none.

    Raises:
        BadInput: there is no environment or no such variant.
        ProcessLost: a process was ended from outside.
    """
    run = partial(
        _run,
        policy=policy,
        variant=variant if variant is not None else environment_of(task).trials.variant,
        recorded=frozenset(seeds[: record or 0]),
    )
    return summed(list(run_in_processes(run, task, seeds, workers)), record or 0)


def run_in_processes(
    run: Callable[[Task, Sequence[int]], Iterable[Result]],
    task: Task,
    seeds: Sequence[int],
    workers: int,
) -> Iterator[Result]:
    """Yield the results of `run(task, seeds)` in the order of the seeds, from several processes.

    Args:
        run: a function of a task and some of the seeds, picklable if there are several workers.
        task: with an `environment` part.
        seeds: of episodes.
        workers: processes.

    Raises:
        ProcessLost: a process was ended from outside.
    """
    count = min(workers, len(seeds))
    if count < 2:
        yield from run(task, seeds)
        return
    settings = task.model_dump(mode="json", by_alias=True)
    size = min(_AT_ONCE, -(-len(seeds) // count))
    parts = [seeds[first : first + size] for first in range(0, len(seeds), size)]
    with worker_pool(count) as pool:
        with without_ctrl_c():
            jobs = [pool.submit(_run_from_settings, run, settings, part) for part in parts]
        for job in jobs:
            yield from job.result()


def _run_from_settings(
    run: Callable[[Task, Sequence[int]], Iterable[Result]], settings: Json, seeds: Sequence[int]
) -> list[Result]:
    return list(run(Task.model_validate(settings), seeds))


def summed(runs: Sequence[Recorded], full: int) -> Trials:
    """Return what came of episodes, the first `full` of them in full."""
    successes = [run.success for run in runs if run.success is not None]
    return Trials(
        returns=tuple(run.episode_return for run in runs),
        successes=tuple(successes) if len(successes) == len(runs) else (),
        lengths=tuple(len(run.rewards) for run in runs),
        seeds=tuple(run.seed for run in runs),
        episodes=tuple(runs[:full]),
    )


def require_fit(
    task: Task,
    observed: Sequence[str],
    actions: Sequence[str],
    choices: Sequence[int] = (),
    variant: str | None = None,
) -> None:
    """Require that a policy can act in the environment of a task, which can be another task's.

    Args:
        task: has the environment.
        observed: numbers, images and texts that the policy observes.
        actions: of the policy, in order.
        choices: number of choices of each action, 0 for a continuous one; default: all continuous.
        variant: of the environment.

    Raises:
        BadInput: The environment lacks observations of the policy, or takes other actions.
    """
    with closing(make_environment(task, variant=variant)) as environment:
        there = layout_of(task, environment)
    where = f"environment of {task.name}"
    available = (*there.observation, *there.images, *there.texts)
    if lacking := [name for name in observed if name not in available]:
        problem = f"does not have {', '.join(lacking)}, which the policy observes"
        raise BadInput(where, problem, expected=f"one of {', '.join(available)}")
    spaces = actions_text(there.actions, there.choices)
    expected = actions_text(actions, choices)
    if spaces != expected:
        kind = "" if any(choices) else ", numbers"
        raise BadInput(where, f"takes {spaces}", expected=f"the policy's: {expected}{kind}")


def _run(
    task: Task,
    seeds: Sequence[int],
    *,
    policy: Agent,
    variant: str | None,
    recorded: frozenset[int],
) -> Iterator[Recorded]:
    with closing(make_environment(task, variant=variant)) as environment:
        for seed in seeds:
            yield run_episode(task, environment, policy, seed, keep=seed in recorded)


def run_episode(
    task: Task,
    environment: Env,
    policy: Agent,
    seed: int,
    *,
    keep: bool = True,
    render: bool = False,
) -> Recorded:
    """Run one episode from a seeded start to its end.

    An action beyond the limits of the environment or of the task is clipped before it is applied.
    A policy with an `interface` receives only its own inputs, in its own order.

    Args:
        task: names the observations.
        environment: as `make_environment` returns it.
        policy: chooses the actions.
        seed: of the start, and of the policy's randomness.
        keep: whether observations and actions are returned.
        render: whether to record an image of each step.
    """
    layout = layout_of(task, environment)
    limits = action_limits(task, environment, layout)
    observation, info = environment.reset(seed=seed)
    policy.reset(seed)
    observations = [observation]
    actions = list[Any]()
    rewards = list[float]()
    frames = list[Any]()
    commands = list[Any]()
    clipped = False
    infos = list[dict[str, float]]()
    over = False
    terminated = False
    frames += [environment.render()] if render else []
    while not over:
        command = policy.act(seen_by(policy, observation, layout))
        action = within(command, limits)
        clipped |= action is not command
        observation, reward, terminated, truncated, info = environment.step(action)
        rewards.append(float(reward))
        if keep:
            observations.append(observation)
            actions.append(action)
            commands.append(command)
        frames += [environment.render()] if render else []
        infos.append(numbers_in(info))
        over = terminated or truncated
    return Recorded(
        seed,
        _stacked(observations),
        np.asarray(actions),
        np.asarray(rewards, dtype=float),
        layout,
        bool(terminated),
        success_in(info),
        np.stack(frames) if render else None,
        np.asarray(commands) if clipped and keep else None,
        events_by_step(infos) if keep else {},
    )


def events_by_step(infos: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.float64]]:
    """Return the events of steps by name, (N,) each, NaN in steps without one."""
    names = dict.fromkeys(name for info in infos for name in info)
    return {name: np.array([info.get(name, np.nan) for info in infos]) for name in names}


def within(
    action: object, limits: tuple[NDArray[np.float64], NDArray[np.float64]] | None
) -> object:
    """Return an action (A,) clipped to limits, each (A,); the same object if it is within."""
    if limits is None:
        return action
    values = np.asarray(action)
    clipped = np.clip(values, *limits).astype(values.dtype)
    return action if np.array_equal(clipped, values, equal_nan=True) else clipped


def success_in(info: Mapping[str, Any]) -> bool | None:
    """Return whether an episode succeeded, by the `info` of its end; NaN is no success."""
    success = info.get("is_success")
    return None if success is None else bool(success) and not np.isnan(success)


def numbers_in(info: Mapping[str, object]) -> dict[str, float]:
    """Return what of an `info` is a number: the events of a step."""
    return {
        name: float(value)
        for name, value in info.items()
        if isinstance(value, int | float | np.number | np.bool_) and name not in _NO_EVENTS
    }


def _stacked(observations: list[Any]) -> dict[str, NDArray[np.generic]]:
    if isinstance(observations[0], dict):
        return {
            name: np.stack([observation[name] for observation in observations])
            for name in observations[0]
        }
    return {"observation": np.stack(observations)}


class RandomPolicy:
    """Acts at random: even over the choices or limits, among those that are not forbidden."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def reset(self, seed: int) -> None:
        """Begin an episode."""
        self._space.seed(seed)

    def act(self, observation: object) -> object:
        """Draw an action."""
        mask = observation.get("action_mask") if isinstance(observation, dict) else None
        return self._space.sample(None if mask is None else masks_of(self._space, mask))


def masks_of(space: object, mask: object) -> NDArray[np.int8] | tuple[NDArray[np.int8], ...]:
    """Return a mask (M,) as Gymnasium's `sample` takes it: int8, one a choice."""
    values = np.asarray(mask).astype(np.int8)
    sizes = getattr(space, "nvec", None)
    if sizes is None:
        return values
    return tuple(np.split(values, np.cumsum(sizes)[:-1]))
