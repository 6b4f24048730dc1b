"""Set up a training: check settings, estimate statistics of wrappers, open the environment.

The wrappers of the policy are the torch modules of the exported policy, so observations in training
and on the robot are equal.

Symbols: T steps of an episode, D numbers observed, E numbers after the wrappers, B copies,
A actions, M choices.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.evaluation import RandomPolicy
from kinemill.policies.environments.factory import environment_of, make_environment
from kinemill.policies.environments.graph import Adapter
from kinemill.policies.environments.layout import layout_of
from kinemill.policies.environments.vector_env import VectorRows
from kinemill.policies.rl.actor import (
    actor_of,
    adapters_of,
    image_adapters_of,
    load_estimates,
    with_inputs_of,
)
from kinemill.policies.rl.cloning import adapt_episode
from kinemill.policies.rl.learner import Forecast, Site
from kinemill.policies.rl.sync_vec_env import Estimates, copy_factory
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
    from kinemill.policies.rl.vec_env import AdaptedEnv  # stable-baselines3 takes 1.5 s

    learn = checked_settings(task, layout)
    copies = learn.num_envs or learn.algorithm.num_envs
    environment = learn.runner.open(
        copy_factory(task, estimates), native_factory(task, layout), copies
    )
    settings = environment_of(task)
    if any(wrapper.scope == "policy" for wrapper in settings.wrappers):
        adapters = adapters_of(settings.wrappers, layout)
        load_estimates(adapters, settings.wrappers, estimates)
        images = image_adapters_of(settings.wrappers, layout)
        environment = AdaptedEnv(environment, layout, adapters, images)
    return Site(learn, layout, environment, device, tuple(callbacks), forecast)


def check_task(task: Task) -> None:
    """Check that the algorithm can train its networks in the environment, without a step of it.

    Raises:
        BadInput: It cannot, or the environment cannot be made.
    """
    with closing(make_environment(task)) as environment:
        layout = layout_of(task, environment)
    learn = checked_settings(task, layout)
    settings = environment_of(task)
    actor_of(learn, layout, settings.wrappers, {})


def checked_settings(task: Task, layout: PolicyLayout) -> Any:
    """Return the `learn` part with the inputs of its networks.

    Raises:
        BadInput: The algorithm does not support the environment, or the machine is too small.
    """
    settings = environment_of(task)
    learn = with_inputs_of(task.learn, settings.wrappers, layout)
    check_algorithm(learn.algorithm, layout)
    check_machine(learn, layout, learn.num_envs or learn.algorithm.num_envs)
    return learn


def _noise_setting(algorithm: Algorithm) -> str | None:
    """Return a setting of exploration noise that is in use, or None."""
    settings = ("sde_sample_freq", "log_std_init")
    return next((name for name in settings if getattr(algorithm, name, None)), None)


def check_algorithm(algorithm: Algorithm, layout: PolicyLayout) -> None:
    """Check that an algorithm can train the policy.

    Raises:
        BadInput: It cannot; the error states the reason.
    """
    kind = _kind_of_actions(layout)
    where = f"learn.algorithm.type: {algorithm.type}"
    if kind not in algorithm.acts:
        raise BadInput(where, f"cannot learn {kind} actions", expected=" or ".join(algorithm.acts))
    if kind != "continuous" and (setting := _noise_setting(algorithm)):
        raise BadInput(f"learn.algorithm.{setting}", f"needs continuous actions, not {kind}")
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
    pixels = sum(image.pixels for image in learn.inputs.images)
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


def native_factory(task: Task, layout: PolicyLayout) -> Callable[[int], VectorRows] | None:
    """Return a factory of vectorized copies, if the environment has one."""
    part = environment_of(task)
    if layout.images or any(wrapper.scope != "policy" for wrapper in part.wrappers):
        return None
    return part.vectorized(task)


def estimate(
    task: Task,
    layout: PolicyLayout,
    seed: int,
    episodes: Sequence[NDArray[np.generic]] = (),
) -> list[Mapping[str, object]]:
    """Return the estimates of each wrapper, from steps of a random policy and demonstrations.

    Estimates are arrays by name, such as the mean (E,) of observations. Each wrapper observes the
    output of the wrappers inside of it.

    Args:
        task: task with an `environment` part.
        layout: observations of its policy.
        seed: seed of the random policy.
        episodes: demonstrated observations, (T, D) each.

    Raises:
        BadInput: A wrapper does not fit the environment.
    """
    wrappers = environment_of(task).wrappers
    adapters = iter(adapters_of(wrappers, layout))
    inside = list[Adapter]()
    estimates = list[Mapping[str, object]]()
    for wrapper in wrappers:
        values: Mapping[str, object] = {}
        if wrapper.estimated:
            observed = [*_random_episodes(task, wrapper.estimated, seed), *episodes]
            rows = [adapt_episode(inside, episode) for episode in observed]
            values = wrapper.estimate(np.concatenate(rows))
        estimates.append(values)
        if wrapper.scope == "policy":
            inside.append(next(adapters))
            inside[-1].load(values)
    return estimates


def _random_episodes(task: Task, steps: int, seed: int) -> list[NDArray[np.generic]]:
    """Return the observed numbers of random episodes, (T, D) each, `steps` rows in all."""
    episodes = [list[NDArray[np.generic]]()]
    with closing(make_environment(task)) as environment:
        policy = RandomPolicy(environment.action_space)
        observation, _ = environment.reset(seed=seed)
        policy.reset(seed)
        for _ in range(steps):
            is_dict = isinstance(observation, dict)
            episodes[-1].append(observation[OBSERVATION] if is_dict else observation)
            observation, _, ended, cut, _ = environment.step(policy.act(observation))
            if ended or cut:
                observation, _ = environment.reset()
                episodes.append([])
    return [np.stack(rows) for rows in episodes if rows]
