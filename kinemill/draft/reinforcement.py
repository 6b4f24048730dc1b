"""Reinforcement drafts: a task that learns a policy in an environment, without logs.

Observations, actions, time step and goal are read from the environment itself, and episodes of
random actions check it. The algorithm is that of `zoo.yaml`, else it follows from the actions: SAC
for numbers with limits, PPO for choices and for numbers without; PPO for a robot in MJCF as well,
whose copies run in parallel.
"""

import os
import re
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kinemill.draft.constants import (
    RANDOM_EPISODES,
    RANDOM_MOST_STEPS,
    RANDOM_UNEVEN,
    ROBOT_DT,
    ROBOT_SECONDS,
)
from kinemill.draft.environment_writer import (
    EnvironmentDraft,
    write_environment_task,
)
from kinemill.draft.mechanism import is_legged, mechanism_draft
from kinemill.errors import BadInput, KinemillError
from kinemill.ingest.clock import Floats
from kinemill.ingest.file_stat import is_file
from kinemill.policies.environments.evaluation import RandomPolicy, Trials, try_policy
from kinemill.policies.environments.factory import make_environment
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.layout import layout_of
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.store.project import project_root
from kinemill.task import Task, load_task
from kinemill.task.yaml import dump_line, read_yaml
from kinemill.tracking.throughput import duration

_GYMNASIUM = re.compile(r"-v\d+\Z")  # end of an id
_FIRST = "none yet"
_PATHS = ("path", "model", "robot")  # settings that name a file
_ZOO = Path(__file__).with_name("zoo.yaml")
_PARALLEL = ("legged", "mujoco")  # environments of which many copies run at a time


@dataclass(frozen=True)
class CheckedEnvironment:
    """A draft, checked with random actions.

    Attributes:
        draft: the draft.
        task: the task.
        trials: results of the episodes of random actions.
        pace: environment steps per second in them.
    """

    draft: EnvironmentDraft
    task: Task
    trials: Trials
    pace: float

    @property
    def text(self) -> str:
        """Its task file."""
        return write_environment_task(self.draft)

    @property
    def budget(self) -> str:
        """Steps of the training, and the time of its environment alone."""
        steps = self.draft.steps
        return (
            f"budget: {steps:,} steps; the environment alone takes {duration(steps / self.pace)} "
            "in one process, and the training states its time after its first updates; "
            "--with training=quick is a short trial"
        )

    def text_in(self, folder: Path) -> str:
        """Return the task file for a folder, with paths relative to it in the same project."""
        root = project_root()
        if root is None or not folder.is_relative_to(root):
            return self.text
        settings = {
            key: os.path.relpath(value, folder)
            if key in _PATHS and Path(value).is_absolute() and Path(value).is_relative_to(root)
            else value
            for key, value in self.draft.settings.items()
        }
        return write_environment_task(replace(self.draft, settings=settings))


def build_reinforcement(name: str, environment: str) -> CheckedEnvironment:
    """Draft a reinforcement task, and run episodes of random actions in its environment.

    Args:
        name: name of the new task.
        environment: a Gymnasium id, an MJCF or URDF file, or `file.py:Class`.

    Raises:
        BadInput: The environment cannot be made, or no policy can learn in it.
    """
    draft = _first(name, environment)
    with closing(make_environment(_task_of(draft))) as bare:
        draft = _with_limit(draft, bare)
        dt, source = _time_step(bare, draft)
    draft = replace(draft, dt=dt, dt_source=source)
    task = _task_of(draft)
    with closing(make_environment(task)) as limited:
        draft = replace(draft, layout=layout_of(task, limited))
    task = _task_of(draft)
    began = time.perf_counter()
    trials = _try(task)
    pace = sum(trials.lengths) / (time.perf_counter() - began)
    draft = _with_algorithm(draft, task, trials)
    return CheckedEnvironment(draft, _task_of(draft), trials, pace)


def _first(name: str, environment: str) -> EnvironmentDraft:
    """Return a draft with the environment's settings alone."""
    if environment.lower().endswith((".xml", ".mjcf", ".urdf")):
        return _of_model(name, environment)
    if _GYMNASIUM.search(environment):
        settings = {"type": "gymnasium", "id": environment}
    elif ":" in environment:
        source, _, attribute = environment.rpartition(":")
        module = str(Path(source).absolute()) if source.endswith(".py") else source
        settings = {"type": "python", "path": f"{module}:{attribute}"}
    else:
        raise BadInput(
            f"--env {environment}",
            "is not an environment",
            expected="a Gymnasium id such as CartPole-v1, an MJCF or URDF file, or file.py:Class",
        )
    return EnvironmentDraft(name, environment, settings, 1.0, _FIRST)


