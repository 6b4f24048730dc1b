"""Native spaces of Gymnasium environments: described for a policy, and flattened for it.

`standard_spaces` is the rule of every environment of a task: its policy receives a vector, images
and a mask, and returns a vector.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.spaces.utils import flatten_space
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env, Space
from kinemill.registry import require_known
from kinemill.runtime.native_spaces import NativeSpace, decode, encode, named_parts
from kinemill.runtime.policy_layout import MASK, OBSERVATION

_LEAST_SIDE = 8  # pixels of the sides of a matrix of uint8 that is an image
_IMAGE_AXES = (2, 3, 4)


def standard_spaces(environment: Env) -> Env:
    """Return an environment whose spaces a policy can have, flattened where they are others.

    Raises:
        BadInput: A part is of no fixed size, such as a `Sequence`.
    """
    if not _is_standard_observation(environment.observation_space):
        environment = FlatObservation(environment)
    if not _is_standard_action(environment.action_space):
        environment = FlatAction(environment)
    return environment


def _is_standard_observation(space: Space) -> bool:
    """Return whether an observation is one vector, or a dict of a vector, images, texts, mask."""
    parts = dict(space.spaces) if isinstance(space, Dict) else {OBSERVATION: space}
    return all(_is_standard_part(name, part) for name, part in parts.items())


def _is_standard_part(name: str, space: Space) -> bool:
    if not isinstance(space, Box | MultiBinary):
        return False
    if name in (OBSERVATION, MASK):
        return len(space.shape) == 1 and (name == MASK or isinstance(space, Box))
    native = space_of(space, name)
    return native.kind == "text" or (native.kind == "image" and native.image_shape == space.shape)


def _is_standard_action(space: Space) -> bool:
    if isinstance(space, Box):
        return len(space.shape) == 1 and space.dtype.kind == "f"
    if isinstance(space, Discrete):
        return int(space.start) == 0
    return isinstance(space, MultiDiscrete) and space.nvec.ndim == 1 and not space.start.any()


def space_of(space: Space, name: str = OBSERVATION) -> NativeSpace:
    """Return the description of a space of observations.

    Raises:
        BadInput: A part has no fixed size.
    """
    if name == MASK:
        return NativeSpace("mask", parts=(_inner(space, name, _number_space),))
    return _inner(space, name, _observed_space)


def action_space_of(space: Space) -> NativeSpace:
    """Return the description of a space of actions; `MultiBinary` is choices of 0 and 1.

    Raises:
        BadInput: A part is neither numbers nor choices.
    """
    return _inner(space, "action", _acted_space)


def _inner(space: Space, name: str, leaf: Callable[[Space, str], NativeSpace]) -> NativeSpace:
    """Return the description of a space with its parts; `leaf` describes one without parts."""
    if isinstance(space, Dict | Tuple):
        items = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
        pairs = [(str(key), part) for key, part in items]
        below = leaf if leaf is not _observed_space else None
        parts = tuple(
            space_of(part, key) if below is None else _inner(part, f"{name}_{key}", below)
            for key, part in pairs
        )
        keys = tuple(key for key, _ in pairs) if isinstance(space, Dict) else ()
        return NativeSpace("dict" if keys else "tuple", keys=keys, parts=parts)
    return leaf(space, name)


def _observed_space(space: Space, name: str) -> NativeSpace:
    if isinstance(space, Box) and space.dtype == np.uint8:
        if len(space.shape) == 1 and name != OBSERVATION:
            return NativeSpace("text", space.shape, "uint8")
        if _is_image(space):
            return NativeSpace("image", space.shape, "uint8")
    if getattr(space.dtype, "kind", "") in ("U", "S"):
        return NativeSpace("string")
    if isinstance(space, Discrete | MultiDiscrete):
        return _choices(space)
    return _number_space(space, name)


def _is_image(space: Space) -> bool:
    shape = space.shape or ()
    if len(shape) == 3:
        return True
    is_large = len(shape) in _IMAGE_AXES and min(shape[-2:]) >= _LEAST_SIDE
    return is_large or (len(shape) == 4 and min(shape[1:3]) >= _LEAST_SIDE)


def _number_space(space: Space, name: str) -> NativeSpace:
    if isinstance(space, Box | MultiBinary):
        return NativeSpace("numbers", tuple(space.shape), str(space.dtype))
    raise BadInput(
        f"environment: {name}",
        f"is {space}",
        expected="numbers, choices, images or texts, in dicts and tuples",
        fix="wrap the environment so that it has a fixed size",
    )


def _acted_space(space: Space, name: str) -> NativeSpace:
    if isinstance(space, Discrete | MultiDiscrete):
        return _choices(space)
    if isinstance(space, MultiBinary):
        count = int(np.prod(space.shape))
        kind = str(space.dtype)
        return NativeSpace("choices", tuple(space.shape), kind, (2,) * count, (0,) * count)
    return _number_space(space, name)


def _choices(space: Discrete | MultiDiscrete) -> NativeSpace:
    counts = np.ravel(space.n if isinstance(space, Discrete) else space.nvec)
    return NativeSpace(
        "choices",
        tuple(space.shape or ()),
        str(space.dtype),
        tuple(int(count) for count in counts),
        tuple(int(first) for first in np.ravel(space.start)),
    )


class FlatObservation(gymnasium.ObservationWrapper[object, object, object]):
    """Observes one vector of all numbers and choices, plus images, texts and the mask.

    A choice is one number for each of its values, 1 for the observed one. Strings are left out.

    Args:
        env: the environment.
        keys: parts of the vector, in order; None: all, sorted as in the space.

    Raises:
        BadInput: There is no such part, or a part has no fixed size.
    """

    def __init__(self, env: Env, keys: Sequence[str] | None = None) -> None:
        super().__init__(env)
        self._native = space_of(env.observation_space)
        parts = named_parts(self._native)
        numbers = [name for name, part in parts.items() if part.kind in ("numbers", "choices")]
        for name in keys or ():
            where = f"environment.wrappers: vector_obs: {name}"
            require_known(name, numbers, where, "is no part with numbers")
        self._keys = tuple(numbers if keys is None else keys)
        strings = [name for name, part in parts.items() if part.kind == "string"]
        if strings:
            warnings.warn(f"text observations are ignored: {', '.join(strings)}", stacklevel=2)
        spaces = _policy_spaces(env.observation_space, self._native, self._keys)
        self._alone = OBSERVATION if list(spaces) == [OBSERVATION] else None
        self.observation_space = spaces[OBSERVATION] if self._alone else Dict(spaces)
        self.observation_names = tuple(
            label for name in self._keys for label in numbered(name, parts[name])
        )

    @property
    def native_observation(self) -> tuple[NativeSpace, tuple[str, ...]]:
        """Space of the environment inside, and the parts of the vector."""
        return self._native, self._keys

    def observation(self, observation: object) -> object:
        """Return the vector, or the vector with images, texts and the mask by name."""
        made = encode(self._native, self._keys, observation)
        return made[OBSERVATION] if self._alone else made


def _policy_spaces(space: Space, native: NativeSpace, keys: Sequence[str]) -> dict[str, Space]:
    """Return the spaces of the inputs of a policy by name.

    Raises:
        BadInput: Nothing is left to observe.
    """
    parts = named_parts(native)
    spaces = dict[str, Space]()
    original = dict(zip(parts, part_spaces(space, native), strict=True))
    if keys:
        flat = [flatten_space(original[name]) for name in keys]
        low, high = (np.concatenate([getattr(box, end) for box in flat]) for end in ("low", "high"))
        spaces[OBSERVATION] = Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
    for name, part in parts.items():
        if part.kind == "image":
            spaces[name] = Box(0, 255, part.image_shape, np.uint8)
        elif part.kind in ("text", "mask"):
            kind = np.uint8 if part.kind == "text" else np.int8
            spaces[name] = Box(0, 255 if part.kind == "text" else 1, (part.size,), kind)
    if not set(spaces) - {MASK}:
        raise BadInput("environment: observation", f"is {space}", expected="numbers or images")
    return spaces


def part_spaces(space: Space, native: NativeSpace) -> list[Space]:
    """Return the Gymnasium spaces of the parts without parts, in the order of `named_parts`."""
    if native.kind not in ("dict", "tuple"):
        return [space]
    inside = space.spaces.values() if isinstance(space, Dict) else getattr(space, "spaces", ())
    pairs = zip(inside, native.parts, strict=True)
    return [leaf for inner, part in pairs for leaf in part_spaces(inner, part)]


def numbered(name: str, part: NativeSpace) -> list[str]:
    """Return a name for each number of a part of an observation."""
    if part.kind == "numbers" and not part.shape:
        return [name]
    return [f"{name}_{index}" for index in range(part.size)]


class MixedBox(Box[np.float32]):
    """Actions (A,) of numbers and choices: a choice is a whole number from 0.

    Args:
        low: (A,).
        high: (A,).
        choices: number of choices of each action; 0 for a number.
    """

    def __init__(
        self, low: NDArray[np.float32], high: NDArray[np.float32], choices: Sequence[int]
    ) -> None:
        super().__init__(low, high, dtype=np.float32)
        self.choices = tuple(choices)

    def sample(
        self, mask: NDArray[np.int8] | None = None, probability: None = None
    ) -> NDArray[np.float32]:
        """Draw an action; choices evenly, among those that a mask (M,) allows."""
        values = super().sample(None, probability)
        first = 0
        for index, count in enumerate(self.choices):
            if count:
                # A mask has columns for choices only, so `first` skips the numbers.
                allowed = np.ones(count) if mask is None else mask[first : first + count]
                values[index] = self.np_random.choice(np.flatnonzero(allowed))
                first += count
        return values


class FlatAction(gymnasium.ActionWrapper[object, object, object]):
    """Takes one vector (A,) for actions of any space.

    It is `Box` for numbers, `Discrete` or `MultiDiscrete` for choices, and `MixedBox` for both.

    Raises:
        BadInput: A part is neither numbers nor choices.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        block = action_block(env.action_space)
        self.native_action = block.space
        if block.space.parts:
            self.action_names = block.names
        self.action_space = flat_actions(block.low, block.high, block.choices)

    def action(self, action: object) -> object:
        """Return the native action for an action (A,), or a single choice."""
        return decode(self.native_action, action)


