"""Names, order, units and limits of a policy's observations and actions in an environment."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.runtime.native_spaces import NativeSpaces
from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout
from kinemill.task.channels import with_roles
from kinemill.task.document import Task

Array = NDArray[Any]


def layout_of(task: Task, environment: Env) -> PolicyLayout:
    """Return observations and actions of a policy, named after the task's channels or the spaces.

    An environment may define `observation_names`, `action_names` and `units` (by name).

    Raises:
        BadInput: a space that no policy can act in, or not as many numbers as channels.
    """
    spaces = _spaces(environment.observation_space)
    vector = spaces.get(OBSERVATION)
    observation_names = (
        () if vector is None else _names(task, environment, "observation", vector.shape[0])
    )
    acted, choices = _actions(task, environment)
    limits = _limits(vector, observation_names) if vector is not None else {}
    if not all(choices):
        ends = _limits(environment.action_space, acted)
        numbers = [name for name, count in zip(acted, choices, strict=True) if not count]
        limits |= {name: ends[name] for name in numbers if name in ends}
    given_units = _attribute(environment, "units", {})
    units = {
        name: task.channels[name].unit if name in task.channels else given_units.get(name, "1")
        for name in (*observation_names, *acted)
    }
    limits |= {
        name: ends
        for name in observation_names
        if name in task.channels and (ends := task.channels[name].limits) is not None
    }
    media = {key: space for key, space in spaces.items() if key not in (OBSERVATION, MASK)}
    texts = {key: space.shape[0] for key, space in media.items() if len(space.shape) == 1}
    return PolicyLayout(
        dt=task.dt,
        observation=observation_names,
        actions=acted,
        units=units,
        limits=limits,
        choices=choices,
        images={key: space.shape for key, space in media.items() if len(space.shape) == 3},
        texts=texts if task.learn.reads_texts else {},
        mask=spaces[MASK].shape[0] if MASK in spaces else 0,
        native=_native(environment),
        agents=_attribute(environment, "policy_agents", ()),
    )


def action_limits(task: Task, environment: Env, layout: PolicyLayout) -> tuple[Array, Array] | None:
    """Return the lowest and highest action, each shaped as the environment takes it.

    An action obeys the limits of the environment's space and those of the task's channel. It
    returns None where actions are choices.
    """
    from gymnasium.spaces import Box

    space = environment.action_space
    if not isinstance(space, Box):
        return None
    low, high = (np.array(ends).reshape(-1) for ends in (space.low, space.high))
    for index, name in enumerate(layout.actions):
        channel = task.channels.get(name)
        if channel is not None and channel.limits is not None:
            low[index] = max(low[index], _rounded(channel.limits[0], low.dtype, np.inf))
            high[index] = min(high[index], _rounded(channel.limits[1], high.dtype, -np.inf))
    return low.reshape(space.shape), high.reshape(space.shape)


def _rounded(limit: float, kind: np.dtype[np.floating], toward: float) -> np.floating:
    """Return a limit in another precision, rounded in one direction so that it is not exceeded."""
    near = kind.type(limit)
    beyond = float(near) < limit if toward > 0 else float(near) > limit
    return np.nextafter(near, kind.type(toward)) if beyond else near


def _spaces(space: object) -> dict[str, Any]:
    """Return the observation's parts by the names of a policy's inputs.

    Raises:
        BadInput: one of them is neither a vector, nor an image or a text, uint8.
    """
    from gymnasium.spaces import Box, Dict

    parts: dict[str, Any] = dict(space.spaces) if isinstance(space, Dict) else {OBSERVATION: space}
    for name, part in parts.items():
        shape = getattr(part, "shape", None) or ()
        mask = name == MASK
        vector = name == OBSERVATION and isinstance(part, Box) and len(shape) == 1
        media = isinstance(part, Box) and part.dtype == np.uint8 and len(shape) in (1, 3)
        if not (mask or vector or (name != OBSERVATION and media)):
            raise BadInput(
                f"environment: {name}",
                f"is {part}",
                expected="numbers (D,), images (H, W, C) or texts (L,) of uint8",
                fix="flatten it with kinemill.policies.environments.make_environment",
            )
    return parts


def _names(task: Task, environment: Env, what: str, count: int) -> tuple[str, ...]:
    """Return names of the numbers observed or done: channels, the environment's, or numbered.

    An environment's own names count first where they are channels: a policy may see some of them.
    """
    attributes = tuple(_attribute(environment, f"{what}_names", ()))
    named = attributes if attributes and set(attributes) <= set(task.channels) else ()
    names = named or _channels(task, what, count) or attributes
    short = "obs" if what == "observation" else what
    names = tuple(names) or tuple(f"{short}_{index}" for index in range(count))
    if len(names) != count:
        raise BadInput(
            f"task {task.name}: {', '.join(names)}",
            f"the environment has {count} {what} numbers, these are {len(names)}",
            expected="a channel for each, in its order, or none",
        )
    return names


def _channels(task: Task, what: str, count: int) -> tuple[str, ...]:
    """Return the channels that are the numbers: all, or those observed if all are not as many."""
    if what == "action":
        return tuple(task.actions)
    selected: list[str] = getattr(task.learn, "observations", [])
    names = with_roles(task.channels, "state", "observation")
    if selected and len(names) != count:
        names = [name for name in selected if name in names]
    return tuple(names)


def _attribute(environment: Env, name: str, default: object) -> Any:
    has = environment.has_wrapper_attr(name)
    return environment.get_wrapper_attr(name) if has else default


def _native(environment: Env) -> NativeSpaces:
    """Return the spaces of the environment that its wrappers flatten."""
    observation, keys = _attribute(environment, "native_observation", (None, ()))
    return NativeSpaces(observation, keys, _attribute(environment, "native_action", None))


def _actions(task: Task, environment: Env) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return names of the actions, and how many choices each has, 0 for a continuous one.

    Raises:
        BadInput: neither a vector nor choices.
    """
    from gymnasium.spaces import Box, Discrete, MultiDiscrete

    from kinemill.policies.environments.native import MixedBox

    space = environment.action_space
    if isinstance(space, MixedBox):
        choices = space.choices
    elif isinstance(space, Box) and len(space.shape) == 1:
        choices = (0,) * space.shape[0]
    elif isinstance(space, Discrete) and int(space.start) == 0:
        choices = (int(space.n),)
    elif isinstance(space, MultiDiscrete) and space.nvec.ndim == 1:
        choices = tuple(int(count) for count in space.nvec)
    else:
        expected = "Box (A,), Discrete from 0, or MultiDiscrete (A,)"
        raise BadInput("environment: actions", f"are {space}", expected=expected)
    return _names(task, environment, "action", len(choices)), choices


def _limits(space: Any, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    return {
        name: (float(low), float(high))
        for name, low, high in zip(names, space.low, space.high, strict=True)
        if np.isfinite(low) and np.isfinite(high)
    }


def actions_text(names: Sequence[str], choices: Sequence[int]) -> str:
    """Return actions as text, each with its number of choices; no choices: all are numbers."""
    pairs = zip(names, choices or (0,) * len(names), strict=True)
    return ", ".join(f"{name} of {count} choices" if count else name for name, count in pairs)
