"""Angles as their sine and cosine: a full turn is no jump, and no way around is longer."""

from typing import Literal

from pydantic import Field

from kinemill.errors import BadInput
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
    of: list[str | Position] = Field(min_length=1)
    """names of the observed angles, or their places, from 0; rad"""

    def module(self, layout: PolicyLayout, inputs: int) -> TorchModule:
        """Return the module that puts sine and cosine behind all other numbers.

        Raises:
            BadInput: an angle is not observed.
        """
        from kinemill.policies.environments.graph import Turned

        names = list(layout.observation)
        for angle in self.of:
            if angle not in (names if isinstance(angle, str) else range(len(names))):
                where = f"environment.wrappers: angle_features: {angle}"
                fix = nearest(str(angle), names) if names else None
                raise BadInput(where, "is not observed", fix=fix)
        columns = (angle if isinstance(angle, int) else names.index(angle) for angle in self.of)
        return Turned(inputs, sorted(columns))
