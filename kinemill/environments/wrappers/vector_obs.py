"""One vector of all numbers that an environment observes in parts, such as position and goal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from pydantic import Field

from kinemill.environments.gym_types import Env, Space
from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import MASK, OBSERVATION
from kinemill.task.environment import WRAPPERS, Wrapper

IMAGE = "image"  # the name of a picture that is all that is observed


@WRAPPERS.register("vector_obs")
class VectorObs(Wrapper):
    """Flattens numbers and choices, in dicts and tuples; images, texts (uint8) and the mask stay.

    A choice is one number for each of its values, 1 for the one that is observed.
    """

    type: Literal["vector_obs"] = "vector_obs"
    keys: list[str] | None = Field(
        default=None,
        description="parts of the observation, in this order; default: all, sorted by name",
    )

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with one vector `observation`, its parts named `part_index`.

        Raises:
            BadInput: there is no part of that name, or a part is neither numbers nor choices.
        """
        from gymnasium.spaces import Dict
        from gymnasium.wrappers import TransformObservation

        del estimates
        space: Any = environment.observation_space
        parts = dict(_flat(space, _name_of(space)))
        numbers = [name for name in parts if not _is_media(name, parts[name])]
        keys = self.keys if self.keys is not None else numbers
        if lost := [name for name in keys if name not in numbers]:
            where = f"environment.wrappers: vector_obs: {lost[0]}"
            raise BadInput(where, "is no part with numbers", expected=", ".join(numbers) or "none")
        media = {name: parts[name] for name in parts if name not in numbers}
        vectors = {OBSERVATION: _vector([parts[name] for name in keys])} if keys else {}

        def change(observation: object) -> object:
            values = dict(_values(space, observation, _name_of(space)))
            if not keys:
                return {name: values[name] for name in media}
            joined = _joined([(parts[name], values[name]) for name in keys])
            return (
                {OBSERVATION: joined, **{name: values[name] for name in media}} if media else joined
            )

        whole = Dict({**vectors, **media}) if media else vectors[OBSERVATION]
        wrapped = TransformObservation(environment, change, whole)
        wrapped.observation_names = tuple(  # pyright: ignore[reportAttributeAccessIssue]
            name for part in keys for name in _names(part, parts[part])
        )
        return wrapped


def _name_of(space: object) -> str:
    """Return the name of the only part of an observation that is not made of parts."""
    return IMAGE if _is_media("", space) else OBSERVATION


def _is_media(name: str, space: object) -> bool:
    from gymnasium.spaces import Box

    picture = isinstance(space, Box) and space.dtype == "uint8" and len(space.shape) in (1, 3)
    return picture or name == MASK


def _vector(parts: Sequence[object]) -> Box[np.float32]:
    """Return the space of parts that are put one after the other, float32."""
    import numpy as np
    from gymnasium.spaces import Box
    from gymnasium.spaces.utils import flatten_space

    flat = [flatten_space(part) for part in parts]
    low, high = (np.concatenate([getattr(part, end) for part in flat]) for end in ("low", "high"))
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def _joined(parts: list[tuple[object, object]]) -> NDArray[np.float32]:
    import numpy as np
    from gymnasium.spaces.utils import flatten

    values = [np.asarray(flatten(space, value), np.float32) for space, value in parts]
    return np.concatenate([part.reshape(-1) for part in values])


def _names(name: str, space: object) -> list[str]:
    from gymnasium.spaces import Box
    from gymnasium.spaces.utils import flatdim

    if isinstance(space, Box) and space.shape == ():
        return [name]
    return [f"{name}_{index}" for index in range(flatdim(space))]


def _inside(space: object) -> Iterable[tuple[str | int, Space]] | None:
    """Return the spaces inside of a dict or a tuple, by key; None: it has no parts."""
    from gymnasium.spaces import Dict, Tuple

    if isinstance(space, Dict):
        return space.spaces.items()
    return enumerate(space.spaces) if isinstance(space, Tuple) else None


def _flat(space: Space, alone: str, prefix: str = "") -> Iterator[tuple[str, Space]]:
    """Yield the name and the space of each part; names of parts inside parts are joined by `_`."""
    inside = _inside(space)
    if inside is not None:
        for key, inner in inside:
            yield from _flat(inner, alone, f"{prefix}_{key}" if prefix else str(key))
        return
    name = prefix or alone
    if not _is_media(name, space) and not _is_numbers(space):
        where = f"environment.wrappers: vector_obs: {name}"
        raise BadInput(where, f"is {space}", expected="numbers or choices")
    yield name, space


def _is_numbers(space: object) -> bool:
    from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

    return isinstance(space, Box | Discrete | MultiBinary | MultiDiscrete)


def _values(
    space: object, observation: Any, alone: str, prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    inside = _inside(space)
    if inside is None:
        yield prefix or alone, observation
        return
    for key, inner in inside:
        name = f"{prefix}_{key}" if prefix else str(key)
        yield from _values(inner, observation[key], alone, name)
