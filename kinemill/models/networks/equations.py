"""Network of difference equations of a task file.

Symbols: B batch, S states, A actions, F features, H rows of history, O outputs, x hidden states.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from kinemill.models._layout import ModelLayout
from kinemill.models.networks.encoded_state import HiddenStateNetwork
from kinemill.models.networks.layers import Network
from kinemill.models.networks.linear import zero_head
from kinemill.task.expressions import Expression


class _Settings(Protocol):
    """What the network reads of `kinemill.models.equations.Equations`."""

    @property
    def parameters(self) -> Mapping[str, float]: ...
    @property
    def hidden(self) -> Mapping[str, float]: ...
    @property
    def terms(self) -> Mapping[str, str]: ...
    @property
    def equations(self) -> Mapping[str, str]: ...
    @property
    def start_std(self) -> float: ...


class EquationsNetwork(HiddenStateNetwork):
    """`(state (B, S), action (B, A), features (B, F), carry...) -> outputs (B, O), carry`.

    Parameters are learned as shares of their first value (of 1 if that is zero), so that one
    penalty fits all. Without hidden states, the carry is that of the residual alone.

    Args:
        settings: formulas, parameters and hidden states.
        layout: of the task.
        scale: `output_std` (O,) in training.
        make_residual: returns the network whose output, in standard deviations, is added; its head
            starts at zero.
    """

    physical = True
    unit: Tensor
    output_std: Tensor

    def __init__(
        self,
        settings: _Settings,
        layout: ModelLayout,
        scale: Mapping[str, Tensor],
        make_residual: Callable[[], Network] | None,
    ) -> None:
        super().__init__(len(settings.hidden), layout.features, layout.history)
        self.columns, self.dt = (*layout.states, *layout.actions), float(layout.dt)
        self.names, self.hidden = list(settings.parameters), list(settings.hidden)
        self.outputs = [name for name, _ in layout.outputs]
        self.terms = {name: Expression(text) for name, text in settings.terms.items()}
        self.equations = {name: Expression(text) for name, text in settings.equations.items()}
        first = torch.tensor(list(settings.parameters.values()), dtype=torch.float32)
        unit = torch.where(first == 0.0, torch.ones_like(first), first)
        self.register_buffer("unit", unit)
        self.register_buffer("output_std", scale["output_std"].float())
        draws = settings.start_std * torch.randn(len(first)) if settings.start_std else 0.0
        self.share = nn.Parameter(first / unit * (1.0 + draws))
        if self.hidden:
            usual = torch.tensor(list(settings.hidden.values()), dtype=torch.float32)
            with torch.no_grad():
                size = torch.where(usual == 0.0, torch.ones_like(usual), usual)
                # Start near the usual values: a small share of the encoder's random weights.
                self.encoder.weight.mul_(0.1 * size.unsqueeze(1))
                self.encoder.bias.copy_(usual)
        else:
            del self.encoder, self.settled
            self.carry_shapes = ()
        self.residual = make_residual() if make_residual is not None else None
        self.own = len(self.carry_shapes)
        if self.residual is not None:
            zero_head(self.residual)
            self.carry_shapes = (*self.carry_shapes, *self.residual.carry_shapes)

    def parameters_by_name(self) -> dict[str, float]:
        """Return the fitted parameters by name, in the units of the task file's formulas."""
        return dict(zip(self.names, (self.share * self.unit).tolist(), strict=True))

    def warm_up(self, states: Tensor, actions: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after rows (B, K, S), (B, K, A), (B, K, F)."""
        if features.shape[1] >= self.history:
            return self.replay(states, actions, features)
        own = self.at_start(features) if self.hidden else ()
        rest = self.residual.warm_up(features) if self.residual is not None else ()
        return *own, *rest

    def forward(
        self, state: Tensor, action: Tensor, features: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the outputs (B, O) and the next carry."""
        own, rest = carry[: self.own], carry[self.own :]
        values: dict[str, object] = {"dt": self.dt}
        values |= zip(self.columns, torch.cat([state, action], dim=1).unbind(1), strict=True)
        values |= zip(self.names, (self.share * self.unit).unbind(), strict=True)
        if self.hidden:
            values |= zip(self.hidden, self.present(features, *own).unbind(1), strict=True)
        for name, term in self.terms.items():
            values[name] = term.value_by(operation, values)
        following = {name: one.value_by(operation, values) for name, one in self.equations.items()}
        outputs, carried = self.stack(self.outputs, following, state), ()
        if self.hidden:
            window, count, _ = own
            carried = self.after(features, window, count, self.stack(self.hidden, following, state))
        if self.residual is None:
            return outputs, *carried
        added, *rest = self.residual(features, *rest)
        return outputs + added * self.output_std, *carried, *rest

    @staticmethod
    def stack(names: list[str], values: Mapping[str, Any], state: Tensor) -> Tensor:
        """Return values by name as a tensor (B, names); a row with NaN in `state` is NaN."""
        anchor = 0.0 * state.sum(1)  # a formula can be a constant, or leave a state out
        return torch.stack([anchor + values[name] for name in names], dim=1)


def operation(name: str) -> Callable[..., Any]:
    """Return the operation with numpy's name `name`, for floats and tensors; NaN stays NaN."""
    if name in _OPERATORS:
        return _OPERATORS[name]
    return lambda value: getattr(torch, name)(torch.as_tensor(value))


def _power(base: Any, exponent: Any) -> Any:
    return torch.pow(torch.as_tensor(base), exponent)


# By absolute values, because the Min and Max operators of ONNX Runtime turn NaN into a number.
def _minimum(one: Any, other: Any) -> Any:
    return 0.5 * (one + other - abs(one - other))


def _maximum(one: Any, other: Any) -> Any:
    return 0.5 * (one + other + abs(one - other))


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negative": operator.neg,
    "positive": operator.pos,
    "power": _power,
    "minimum": _minimum,
    "maximum": _maximum,
}
