"""One vector of all numbers that an environment observes in parts, such as position and goal."""

from collections.abc import Mapping
from typing import Any, Literal

from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import MASK, OBSERVATION
from kinemill.spec.environment import WRAPPERS, Wrapper


@WRAPPERS.register("vector_obs")
class VectorObs(Wrapper):
    """Flattens a dict of numbers; images and texts (uint8) and the mask stay beside it."""

    type: Literal["vector_obs"] = "vector_obs"
    keys: list[str] | None = None  # which parts, in this order; default: all, sorted

    def wrap(self, environment: Any, known: Mapping[str, Any]) -> Any:
        """Return the environment with one vector `observation`, its parts named `part_index`.

        Raises:
            BadInput: there is no part of that name, or a part is no array.
        """
        import numpy as np
        from gymnasium.spaces import Box, Dict
        from gymnasium.wrappers import TransformObservation

        del known
        space: Any = environment.observation_space
        if isinstance(space, Box):
            space = Dict({OBSERVATION: space})
        parts = dict(_flat(space))
        numbers = [name for name in parts if parts[name].dtype != np.uint8 and name != MASK]
        chosen = self.keys if self.keys is not None else numbers
        if lost := [name for name in chosen if name not in numbers]:
            where = f"environment.wrappers: vector_obs: {lost[0]}"
            raise BadInput(where, "is no part with numbers", expected=", ".join(numbers))
        low, high = (
            np.concatenate([getattr(parts[name], end).reshape(-1) for name in chosen])
            for end in ("low", "high")
        )
        vector = Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)
        beside = {name: parts[name] for name in parts if name not in numbers}
        alone = isinstance(environment.observation_space, Box)

        def change(observation: Any) -> Any:
            found = {OBSERVATION: observation} if alone else dict(_values(observation))
            joined = np.concatenate(
                [np.asarray(found[name], np.float32).reshape(-1) for name in chosen]
            )
            return (
                {OBSERVATION: joined, **{name: found[name] for name in beside}}
                if beside
                else joined
            )

        wrapped = TransformObservation(
            environment, change, Dict({OBSERVATION: vector, **beside}) if beside else vector
        )
        wrapped.observation_names = tuple(  # pyright: ignore[reportAttributeAccessIssue]
            f"{name}_{index}" if parts[name].shape != () else name
            for name in chosen
            for index in range(int(np.prod(parts[name].shape)))
        )
        return wrapped


def _flat(space: Any, prefix: str = "") -> Any:
    """Yield (name, Box) of each part, those of dicts inside dicts joined by `_`."""
    from gymnasium.spaces import Box, Dict

    for name, inner in space.spaces.items():
        if isinstance(inner, Dict):
            yield from _flat(inner, f"{prefix}{name}_")
        elif isinstance(inner, Box):
            yield f"{prefix}{name}", inner
        else:
            where = f"environment.wrappers: vector_obs: {prefix}{name}"
            raise BadInput(where, f"is {inner}", expected="arrays of numbers")


def _values(observation: Any, prefix: str = "") -> Any:
    for name, inner in observation.items():
        if isinstance(inner, dict):
            yield from _values(inner, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", inner