@dataclass(frozen=True)
class ActionBlock:
    """A space of actions as a vector (A,).

    Attributes:
        space: its description.
        names: of the values.
        low: lowest values (A,).
        high: highest values (A,).
        choices: number of choices of each value; 0 for a number.
    """

    space: NativeSpace
    names: tuple[str, ...]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    choices: tuple[int, ...]


def action_block(space: Space) -> ActionBlock:
    """Return the vector of a space of actions.

    Raises:
        BadInput: A part is neither numbers nor choices.
    """
    native = action_space_of(space)
    names = []
    low = []
    high = []
    choices = []
    parts = named_parts(native).items()
    for leaf, (name, part) in zip(part_spaces(space, native), parts, strict=True):
        ends = _ends(leaf, part)
        counts = part.choices or (0,) * len(ends[0])
        low = [*low, *ends[0]]
        high = [*high, *ends[1]]
        choices = [*choices, *counts]
        names += _action_names(name if native.parts else "action", part, len(counts))
    ends = np.asarray([low, high], np.float32)
    return ActionBlock(native, tuple(names), ends[0], ends[1], tuple(choices))


def _ends(space: Space, part: NativeSpace) -> tuple[list[float], list[float]]:
    if part.kind == "choices":
        return [0.0] * len(part.choices), [count - 1.0 for count in part.choices]
    low, high = (np.ravel(getattr(space, end)).tolist() for end in ("low", "high"))
    return low, high


def _action_names(name: str, part: NativeSpace, count: int) -> list[str]:
    return [name] if not part.shape else [f"{name}_{index}" for index in range(count)]


def flat_actions(
    low: NDArray[np.float32], high: NDArray[np.float32], choices: Sequence[int]
) -> Space:
    """Return the space of vectors (A,): numbers within limits, choices, or both."""
    if not any(choices):
        return Box(low, high, dtype=np.float32)
    if not all(choices):
        return MixedBox(low, high, choices)
    return Discrete(choices[0]) if len(choices) == 1 else MultiDiscrete(list(choices))
