"""Frame stack: the last observations side by side, so that velocities can be seen."""

from collections.abc import Mapping
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from kinemill.environments.gym_types import Env
from kinemill.task.environment import WRAPPERS, Wrapper
from kinemill.task.protocols import TorchModule


@WRAPPERS.register("frame_stack")
class FrameStack(Wrapper):
    """Stack the last observations, for a policy without memory that needs velocities.

    It is part of the exported policy: a robot passes one observation at a time.
    """

    scope = "policy"
    type: Literal["frame_stack"] = "frame_stack"
    frames: int = Field(
        default=4, ge=2, le=1024, description="observations that a network sees at once"
    )

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with stacked vectors, filled with the first one at the start."""
        from collections import deque

        import numpy as np

        from kinemill.environments._vector import OnVector, box, vector_space

        del estimates
        space = vector_space(environment, "environment.wrappers: frame_stack")
        last: deque[Any] = deque(maxlen=self.frames)

        def change(vector: NDArray[np.float32]) -> NDArray[np.float32]:
            last.extend([vector] * (1 if last else self.frames))
            return np.concatenate(last).astype(np.float32)

        stacked = box(np.tile(space.low, self.frames), np.tile(space.high, self.frames))
        return OnVector(environment, stacked, change, last.clear)

    def module(self, layout: object, inputs: int) -> TorchModule:
        """Return the same in torch, what was seen before in the carry."""
        from kinemill.environments.graph import Stacked

        del layout
        return Stacked(inputs, self.frames)
