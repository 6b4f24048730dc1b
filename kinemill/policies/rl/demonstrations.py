"""Demonstrations for reinforcement learning: episodes of a trained policy or of a dataset.

Symbols: T steps of an episode, D numbers observed, A actions, M choices.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemill.dataset.description import DESCRIPTION
from kinemill.errors import BadInput
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.evaluation import run_episode
from kinemill.policies.environments.layout import actions_text
from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task, WarmStart
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import as_policy
from kinemill.train.warm_start import load_model

_DT_TOLERANCE = 1e-6  # relative


@dataclass(frozen=True)
class Episode:
    """A demonstrated episode, in task units.

    Attributes:
        inputs: observations by input of a policy: (T, ...), or (T+1, ...) with rewards.
        actions: (T, A) in task units; choices as numbers.
        rewards: rewards of the environment, (T,); None: unknown.
        terminated: whether the episode reached a terminal state and was not truncated.
    """

    inputs: dict[str, NDArray[np.generic]]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float64] | None = None
    terminated: bool = False


def is_dataset(start: WarmStart) -> bool:
    """Return whether a warm start is a dataset of demonstrations instead of a model."""
    return (Path(start.folder) / DESCRIPTION).is_file()


def demonstrated(
    task: Task, layout: PolicyLayout, start: WarmStart, seeds: Sequence[int]
) -> list[Episode]:
    """Return the training episodes of a dataset, or one episode of a policy from each seed.

    `seeds` are those of the initial states of a policy's episodes.

    Raises:
        BadInput: The observations, actions or time step differ from those of the task.
    """
    where = f"learn.start_from: {start.address}"
    if layout.agents:
        raise BadInput("learn.pretrain", "agents that act in turns have no demonstrations")
    if is_dataset(start):
        return _of_dataset(where, layout, start)
    return _of_policy(where, task, layout, start, seeds)


def _of_policy(
    where: str, task: Task, layout: PolicyLayout, start: WarmStart, seeds: Sequence[int]
) -> list[Episode]:
    module = load_model(Path(start.folder))
    if not isinstance(module, PolicyModule):
        raise BadInput(where, "is a dynamics model", expected="a policy")
    source = module.layout
    if source.texts:
        expected = "a policy without texts; reinforcement learning does not read them"
        raise BadInput(where, f"reads {', '.join(source.texts)}", expected=expected)
    if source.agents:
        raise BadInput(where, "acts for agents in turns", expected="a policy of one agent")
    require_time_step(where, source.dt, layout.dt)
    require_names(where, "observations", source.observation, layout.observation, partial=True)
    require_names(where, "images", source.images, layout.images, partial=True)
    require_names(where, "actions", source.actions, layout.actions)
    _require_equal(where, "image sizes", source.images, layout.images)
    if actions_text(source.actions, source.choices) != actions_text(layout.actions, layout.choices):
        expected = f"those of the task, {actions_text(layout.actions, layout.choices)}"
        raise BadInput(
            where,
            f"has the actions {actions_text(source.actions, source.choices)}",
            expected=expected,
        )
    _require_equal(where, "units", source.units, layout.units)
    policy = as_policy(module, task.name)
    with closing(make_environment(task)) as environment:
        runs = [run_episode(task, environment, policy, seed) for seed in seeds]
    return [
        Episode(
            run.observations,
            run.actions.reshape(len(run.rewards), -1).astype(np.float32),
            run.rewards,
            run.terminated,
        )
        for run in runs
    ]


def _of_dataset(where: str, layout: PolicyLayout, start: WarmStart) -> list[Episode]:
    folder = Path(start.folder)
    home = Home(folder.parents[3])  # store/dataset/TASK/KEY
    ref = ArtifactRef(folder.relative_to(home.root).as_posix(), start.digest)
    data = Demonstrations.open(home, ref)
    require_time_step(where, data.packed.dt, layout.dt)
    numbers = [name for name, role in data.roles.items() if role == "observation"]
    images = [name for name, role in data.roles.items() if role == "image"]
    observed = [*data.packed.states, *numbers]
    require_names(where, "observations", layout.observation, observed, partial=True, of_task=True)
    require_names(where, "images", list(layout.images), images, partial=True, of_task=True)
    require_names(where, "actions", data.packed.actions, layout.actions)
    _require_equal(where, "units", data.packed.units, layout.units)
    columns = [data.packed.actions.index(name) for name in layout.actions]
    observations = data.observed(layout.observation) if layout.observation else None
    episodes = list[Episode]()
    for span in data.packed.of("train"):
        rows = np.arange(span.start, span.stop)
        inputs: dict[str, NDArray[np.generic]] = (
            {} if observations is None else {OBSERVATION: observations[rows]}
        )
        inputs |= {name: data.pictures(name, rows).numpy() for name in layout.images}
        episodes.append(Episode(inputs, np.asarray(data.actions[rows][:, columns], np.float32)))
        if any(inputs[name].shape[1:] != shape for name, shape in layout.images.items()):
            raise BadInput(where, "has images of another size", expected=str(layout.images))
    return episodes


def require_time_step(where: str, actual: float, expected: float) -> None:
    """Check that demonstrations have the time step of a task, s.

    Raises:
        BadInput: The time steps differ.
    """
    if abs(actual - expected) > _DT_TOLERANCE * expected:
        raise BadInput(where, f"has the time step {actual:g} s", expected=f"dt: {expected:g}")


def require_names(
    where: str,
    kind: str,
    required: Iterable[str],
    available: Iterable[str],
    *,
    partial: bool = False,
    of_task: bool = False,
) -> None:
    """Check that the required names exist.

    `kind` is a plural noun. With `partial`, further names are allowed; `of_task` states that the
    task requires the names, not the demonstrations.

    Raises:
        BadInput: Names are missing or, unless `partial`, superfluous.
    """
    required = list(required)
    available = list(available)
    missing = [name for name in required if name not in available]
    extra = [] if partial else [name for name in available if name not in required]
    if not missing and not extra:
        return
    if of_task:
        problem = f"lacks the {kind} {', '.join(missing)} of the task"
    else:
        parts = [f"has the {kind} {', '.join(missing)}, unknown to the task"] if missing else []
        parts += [f"lacks the {kind} {', '.join(extra)} of the task"] if extra else []
        problem = " and ".join(parts)
    names = ", ".join(available) or "none"
    fix = "use the same channel names in both tasks"
    whose = "the demonstrations have" if of_task else "the task has"
    raise BadInput(where, problem, expected=f"{whose} {names}", fix=fix)


def _require_equal(
    where: str, kind: str, actual: Mapping[str, object], expected: Mapping[str, object]
) -> None:
    """Check that common entries are equal; the unit 1 matches any unit."""
    for name in {*actual} & {*expected}:
        if actual[name] != expected[name] and "1" not in (actual[name], expected[name]):
            raise BadInput(
                where,
                f"has other {kind}: {name} is {actual[name]}",
                expected=f"{name}: {expected[name]}",
            )


def masks_of(episodes: Sequence[Episode]) -> NDArray[np.float32] | None:
    """Return the action masks at all steps, (N, M); None if unknown."""
    if any(MASK not in episode.inputs for episode in episodes):
        return None
    rows = [episode.inputs[MASK][: len(episode.actions)] for episode in episodes]
    return np.concatenate(rows).astype(np.float32)
