"""The part of a task file that says what is exported beside the model itself."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, PositiveFloat

from kinemill.registry import nearest
from kinemill.task.channels import Channel
from kinemill.task.plugins import Settings

Problem = tuple[tuple[str | int, ...], str]


class Export(Settings):
    """What the stage `onnx_model` makes."""

    optimize: bool = Field(
        default=True,
        description="work out once what is constant, see kinemill.export.constant_folding",
    )
    c99: bool = Field(
        default=False,
        description="step.c and step.h as well, compiled here and compared with step.onnx",
    )
    also: list[Literal["fp16", "int8"]] = Field(
        default=[],
        description="the same model with its layers in half precision, or in 8 bits scaled on "
        "training windows, as rollout.fp16.onnx and so on",
    )
    precision: Literal["float32", "float64"] = Field(
        default="float32",
        description="what the exported model computes in, and what its tensors hold; float64 where "
        "the line `precision` of the verification says that float32 loses too much",
    )
    loss: PositiveFloat = Field(
        default=0.05, description="relative growth of the error that such a variant may cost"
    )
    safe_action: dict[str, float] = Field(
        default={},
        description="what a watchdog sends when the robot's input is stale or its controller late, "
        "by action; others: the value within limits nearest to 0",
    )

    def unfit(self) -> list[Problem]:
        """Return what a policy cannot be exported as."""
        what = "is for models of dynamics; a policy is exported as policy.onnx alone"
        found: list[Problem] = [(("c99",), what)] if self.c99 else []
        found += [(("precision",), what)] if self.precision != "float32" else []
        return found + ([(("also",), what)] if self.also else [])

    def problems(self, channels: Mapping[str, Channel]) -> list[Problem]:
        """Say what float64 cannot be, and which safe actions are of no action or beyond limits."""
        found, actions = list[Problem](), [n for n, c in channels.items() if c.role == "action"]
        for name in ("c99", "also") if self.precision == "float64" else ():
            if getattr(self, name):
                found.append(((name,), "is made of a model in float32; precision is float64"))
        if not channels:
            return found  # names are those of the environment, which export compares with
        for name, value in self.safe_action.items():
            if name not in actions:
                told = f"unknown action {name!r}; {nearest(name, actions)}"
                found.append((("safe_action", name), told))
            elif (limits := channels[name].limits) and not limits[0] <= value <= limits[1]:
                told = f"{value:g} is beyond the limits {list(limits)} of {name}"
                found.append((("safe_action", name), told))
        return found
