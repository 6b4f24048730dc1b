"""Frame stack: the last observations side by side, so that velocities can be observed."""

from typing import Literal

from pydantic import Field

from kinemill.task import WRAPPERS, TorchModule, Wrapper


@WRAPPERS.register("frame_stack")
class FrameStack(Wrapper):
    """Stack the last observations, images too, for a policy without memory that needs velocities.

    It is part of the exported policy: a robot passes one observation at a time.
    """

    scope = "policy"
    type: Literal["frame_stack"] = "frame_stack"
    frames: int = Field(default=4, ge=2, le=1024)
    """number of stacked observations"""

    def module(self, layout: object, inputs: int) -> TorchModule:
        """Return the module that stacks vectors, with earlier observations in the carry.

        At the start all frames are the first one.
        """
        from kinemill.policies.environments.graph import Stacked

        del layout
        return Stacked(inputs, self.frames)

    def image_module(self, pixels: int) -> TorchModule:
        """Return the same of the pixels of an image."""
        from kinemill.policies.environments.graph import Stacked

        return Stacked(pixels, self.frames)
