"""Nothing up to a width around zero, then what exceeds it: stiction, play of gears, dead bands."""

from typing import Any, Literal

from pydantic import Field

from kinemill.task.bounds import PositiveQuantity
from kinemill.task.plugins import ENCODINGS, Encoding


@ENCODINGS.register("dead_zone")
class DeadZone(Encoding):
    """Zero within a zone around 0, for actuators that do not react to small commands."""

    type: Literal["dead_zone"] = "dead_zone"
    width: PositiveQuantity = Field(description="to each side of zero, in the channel's unit")

    def encode(self, values: Any) -> tuple[object, ...]:
        """Return x - clip(x, -width, width): (..., n) -> (..., n)."""
        return (values - values.clamp(-self.width, self.width),)
