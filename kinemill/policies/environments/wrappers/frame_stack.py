"""Frame stack: the last observations side by side, so that velocities can be observed."""

from collections.abc import Mapping
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from kinemill.policies.environments.gym_types import Env, Space
from kinemill.task import WRAPPERS, TorchModule, Wrapper


@WRAPPERS.register("frame_stack")
class FrameStack(Wrapper):
    """Stack the last observations, images too, for a policy without memory that needs velocities.

    It is part of the exported policy: a robot passes one observation at a time.
    """

    scope = "policy"
    type: Literal["frame_stack"] = "frame_stack"
    frames: int = Field(default=4, ge=2, le=1024, description="number of stacked observations")

    def wrap(self, environment: Env, estimates: Mapping[str, object]) -> Env:
        """Return the environment with stacked vectors (D,) and images (N, H, W, C).

        At the start all frames are the first one.
        """
        import numpy as np
        from gymnasium.spaces import Box

        from kinemill.policies.environments._vector import (
            OBSERVATION,
            box,
            has_vector,
            image_parts,
            vector_space,
        )

        del estimates
        images = image_parts(environment.observation_space)
        for name, part in images.items():
            low, high = (np.stack([end] * self.frames) for end in (part.low, part.high))
            stacked = Box(low, high, dtype=np.uint8)
            environment = self._stacked(environment, name, stacked)
        if images and not has_vector(environment):
            return environment
        space = vector_space(environment, "environment.wrappers: frame_stack")
        stacked = box(np.tile(space.low, self.frames), np.tile(space.high, self.frames))
        return self._stacked(environment, OBSERVATION, stacked)

    def _stacked(self, environment: Env, part: str, space: Space) -> Env:
        """Return the environment with one part stacked: images along a new axis."""
        from collections import deque

        import numpy as np

        from kinemill.policies.environments._vector import OBSERVATION, OnVector

        last: deque[Any] = deque(maxlen=self.frames)
        join = np.concatenate if part == OBSERVATION else np.stack

        def change(value: NDArray[np.generic]) -> NDArray[np.generic]:
            last.extend([value] * (1 if last else self.frames))
            return join(last).astype(space.dtype)

        return OnVector(environment, space, change, last.clear, part)

    def module(self, layout: object, inputs: int) -> TorchModule:
        """Return the same in torch, with earlier observations in the carry."""
        from kinemill.policies.environments.graph import Stacked

        del layout
        return Stacked(inputs, self.frames)

    def image_module(self, pixels: int) -> TorchModule:
        """Return the same of the pixels of an image, in torch."""
        from kinemill.policies.environments.graph import Stacked

        return Stacked(pixels, self.frames)
