"""Network of difference equations of a task file.

Symbols: B batch, S states, A actions, F features, H rows of history, O outputs, x hidden states.

Hidden states are estimated by an observer (Luenberger, IEEE Transactions on Military Electronics,
1964): the equations advance them through the history, and after each row the difference between
measured and predicted states, times a trained gain, corrects them. The gains differ between rows,
as those of a Kalman filter do at its start.
"""

import operator
from collections.abc import Callable, Container, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from kinemill.models._layout import ModelLayout
from kinemill.models.networks.layers import Network, zero_head
from kinemill.models.networks.scaling import angle_period, wrap_angles
from kinemill.task.expressions import Expression

_ERROR = 0.01  # of a prediction one row ahead, in standard deviations: the unit of the gains


class _Curve(Protocol):
    """What the network reads of `kinemill.models.equations.Curve`."""

    @property
    def of(self) -> str: ...
    @property
    def range(self) -> tuple[float, float]: ...
    @property
    def points(self) -> int: ...


class _Settings(Protocol):
    """What the network reads of `kinemill.models.equations.Equations`."""

    @property
    def parameters(self) -> Mapping[str, float]: ...
    @property
    def hidden(self) -> Mapping[str, float]: ...
    @property
    def terms(self) -> Mapping[str, str]: ...
    @property
    def curves(self) -> Mapping[str, _Curve]: ...
    @property
    def equations(self) -> Mapping[str, str]: ...
    @property
    def start_std(self) -> float: ...