def _of_model(name: str, environment: str) -> EnvironmentDraft:
    """Return the draft of a legged robot, or of another machine, by its model file."""
    path = Path(environment).absolute()
    if is_file(path) and not is_legged(path):
        return replace(mechanism_draft(name, path, ROBOT_DT), title=environment)
    from kinemill.policies.environments.legged.body import load_body

    body = load_body(path)
    dt = body.step * max(1, round(ROBOT_DT / body.step))
    settings: Json = {"type": "legged", "robot": str(path), "steps": round(ROBOT_SECONDS / dt)}
    return EnvironmentDraft(name, environment, settings, dt, "a multiple of the physics'")


def _task_of(draft: EnvironmentDraft) -> Task:
    with TemporaryDirectory(prefix="kinemill-draft-") as folder:
        path = Path(folder) / f"{draft.name}.yaml"
        path.write_text(write_environment_task(draft), encoding="utf-8")
        return load_task(path)


def _with_limit(draft: EnvironmentDraft, environment: Env) -> EnvironmentDraft:
    """Limit the steps of an episode where the environment does not."""
    spec = environment.spec
    settings = dict(draft.settings)
    if "steps" not in settings and (spec is None or spec.max_episode_steps is None):
        settings["steps"] = RANDOM_MOST_STEPS
    return replace(draft, settings=settings)


def _time_step(environment: Env, draft: EnvironmentDraft) -> tuple[float, str]:
    """Return the time step, s, that an environment states, and how."""
    if draft.dt_source != _FIRST:
        return draft.dt, draft.dt_source
    for name in ("dt", "tau"):
        if environment.has_wrapper_attr(name):
            value = environment.get_wrapper_attr(name)
            if isinstance(value, int | float) and value > 0.0:
                return float(f"{value:.12g}"), f"`{name}` of the environment"
    fps = environment.metadata.get("render_fps")
    if isinstance(fps, int | float) and fps > 0.0:
        return float(f"{1.0 / fps:.12g}"), "a frame of its pictures"
    return 1.0, "unknown: the environment states none"


def _try(task: Task) -> Trials:
    """Run episodes of random actions.

    Raises:
        BadInput: The environment fails, or a return or an observation is not finite.
    """
    where = f"environment of {task.name}"
    with closing(make_environment(task)) as environment:
        policy = RandomPolicy(environment.action_space)
        episodes = 1 if layout_of(task, environment).images else RANDOM_EPISODES  # drawing is slow
    try:
        trials = try_policy(task, policy, range(episodes), record=episodes)
    except KinemillError:
        raise
    except Exception as error:
        raise BadInput(
            where,
            f"`reset` or `step` fails with random actions: {type(error).__name__}: {error}",
            expected="(observation, info), and (observation, reward, terminated, truncated, info)",
            fix="correct it; gymnasium.utils.env_checker.check_env lists what is wrong",
        ) from error
    numbers = _numbers(trials)
    if not all(np.isfinite(values).all() for values in (trials.returns, *numbers)):
        raise BadInput(
            where,
            "random actions lead to a reward or an observation that is not finite",
            expected="finite numbers",
            fix="correct what `step` returns",
        )
    names = trials.episodes[0].layout.observation
    if any(number.shape[1:] != (len(names),) for number in numbers if names):
        shapes = {number.shape[1:] for number in numbers}
        raise BadInput(
            where,
            f"observations have the shape {', '.join(map(str, shapes))}",
            expected=f"({len(names)},), as `observation_space` states",
            fix="correct the space, or what `reset` and `step` return",
        )
    return trials


