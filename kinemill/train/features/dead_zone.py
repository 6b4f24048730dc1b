"""Zero up to a width around 0, then the excess: stiction, backlash, dead bands."""

from typing import Any, Literal

from pydantic import Field

from kinemill.task.bounds import PositiveQuantity
from kinemill.task.plugins import ENCODINGS, Encoding


@ENCODINGS.register("dead_zone")
class DeadZone(Encoding):
    """Zero within a zone around 0, for actuators that do not react to small commands."""

    type: Literal["dead_zone"] = "dead_zone"
    width: PositiveQuantity = Field(description="half-width of the zone, in the channel's unit")

    def encode(self, values: Any) -> tuple[object, ...]:
        """Return x - clip(x, -width, width): (..., n) -> (..., n)."""
        return (values - values.clamp(-self.width, self.width),)
