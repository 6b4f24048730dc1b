"""The `export` part of a task file: what is exported in addition to the model itself."""

from collections.abc import Mapping
from typing import Literal

from kinemill.registry import nearest
from kinemill.task.bounds import Quantity
from kinemill.task.channels import Channel
from kinemill.task.plugins import Settings
from kinemill.task.settings import Problems


class Export(Settings):
    """Outputs of the stage `onnx_model`."""

    c99: bool = False
    """also export C code: step.c and step.h, or policy.c and policy.h, compiled here and compared
    with the ONNX file"""
    precision: Literal["float32", "float64"] = "float32"
    """data type of the exported model and its tensors; use float64 if the `precision` check of the
    verification reports that float32 loses too much"""
    conformal: bool | Literal["online"] = False
    """correct the standard deviations of a model with uncertainty so that 90 % intervals cover 90 %
    of the errors on the validation episodes; online: also adapt them to the errors of the run,
    see kinemill.runtime.interval_tracker"""
    safe_action: dict[str, Quantity] = {}
    """action: value that a watchdog sends if inputs are stale or the controller is late; default:
    the value within limits closest to 0"""

    def unfit(self) -> Problems:
        """Return the settings that do not apply to a policy."""
        what = "applies to dynamics models only; policies are exported in float32"
        errors: Problems = [(("precision",), what)] if self.precision != "float32" else []
        return errors + ([(("conformal",), what)] if self.conformal else [])

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: C code of a float64 model, and unknown or invalid safe actions."""
        errors: Problems = []
        actions = [n for n, c in channels.items() if c.role == "action"]
        if self.c99 and self.precision == "float64":
            errors.append((("c99",), "needs a model in float32; precision is float64"))
        if not channels:
            return errors  # the environment defines the names; export checks them
        for name, value in self.safe_action.items():
            if name not in actions:
                message = f"unknown action {name!r}; {nearest(name, actions)}"
                errors.append((("safe_action", name), message))
            elif (limits := channels[name].limits) and not limits[0] <= value <= limits[1]:
                message = f"{value:g} is outside the limits {list(limits)} of {name}"
                errors.append((("safe_action", name), message))
        return errors
