"""A channel that jumps farther in one step than its robot can move: a spike or a lost stretch."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import numpy as np
from pydantic import ConfigDict, model_serializer, model_validator

from kinemill.store import Json
from kinemill.task import CHECKS, PositiveQuantity, Problems, Task, in_unit, unknown_channels
from kinemill.validate.faults import CheckSettings, Fault, Values, runs, steps


@CHECKS.register("max_jump")
class MaxJump(CheckSettings):
    """Largest |x[k+1] - x[k]| of a channel, unit per step; angles take the shortest rotation.

    A task gives the bounds directly, as in `max_jump: {shoulder_angle: 0.3}`. Other channels have
    no bound: the largest step depends on the robot.
    """

    # Channels are keys of this part itself, see `_direct`.
    model_config = ConfigDict(json_schema_extra={"additionalProperties": {"type": "number"}})
    phase: ClassVar[Literal["stretch", "episode"]] = "stretch"
    bounds: dict[str, PositiveQuantity] = {}
    """largest change by channel, unit per step"""

    @model_validator(mode="before")
    @classmethod
    def _direct(cls, value: object) -> object:
        # pyright: ignore[reportUnknownMemberType]
        if not isinstance(value, dict) or isinstance(value.get("bounds"), dict):
            return cast("object", value)
        settings = cast("dict[str, Any]", value)
        common = {key: settings[key] for key in CheckSettings.model_fields if key in settings}
        return {
            "bounds": {key: item for key, item in settings.items() if key not in common},
            **common,
        }

    @model_serializer
    def _serialize(self) -> Json:
        common = {key: getattr(self, key) for key in CheckSettings.model_fields}
        return {**self.bounds, **{key: item for key, item in common.items() if item is not None}}

    def problems(self, channels: Mapping[str, object]) -> Problems:
        """Return bounds for channels that the task does not have."""
        return unknown_channels(self.bounds, channels)

    def find(self, values: Values, task: Task) -> list[Fault]:
        """Return both rows of every jump of channel -> (n,) over its bound, neighbors merged.

        Both rows of a jump are suspect: a spike is one bad row between two jumps.
        """
        faults: list[Fault] = []
        for name, bound in self.bounds.items():
            channel = task.channels[name]
            size = np.abs(steps(values[name], channel.kind))
            over = np.append(size > bound, False)  # jump k joins rows k and k+1
            over[1:] |= over[:-1]
            for start, stop in runs(over):
                largest = float(size[start : stop - 1].max())
                faults.append(
                    Fault(
                        start,
                        stop,
                        name,
                        actual=f"a jump of {largest:.6g}{in_unit(channel.unit)} in one step",
                        expected=f"at most {bound:g}{in_unit(channel.unit)} in {task.dt:g} s",
                        fix="check the log for spikes or lost samples, "
                        f"or raise validate.max_jump.{name}",
                    )
                )
        return faults
