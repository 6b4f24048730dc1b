"""Angles as their sine and cosine: a full turn is no jump, and no way around is longer."""

from collections.abc import Mapping, Sequence
from typing import Literal

from numpy.typing import NDArray
from pydantic import Field

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.registry import nearest
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import WRAPPERS, TorchModule, Wrapper
from kinemill.task.bounds import Position


@WRAPPERS.register("angle_features")
class AngleFeatures(Wrapper):
    """Replace angles by their sine and cosine, so that turns have no jump.

    It is part of the exported policy: a robot passes its angles in rad.
    """

    scope = "policy"
    type: Literal["angle_features"] = "angle_features"
    of: list[str | Position] = Field(
        min_length=1, description="names of the observed angles, or their places, from 0; rad"
    )

    def _columns(self, names: Sequence[str]) -> list[int]:
        """Return the columns of the angles, sorted."""
        for name in self.of:
            if isinstance(name, str) and name not in names:
                where = f"environment.wrappers: angle_features: {name}"
                raise BadInput(where, "is not observed", fix=nearest(name, list(names)))
        return sorted(
            column if isinstance(column, int) else list(names).index(column) for column in self.of
        )

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with sine and cosine behind all other numbers.

        Raises:
            BadInput: an angle is not observed.
        """
        import numpy as np

        from kinemill.policies.environments._vector import OnVector, box, vector_space

        del estimates
        space = vector_space(environment, "environment.wrappers: angle_features")
        named = environment.has_wrapper_attr("observation_names")
        names = environment.get_wrapper_attr("observation_names") if named else ()
        columns = self._columns(names)
        rest = [index for index in range(space.shape[0]) if index not in columns]

        def change(vector: NDArray[np.float32]) -> NDArray[np.float32]:
            angles = vector[columns]
            return np.concatenate([vector[rest], np.sin(angles), np.cos(angles)]).astype(np.float32)

        ends = np.ones(2 * len(columns), np.float32)
        low = np.append(space.low[rest], -ends)
        high = np.append(space.high[rest], ends)
        return OnVector(environment, box(low, high), change)

    def module(self, layout: PolicyLayout, inputs: int) -> TorchModule:
        """Return the same in torch."""
        from kinemill.policies.environments.graph import Turned

        return Turned(inputs, self._columns(layout.observation))
