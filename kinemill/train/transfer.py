"""Transfer learning: start from the weights and scaling of a model with the same channels."""

import fnmatch
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.models.networks.weights import different_weights
from kinemill.store import Json
from kinemill.task.protocols import WarmStart
from kinemill.train.ensemble import Ensemble
from kinemill.train.layout import Layout
from kinemill.train.policy import PolicyModule
from kinemill.train.step import Step
from kinemill.train.warm_start import described, load_model

_EQUAL_FIELDS = (
    *("states", "actions", "angles", "outputs", "history", "dt", "window", "integrator"),
    "output_channels",
)


def start_weights(module: Step | Ensemble, start: WarmStart, units: Mapping[str, str]) -> None:
    """Set the weights and the scaling of `module` to those of an earlier model.

    Every member of an ensemble starts from a single earlier model.

    Raises:
        BadInput: The earlier model differs in channels, units, time step, history, encodings or
            architecture.
        CorruptArtifact: This version cannot read the format of the earlier model.
    """
    about = described(Path(start.folder))
    where = f"learn.start_from: {start.address}"
    fix = "start from a model with the same channels"
    if unlike := _unlike(Layout.from_json(about["layout"]), module.layout, about, units):
        raise BadInput(where, f"differs in {'; '.join(unlike)}", fix=fix)
    earlier = _tensors(load_model(Path(start.folder)), module)
    expected = module.state_dict()
    new = {name for name in expected if name.startswith("member.noise.")} - set(earlier)
    for name in sorted((set(earlier) | set(expected)) - new):
        differences, here = (_shape(those.get(name)) for those in (earlier, expected))
        if differences != here:
            raise BadInput(
                where,
                f"has another architecture: {name} is {differences} there and {here} here",
                fix="use its learn.model, learn.robots and learn.ensemble",
            )
    module.load_state_dict(expected | earlier)


def start_policy(module: PolicyModule, start: WarmStart) -> None:
    """Set the weights and the scaling of a policy to those of an earlier one.

    Raises:
        BadInput: It has other inputs or outputs, or another architecture.
        CorruptArtifact: This version cannot read the format of the earlier policy.
    """
    where = f"learn.start_from: {start.address}"
    earlier = load_model(Path(start.folder))
    if getattr(earlier, "layout", None) != module.layout:
        fix = "start from a policy with the same channels"
        raise BadInput(where, "has other inputs or outputs than this policy", fix=fix)
    values = earlier.state_dict()
    if unlike := different_weights(values, module.state_dict()):
        raise BadInput(
            where,
            f"has another architecture: {', '.join(unlike[:5])}",
            fix="use its learn.model, learn.head and encoders",
        )
    module.load_state_dict(values)


def _unlike(earlier: Layout, layout: Layout, about: Json, units: Mapping[str, str]) -> list[str]:
    """Return the differences between an earlier model's channels and those of this task."""
    differences = [
        f"{name}: {_plain(there)} there, {_plain(here)} here"
        for name in _EQUAL_FIELDS
        if (there := getattr(earlier, name)) != (here := getattr(layout, name))
    ]
    if _inputs_of(earlier) != _inputs_of(layout):
        differences.append("learn.encoding")
    return differences + [
        f"unit of {name}: {about['units'][name]} there, {unit} here"
        for name, unit in units.items()
        if about["units"].get(name, unit) != unit
    ]


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tensors(earlier: nn.Module, module: object) -> dict[str, Tensor]:
    """Return the earlier tensors by the names in `module`; members repeat a single model."""
    if not isinstance(module, Ensemble) or isinstance(earlier, Ensemble):
        return earlier.state_dict()
    parameters = {name for name, _ in earlier.named_parameters()}
    return {
        f"member.step.{name}": value.expand(module.members, *value.shape).clone()
        if name in parameters
        else value
        for name, value in earlier.state_dict().items()
    }


def _shape(tensor: Tensor | None) -> str:
    return "missing" if tensor is None else str(list(tensor.shape))


def freeze(module: nn.Module, patterns: list[str]) -> None:
    """Freeze the parameters that match one of the patterns.

    Args:
        module: module to train.
        patterns: name patterns such as `network.layers.*`, with names as in a single step.

    Raises:
        BadInput: A pattern matches no parameter, or all parameters are frozen.
    """
    names = {name.removeprefix("member.step."): value for name, value in module.named_parameters()}
    for pattern in patterns:
        matched = fnmatch.filter(names, pattern)
        if not matched:
            names_known = ", ".join(names)
            raise BadInput(f"learn.freeze: {pattern!r}", "matches nothing", expected=names_known)
        for name in matched:
            names[name].requires_grad = False
    if not any(value.requires_grad for value in names.values()):
        raise BadInput("learn.freeze", "leaves nothing to learn", fix="freeze fewer parameters")


def _inputs_of(layout: Layout) -> tuple[object, ...]:
    """Return the fields that define a network's inputs and outputs in addition to the channels."""
    return layout.encodings, layout.transform, layout.coordinates