class EquationsNetwork(Network):
    """`(state (B, S), action (B, A), features (B, F), carry...) -> outputs (B, O), carry`.

    Parameters are learned as shares of their first value (of 1 if that is zero), so that one
    penalty fits all. The carry is the number of rows so far (B, 1), the hidden states (B, x), the
    states of the outputs as predicted for the next row (B, O), and the carry of the residual.
    Without hidden states it is that of the residual alone.

    Args:
        settings: formulas, parameters and hidden states.
        layout: of the task.
        scale: `state_std` (S,) and `output_std` (O,) in training.
        make_residual: returns the network whose output, in standard deviations, is added; its head
            starts at zero.

    Attributes:
        settled: value of each part of the carry, by its index, that no longer matters once the
            history is full.
    """

    physical = True
    unit: Tensor
    output_std: Tensor
    size: Tensor
    measured: Tensor
    error_std: Tensor
    following: Tensor
    rate: Tensor
    period: Tensor

    def __init__(
        self,
        settings: _Settings,
        layout: ModelLayout,
        scale: Mapping[str, Tensor],
        make_residual: Callable[[], Network] | None,
    ) -> None:
        super().__init__()
        self.history = layout.history
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
        curves = settings.curves.values()
        self.curves = nn.ModuleList(CurveNetwork(*curve.range, curve.points) for curve in curves)
        self.arguments = {name: curve.of for name, curve in settings.curves.items()}
        if self.hidden:
            self._make_observer(settings.hidden, layout, scale)
        self.residual = make_residual() if make_residual is not None else None
        self.state_carry_count = len(self.carry_shapes)
        if self.residual is not None:
            zero_head(self.residual)
            self.carry_shapes = (*self.carry_shapes, *self.residual.carry_shapes)

    def _make_observer(
        self, hidden: Mapping[str, float], layout: ModelLayout, scale: Mapping[str, Tensor]
    ) -> None:
        """Add the estimate at the first row, and the gains of the rows after it."""
        usual = torch.tensor(list(hidden.values()), dtype=torch.float32)
        size = torch.where(usual == 0.0, torch.ones_like(usual), usual.abs())
        columns = [layout.states.index(output.of) for _, output in layout.outputs]
        kinds = [output.relation for _, output in layout.outputs]
        self.encoder = nn.Linear(layout.features, len(usual))
        if self.history > 1:
            self.gains = nn.Parameter(torch.zeros(self.history - 1, len(usual) * len(columns)))
        with torch.no_grad():
            # Start near the usual values: a small share of the encoder's random weights.
            self.encoder.weight.mul_(0.1 * size.unsqueeze(1))
            self.encoder.bias.copy_(usual)
        buffers = {
            "size": size,
            "measured": torch.tensor(columns),
            "error_std": _ERROR * scale["state_std"].float()[columns],
            "following": torch.tensor([0.0 if kind == "equal" else 1.0 for kind in kinds]),
            "rate": torch.tensor([self.dt if kind == "derivative" else 1.0 for kind in kinds]),
            "period": angle_period([layout.angles[column] for column in columns]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value)
        self.carry_shapes = ((1,), (len(usual),), (len(columns),))
        self.settled = {0: float(self.history), 2: 0.0}

    def present(
        self, state: Tensor, features: Tensor, count: Tensor, x: Tensor, predicted: Tensor
    ) -> Tensor:
        """Return the hidden states (B, x) at this row; after the history they remain as they are.

        Arithmetic instead of a branch: each row of a batch may be at another row of its history,
        and an ONNX graph has one path.
        """
        rows = torch.arange(self.history, dtype=x.dtype, device=x.device)
        is_at = torch.clamp(1.0 - (count - rows).abs(), min=0.0)  # (B, H), one-hot
        x = x + is_at[:, :1] * (self.encoder(features) - x)
        if self.history == 1:
            return x
        error = state.index_select(1, self.measured) - predicted
        error = wrap_angles(error, self.period) / self.error_std
        gains = (is_at[:, 1:] @ self.gains).unflatten(1, (x.shape[1], -1))  # (B, x, O)
        return x + self.size * (gains * error.unsqueeze(1)).sum(2)

    def parameters_by_name(self) -> dict[str, float]:
        """Return the fitted parameters by name, and values of curves, in the units of formulas."""
        fitted = dict(zip(self.names, (self.share * self.unit).tolist(), strict=True))
        for name, curve in zip(self.arguments, self.curves, strict=True):
            centers = torch.as_tensor(curve.centers)
            points = torch.stack([centers, curve(centers)], dim=1)
            fitted |= {f"{name}({x:g})": y for x, y in points.tolist()}
        return fitted

    def warm_up(self, states: Tensor, actions: Tensor, features: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after rows (B, K, S), (B, K, A), (B, K, F)."""
        return self.replay(states, actions, features)

    def forward(
        self, state: Tensor, action: Tensor, features: Tensor, *carry: Tensor
    ) -> tuple[Tensor, ...]:
        """Return the outputs (B, O) and the next carry."""
        state_carry = carry[: self.state_carry_count]
        rest = carry[self.state_carry_count :]
        values: dict[str, object] = {"dt": self.dt}
        values |= zip(self.columns, torch.cat([state, action], dim=1).unbind(1), strict=True)
        values |= zip(self.names, (self.share * self.unit).unbind(), strict=True)
        if self.hidden:
            x = self.present(state, features, *state_carry)
            values |= zip(self.hidden, x.unbind(1), strict=True)
        self._add_curves(values, [name for name in self.arguments.values() if name in values])
        for name, term in self.terms.items():
            values[name] = term.value_by(operation, values)
            self._add_curves(values, [name])
        following = {
            name: equation.value_by(operation, values) for name, equation in self.equations.items()
        }
        outputs = self.stack(self.outputs, following, state)
        if self.residual is not None:
            added, *rest = self.residual(features, *rest)
            outputs = outputs + added * self.output_std
        if not self.hidden:
            return outputs, *rest
        count = torch.clamp(state_carry[0] + 1.0, max=float(self.history))
        predicted = self.following * state.index_select(1, self.measured) + self.rate * outputs
        return outputs, count, self.stack(self.hidden, following, state), predicted, *rest

    def _add_curves(self, values: dict[str, object], arguments: Container[str]) -> None:
        """Add the values of the curves of `arguments`."""
        for (name, argument), curve in zip(self.arguments.items(), self.curves, strict=True):
            if argument in arguments:
                values[name] = curve(torch.as_tensor(values[argument]))

    @staticmethod
    def stack(names: list[str], values: Mapping[str, float | Tensor], state: Tensor) -> Tensor:
        """Return values by name as a tensor (B, names); a row with NaN in `state` is NaN."""
        anchor = 0.0 * state.sum(1)  # a formula can be a constant, or leave a state out
        return torch.stack([anchor + values[name] for name in names], dim=1)


class CurveNetwork(nn.Module):
    """(B,) -> (B,): the sum of Gaussian bumps with trained heights, evenly spaced, 0 before a fit.

    Args:
        low: center of the first bump.
        high: center of the last bump.
        points: number of bumps.
    """

    centers: Tensor

    def __init__(self, low: float, high: float, points: int) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(low, high, points), persistent=False)
        self.width = (high - low) / (points - 1)
        self.heights = nn.Parameter(torch.zeros(points))

    def forward(self, value: Tensor) -> Tensor:
        """Return the values of the curve."""
        distance = (value.unsqueeze(-1) - self.centers) / self.width
        return torch.exp(-0.5 * distance.square()) @ self.heights


_Operand = Tensor | float


def operation(name: str) -> Callable[..., object]:
    """Return the operation with numpy's name `name`, for floats and tensors; NaN stays NaN."""
    if name in _OPERATORS:
        return _OPERATORS[name]
    return lambda value: getattr(torch, name)(torch.as_tensor(value))


def _power(base: _Operand, exponent: _Operand) -> Tensor:
    return torch.pow(torch.as_tensor(base), exponent)


# By absolute values, because the Min and Max operators of ONNX Runtime turn NaN into a number.
def _minimum(first: _Operand, second: _Operand) -> _Operand:
    return 0.5 * (first + second - abs(first - second))


def _maximum(first: _Operand, second: _Operand) -> _Operand:
    return 0.5 * (first + second + abs(first - second))


_OPERATORS: dict[str, Callable[..., object]] = {
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
