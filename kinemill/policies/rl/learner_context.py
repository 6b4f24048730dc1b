"""Set up a training: check settings, estimate statistics of wrappers, open the environment.

The wrappers of the policy are the torch modules of the exported policy, so observations in training
and on the robot are equal.

Symbols: T steps of an episode, D numbers observed, E numbers after the wrappers, B copies,
A actions, M choices.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.policies.environments import learning_environment
from kinemill.policies.environments._vector import MaskInRow, vector_space
from kinemill.policies.environments.evaluation import RandomPolicy
from kinemill.policies.environments.factory import Estimates, make_environment
from kinemill.policies.environments.graph import Adapter
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.layout import layout_of
from kinemill.policies.environments.vector_env import Step, VectorRows
from kinemill.policies.rl.actor import actor_of, adapters_of, image_inputs, observed_parts
from kinemill.policies.rl.cloning import adapt_episode
from kinemill.policies.rl.episode_stats import EpisodeStats
from kinemill.policies.rl.learner import Forecast, Site
from kinemill.runtime.policy_layout import OBSERVATION, PolicyLayout
from kinemill.store.machine import GIB, check_processes, host_memory
from kinemill.task.document import Task
from kinemill.task.reinforcement import ALGORITHMS, Algorithm

_FLOAT32 = 4  # bytes
_WAITING = 4  # processes per core: environments often wait


def open_site(
    task: Task,
    layout: PolicyLayout,
    estimates: Estimates,
    device: object,
    callbacks: Sequence[object] = (),
    forecast: Forecast | None = None,
) -> Site:
    """Return the inputs of a task's learner; the caller closes the environment.

    Raises:
        BadInput: The algorithm does not support the environment.
    """
    learn = checked_settings(task, layout)
    copies = learn.num_envs or learn.algorithm.num_envs
    native = native_factory(task, layout, estimates)
    environment = learn.runner.open(copy_factory(task, estimates), native, copies)
    return Site(learn, layout, environment, device, tuple(callbacks), forecast)


def check_task(task: Task) -> None:
    """Check that the algorithm can train its networks in the environment, without a step of it.

    Raises:
        BadInput: It cannot, or the environment cannot be made.
    """
    with closing(make_environment(task)) as environment:
        layout = layout_of(task, environment)
    learn = checked_settings(task, layout)
    settings: Any = task.environment
    actor_of(learn, layout, settings.wrappers, {})


def checked_settings(task: Task, layout: PolicyLayout) -> Any:
    """Return the `learn` part with the inputs of its networks.

    Raises:
        BadInput: The algorithm does not support the environment, or the machine is too small.
    """
    settings: Any = task.environment
    learn: Any = task.learn
    parts = observed_parts(settings.wrappers, layout)
    images = image_inputs(settings.wrappers, layout)
    learn = learn.with_inputs(*parts, images, layout.agents)
    check_algorithm(learn.algorithm, layout)
    check_machine(learn, layout, learn.num_envs or learn.algorithm.num_envs)
    return learn


def check_algorithm(algorithm: Algorithm, layout: PolicyLayout) -> None:
    """Check that an algorithm can train the policy.

    Raises:
        BadInput: It cannot; the error states the reason.
    """
    kind = _kind_of_actions(layout)
    where = f"learn.algorithm.type: {algorithm.type}"
    if kind not in algorithm.acts:
        raise BadInput(where, f"cannot learn {kind} actions", expected=" or ".join(algorithm.acts))
    if getattr(algorithm, "sde_sample_freq", None) and kind != "continuous":
        raise BadInput("learn.algorithm.sde_sample_freq", f"needs continuous actions, not {kind}")
    if layout.agents and not algorithm.multi_agent:
        names = [name for name in ALGORITHMS if ALGORITHMS[name].multi_agent]
        problem = "cannot train agents that act in turns"
        fix = f"use {', '.join(names)}"
        raise BadInput(where, problem, fix=fix)
    if layout.mask and not (algorithm.masked or layout.agents):
        fix = "learn.algorithm.type: maskable_ppo"
        raise BadInput(where, "does not support masked actions", fix=fix)
    if algorithm.needs_mask and not layout.mask:
        fix = "learn.algorithm.type: ppo"
        raise BadInput(where, "needs an environment that observes `action_mask`", fix=fix)
    if layout.images and not algorithm.reads_images:
        readers = [name for name in ALGORITHMS if ALGORITHMS[name].reads_images]
        problem = f"observes {', '.join(layout.images)}"
        expected = "a vector of numbers alone"
        raise BadInput(where, problem, expected=expected, fix=f"use {', '.join(readers)}")
    if not layout.images and not layout.observation:
        raise BadInput(where, "observes nothing", expected="numbers or images")


def _kind_of_actions(layout: PolicyLayout) -> str:
    if layout.is_mixed:
        return "mixed"
    if not any(layout.choices):
        return "continuous"
    return "choice" if len(layout.choices) == 1 else "choices"


def check_machine(learn: Any, layout: PolicyLayout, copies: int) -> None:
    """Check that this machine has the cores and the memory that the settings need.

    `layout` without wrappers gives a lower bound of the memory.

    Raises:
        BadInput: Cores or memory do not suffice.
    """
    algorithm = learn.algorithm
    if learn.runner.type == "processes":
        check_processes("learn.runner.workers", learn.runner.workers, each=_WAITING)
    pixels = sum(image.pixels for image in learn.images)
    observations = len(layout.observation) + pixels
    actions = len(layout.actions)
    if steps := getattr(algorithm, "buffer_size", 0):
        where = f"learn.algorithm.buffer_size: {steps}"
        steps = min(steps, learn.total_steps + learn.eval_every)
        each = 2 * observations + actions
        setting = "learn.algorithm.buffer_size"
    else:
        steps = copies * getattr(algorithm, "n_steps", 0)
        where = f"learn.num_envs: {copies} times learn.algorithm.n_steps"
        each = observations + actions
        setting = "learn.num_envs"
    needed = _FLOAT32 * each * steps
    memory = host_memory()
    if needed > memory.free:
        raise BadInput(
            where,
            f"the buffer takes {needed / GIB:.3g} GiB, and {memory}",
            expected=f"at most {int(memory.free / (_FLOAT32 * each))} environment steps in it",
            fix=f"lower {setting}",
        )


def copy_factory(task: Task, estimates: Estimates) -> Callable[[], Env]:
    """Return a factory of one copy of the environment, picklable unless it holds Python objects."""
    part: Any = task.environment
    if any(getattr(item, "live", False) for item in (part, *part.wrappers)):  # Python objects
        return lambda: copy_with_stats(task, estimates)
    settings = task.model_dump(mode="json", by_alias=True)
    return partial(_copy_from_settings, settings, list(estimates))


def _copy_from_settings(settings: object, estimates: Estimates) -> Env:
    return copy_with_stats(Task.model_validate(settings), estimates)


def copy_with_stats(task: Task, estimates: Estimates) -> Env:
    """Return one copy with episode statistics."""
    environment = learning_environment(task, estimates, inner=EpisodeStats)
    is_turn_based = environment.has_wrapper_attr("policy_agents")
    return MaskInRow(environment) if is_turn_based else environment


def native_factory(
    task: Task, layout: PolicyLayout, estimates: Estimates
) -> Callable[[int], VectorRows] | None:
    """Return a factory of vectorized copies, if the environment has one."""
    part: Any = task.environment
    bare = part.vectorized(task)
    if bare is None or layout.images or any(wrapper.scope != "policy" for wrapper in part.wrappers):
        return None
    if not part.wrappers:
        return bare
    return lambda count: AdaptedRows(bare(count), adapters_of(part.wrappers, layout), estimates)


def estimate(
    task: Task,
    seed: int,
    layout: PolicyLayout | None = None,
    episodes: Sequence[NDArray[np.generic]] = (),
) -> list[dict[str, NDArray[np.generic]]]:
    """Return the estimates of each wrapper, from steps of a random policy and demonstrations.

    Estimates are arrays by name, such as the mean (E,) of observations. Each wrapper observes the
    output of the wrappers inside of it.

    Args:
        task: task with an `environment` part.
        seed: seed of the random policy.
        layout: observations of the demonstrations.
        episodes: demonstrated observations, (T, D) each.
    """
    estimates = list[dict[str, Any]]()
    settings: Any = task.environment
    for index, wrapper in enumerate(settings.wrappers):
        if not wrapper.estimated:
            estimates.append({})
            continue
        inside = settings.model_copy(update={"wrappers": settings.wrappers[:index]})
        steps = wrapper.estimated
        observations = _random_observations(
            task.model_copy(update={"environment": inside}), estimates, steps, seed
        )
        if layout is not None and episodes:
            chain = adapters_of(inside.wrappers, layout)
            pairs = zip(estimates, inside.wrappers, strict=True)
            numeric = [values for values, inner in pairs if inner.scope == "policy"]
            for adapter, values in zip(chain, numeric, strict=True):
                adapter.load(values)
            demonstrated = [adapt_episode(chain, episode) for episode in episodes]
            observations = np.concatenate([observations, *demonstrated])
        estimates.append(wrapper.estimate(observations))
    return estimates


def _random_observations(
    task: Task, estimates: Estimates, steps: int, seed: int
) -> NDArray[np.generic]:
    with closing(learning_environment(task, list(estimates), is_packed=False)) as environment:
        vector_space(environment, "environment.wrappers")
        policy = RandomPolicy(environment.action_space)
        rows = list[Any]()
        observation, _ = environment.reset(seed=seed)
        policy.reset(seed)
        while len(rows) < steps:
            rows.append(observation[OBSERVATION] if isinstance(observation, dict) else observation)
            observation, _, ended, cut, _ = environment.step(policy.act(observation))
            if ended or cut:
                observation, _ = environment.reset()
    return np.stack(rows)


class AdaptedRows:
    """Vectorized copies with wrappers applied; implements `VectorRows`."""

    masked = False

    def __init__(
        self,
        rows: VectorRows,
        adapters: Sequence[Adapter],
        estimates: Sequence[Mapping[str, object]],
    ) -> None:
        self._rows = rows
        self._adapters = adapters
        for adapter, estimate in zip(adapters, estimates, strict=True):
            adapter.load(estimate)
        ends = np.full(adapters[-1].outputs, np.inf, np.float32)
        self.observation_space: Any = Box(-ends, ends, dtype=np.float32)
        self.action_space = rows.action_space
        if any(type(adapter).act is not Adapter.act for adapter in adapters):
            ones = np.ones(rows.action_space.shape, np.float32)
            self.action_space = Box(-ones, ones, dtype=np.float32)

    def reset(self, seeds: Sequence[int | None]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Start an episode in each row; return observations (B, E) and masks (B, M)."""
        observations, masks = self._rows.reset(seeds)
        self._carry = [
            tuple(torch.zeros(len(observations), *shape) for shape in adapter.carry_shapes)
            for adapter in self._adapters
        ]
        return self._adapt(observations, np.ones(len(observations), bool)), masks

    @torch.no_grad()
    def step(self, actions: object) -> Step:
        """Advance one step with actions (B, A).

        It returns observations (B, E), rewards (B,), dones (B,), infos, and masks (B, M).
        """
        inner_actions = torch.as_tensor(actions)
        for adapter in reversed(self._adapters):
            inner_actions = adapter.act(inner_actions)
        observations, rewards, dones, infos, masks = self._rows.step(inner_actions.numpy())
        if not dones.any():
            return self._adapt(observations, dones), rewards, dones, infos, masks
        # `observations` are those of the new episodes. The last ones of the ended episodes pass the
        # wrappers with the old carry, which is then restored for the copies that go on.
        last = observations.copy()
        for row in np.flatnonzero(dones):
            last[row] = infos[row]["terminal_observation"]
        carry = self._carry
        ended = self._adapt(last, np.zeros(len(observations), bool))
        for row in np.flatnonzero(dones):
            infos[row]["terminal_observation"] = ended[row]
        self._carry = carry
        return self._adapt(observations, dones), rewards, dones, infos, masks

    @torch.no_grad()
    def _adapt(self, observations: object, first: Any) -> NDArray[np.float32]:
        values = torch.from_numpy(observations)
        begins = torch.from_numpy(first.astype(np.float32))[:, None]
        after = list[tuple[Tensor, ...]]()
        for adapter, carry in zip(self._adapters, self._carry, strict=True):
            values, new_carry = adapter.observe(values, begins, carry)
            after.append(new_carry)
        self._carry = after
        return values.numpy()

    def close(self) -> None:
        """Close the rows."""
        self._rows.close()