def _with_algorithm(draft: EnvironmentDraft, task: Task, trials: Trials) -> EnvironmentDraft:
    """Choose the algorithm, the wrappers of the policy, and the budget."""
    layout = trials.episodes[0].layout
    with closing(make_environment(task)) as environment:
        space: Any = environment.action_space
        spec = environment.spec
    is_bounded = not (any(layout.choices) or layout.agents) and bool(space.is_bounded())
    off_policy = is_bounded and draft.settings["type"] not in _PARALLEL and not layout.images
    limit = draft.settings.get("steps") or (spec.max_episode_steps if spec else None)
    limit = min(int(limit or RANDOM_MOST_STEPS), RANDOM_MOST_STEPS)
    wrappers = list(draft.settings.get("wrappers", []))
    if _is_uneven(trials) and not layout.agents:
        wrappers.append("normalize_observation")
    settings = dict(draft.settings)
    if layout.images:
        wrappers.append("frame_stack")
        settings["trials"] = {"episodes": 10, "n_eval_episodes": 5}
    if off_policy:
        why = "sac, as actions are numbers with limits"
        algorithm = _sac(len(layout.observation))
        steps = int(np.clip(100 * limit, 20_000, 300_000))
    else:
        kind = "maskable_ppo" if layout.mask and not layout.agents else "ppo"
        why = f"{kind}, as {_why_on_policy(layout)}"
        algorithm = _ppo(kind, layout)
        steps = int(np.clip(300 * limit, 100_000, 1_000_000))
        wrappers += ["action_scaling"] if is_bounded else []
    if tuned := read_yaml(_ZOO).value.get(draft.settings.get("id")):
        why = f"{tuned['learn']['algorithm']['type']}, with the settings of rl-baselines3-zoo"
        algorithm = tuple(f"  {key}: {dump_line(value)}" for key, value in tuned["learn"].items())
        wrappers = tuned.get("wrappers", [])
        steps = tuned["steps"]
    settings |= {"wrappers": wrappers} if wrappers else {}
    target = spec.reward_threshold if spec else None
    remarks = [
        *draft.notes,
        f"algorithm: {why}",
        *([f"wrappers: {', '.join(map(dump_line, wrappers))}"] if wrappers else []),
        _spell_goal(target),
        _spell_trials(trials),
        *_spell_exceeded(trials),
    ]
    return replace(
        draft, settings=settings, algorithm=algorithm, target=target, steps=steps, remarks=remarks
    )


def _why_on_policy(layout: PolicyLayout) -> str:
    if layout.images:
        return "observations are images, and a replay buffer of them is large"
    if layout.agents:
        return f"{len(layout.agents)} agents act in turns"
    if layout.is_mixed:
        return "actions are numbers and choices"
    return f"actions are {'choices' if any(layout.choices) else 'numbers'}"


def _spell_goal(target: float | None) -> str:
    if target is None:
        return "goal: none stated; the training uses its budget, or set learn.target"
    return f"goal: a mean return of {target:g}, the environment's reward threshold"


def _spell_trials(trials: Trials) -> str:
    success = "" if trials.success is None else f", success {trials.success:.0%}"
    count = len(trials.returns)
    length = np.mean(trials.lengths)
    return (
        f"random actions: mean return {trials.mean_return:.4g} in {count} episodes of "
        f"{length:.0f} steps{success}"
    )


def _spell_exceeded(trials: Trials) -> list[str]:
    """Return a remark on the observations that leave their space in the trials, if any."""
    layout = trials.episodes[0].layout
    if not layout.observation:
        return []
    exceeded = [
        f"{name} ({values.min():.4g} to {values.max():.4g})"
        for name, values in zip(layout.observation, np.concatenate(_numbers(trials)).T, strict=True)
        if (ends := layout.limits.get(name)) and (values.min() < ends[0] or values.max() > ends[1])
    ]
    if not exceeded:
        return []
    named = ", ".join(exceeded[:3])
    return [f"observations outside of their space: {named}, correct observation_space"]


def _numbers(trials: Trials) -> list[Floats]:
    """Return the observed numbers (n, D) of each episode; [] if all observations are images."""
    observations = [episode.observations.get("observation") for episode in trials.episodes]
    return [np.asarray(numbers, np.float64) for numbers in observations if numbers is not None]


def _is_uneven(trials: Trials) -> bool:
    """Return whether observations of random actions differ much in their standard deviations."""
    if not (numbers := _numbers(trials)):
        return False
    std = np.concatenate(numbers).std(axis=0)
    stds = std[std > 1e-9]
    return bool(len(stds)) and bool(stds.max() > RANDOM_UNEVEN * max(1.0, float(stds.min())))


def _sac(inputs: int) -> tuple[str, ...]:
    return (
        "  algorithm: {type: sac}",
        f"  model: {{type: mlp, hidden_sizes: {_hidden(inputs)}, activation: relu}}",
        "  optimizer: {type: adam, lr: 1e-3}",
        "  batch_size: 256",
    )


def _ppo(kind: str, layout: PolicyLayout) -> tuple[str, ...]:
    """Return lines of `learn`; actor and critic share the encoder of images."""
    epochs, more, rate = (4, ", critic: shared", "3e-4") if layout.images else (10, "", "1e-3")
    return (
        f"  algorithm: {{type: {kind}, n_steps: 128, n_epochs: {epochs}{more}}}",
        f"  model: {{type: mlp, hidden_sizes: {_hidden(len(layout.observation))}}}",
        f"  optimizer: {{type: adam, lr: {rate}, eps: 1e-5}}",
        "  num_envs: 8",
        "  batch_size: 256",
    )


def _hidden(inputs: int) -> list[int]:
    return [64, 64] if inputs <= 16 else [256, 256]
