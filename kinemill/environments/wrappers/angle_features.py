"""Angles as their sine and cosine: a full turn is no jump, and no way around is longer."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.task.environment import WRAPPERS, Wrapper


@WRAPPERS.register("angle_features")
class AngleFeatures(Wrapper):
    """A part of the policy: a robot gives its angles in rad."""

    place = "policy"
    type: Literal["angle_features"] = "angle_features"
    of: list[str | int] = Field(
        min_length=1, description="names of the observed angles, or their places, from 0; rad"
    )

    def _places(self, names: Any) -> list[int]:
        known = list(names)
        found = list[int]()
        for one in self.of:
            if isinstance(one, str) and one not in known:
                where = f"environment.wrappers: angle_features: {one}"
                raise BadInput(where, "is not observed", fix=nearest(one, known))
            found.append(one if isinstance(one, int) else known.index(one))
        return sorted(found)

    def wrap(self, environment: Any, known: Mapping[str, Any]) -> Any:
        """Return the environment with sine and cosine behind all other numbers.

        Raises:
            BadInput: an angle is not observed.
        """
        import numpy as np

        from kinemill.environments._vector import OnVector, box, vector_space

        del known
        space = vector_space(environment, "environment.wrappers: angle_features")
        named = environment.has_wrapper_attr("observation_names")
        names = environment.get_wrapper_attr("observation_names") if named else ()
        places = self._places(names)
        rest = [index for index in range(space.shape[0]) if index not in places]

        def change(vector: Any) -> Any:
            angles = vector[places]
            return np.concatenate([vector[rest], np.sin(angles), np.cos(angles)]).astype(np.float32)

        ends = np.ones(2 * len(places), np.float32)
        low, high = np.append(space.low[rest], -ends), np.append(space.high[rest], ends)
        return OnVector(environment, box(low, high), change)

    def module(self, layout: Any, inputs: int) -> Any:
        """Return the same in torch."""
        from kinemill.environments.graph import Turned

        return Turned(inputs, self._places(layout.observation))
