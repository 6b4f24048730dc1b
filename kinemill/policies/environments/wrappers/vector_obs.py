"""One vector of all numbers that an environment observes in parts, such as position and goal."""

from collections.abc import Mapping
from typing import Literal

from kinemill.policies.environments.gym_types import Env
from kinemill.task.environment import WRAPPERS, Wrapper


@WRAPPERS.register("vector_obs")
class VectorObs(Wrapper):
    """Flattens numbers and choices, in dicts and tuples; images, texts (uint8) and the mask stay.

    A choice is one number for each of its values, 1 for the one that is observed. An environment
    whose observations need it gets this wrapper by default; name it to select parts.
    """

    type: Literal["vector_obs"] = "vector_obs"
    keys: list[str] | None = None
    """parts of the observation, in this order; default: all, sorted by name"""

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with one vector `observation`, its parts named `part_index`.

        Raises:
            BadInput: there is no part of that name, or a part has no fixed size.
        """
        from kinemill.policies.environments.native import FlatObservation

        del estimates
        return FlatObservation(environment, self.keys)
