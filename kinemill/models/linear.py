"""A linear model of the last `history` rows, fitted in closed form, with a network for the rest.

The linear part starts as the least-squares solution over all training rows, the network starts as
nothing; from there both learn through rollouts. What a network has to learn is then only what a
linear model cannot say, which takes far fewer steps (Schoukens and Ljung, 2019, section on
initialising nonlinear models from the best linear approximation).
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from kinemill.errors import BadInput
from kinemill.spec.plugins import MODELS, Model, pick_or_none


@MODELS.register("linear")
class Linear(Model):
    """Settings of the linear model and of the network on what it leaves over."""

    type: Literal["linear"] = "linear"
    ridge: float = Field(
        default=1e-4, ge=0.0, description="penalty on weights, relative to the rows fitted"
    )
    local: bool = Field(
        default=False,
        description="whether each state is learned from itself and the action of the same number "
        "alone: of many joints that hardly move each other, most weights would be noise",
    )
    residual: Annotated[
        SerializeAsAny[Model] | None, BeforeValidator(pick_or_none(MODELS, Model))
    ] = Field(default=None, description="another model, which learns what the linear one leaves")

    @field_validator("residual")
    @classmethod
    def _not_itself(cls, value: Model | None) -> Model | None:
        if isinstance(value, Linear):
            message = "a linear model leaves nothing to a linear model"
            raise ValueError(message)
        return value

    def build_for(self, layout: Any, scale: Mapping[str, Any]) -> Any:
        """Make the network, `local` or not."""
        del scale
        sees = _own_columns(layout) if self.local else None
        return self._make((layout.features, len(layout.outputs), layout.history), sees)

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network of features alone.

        Raises:
            BadInput: it is `local`, and of features nobody knows which belong together.
        """
        if self.local:
            raise BadInput("learn.model.local", "true", expected="false, as part of another model")
        return self._make((inputs, outputs, history), None)

    def _make(self, sizes: tuple[int, int, int], sees: list[list[bool]] | None) -> Any:
        """Make the network: (B, inputs), window (B, history - 1, inputs), the residual's carry.

        Args:
            sizes: inputs, outputs, history.
            sees: whether an output sees a feature, (outputs, inputs); None: all see all.
        """
        import torch
        from torch import Tensor, nn
        from torch.nn import functional

        (inputs, outputs, history), ridge = sizes, self.ridge
        residual = self.residual.build(inputs, outputs, history) if self.residual else None

        class Network(nn.Module):
            mask: Tensor

            def __init__(self) -> None:
                super().__init__()
                self.linear, self.residual = nn.Linear(history * inputs, outputs), residual
                mask = torch.ones(outputs, inputs) if sees is None else torch.tensor(sees).float()
                self.register_buffer("mask", mask.repeat(1, history), persistent=False)
                own = ((history - 1, inputs),)
                self.carry_shapes = (*own, *(residual.carry_shapes if residual else ()))
                for value in residual.head.parameters() if residual else ():
                    nn.init.zeros_(value)

            def warm_up(self, features: Tensor) -> tuple[Tensor, ...]:
                return features, *(self.residual.warm_up(features) if self.residual else ())

            def forward(
                self, features: Tensor, window: Tensor, *carry: Tensor
            ) -> tuple[Tensor, ...]:
                window = torch.cat([window, features.unsqueeze(1)], dim=1)
                weight = self.linear.weight * self.mask if sees else self.linear.weight
                answer = functional.linear(window.flatten(1), weight, self.linear.bias)
                after: list[Tensor] = []  # so that torch's compiler reads it
                if self.residual is not None:
                    rest, *after = self.residual(features, *carry)
                    answer = answer + rest
                return answer, window[:, 1:], *after

            def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
                """Set the linear part to the least-squares solution."""
                weight, bias = least_squares(batches, ridge, self.mask if sees else None)
                self.linear.weight.copy_(weight)
                self.linear.bias.copy_(bias)

        return Network()


def _own_columns(layout: Any) -> list[list[bool]]:
    """Tell which features each output sees: those of its state, and of the action beside it."""
    states, own = layout.states, list[list[bool]]()
    parts = ((one, at) for one, at in layout.groups for _ in range(one.parts))
    columns = [column for _, at in parts for column in at]
    for _, output in layout.outputs:
        number = states.index(output.of)
        own.append([column in {number, len(states) + number} for column in columns])
    return own


def least_squares(
    batches: Iterable[tuple[Any, Any]], ridge: float, mask: Any = None
) -> tuple[Any, Any]:
    """Return weight (O, H F) and bias (O,) that minimise the squared error, in float64.

    Only R of a QR decomposition is kept of what was seen: exact, and of bounded size.

    Args:
        batches: features (N, H, F) and the outputs wanted after them (N, O), in turn.
        ridge: penalty on squared weights, relative to the number of rows.
        mask: (O, H F), 0 where a weight is to be 0; default: none is.
    """
    import torch

    seen, rows, width = torch.empty(0, 0).double(), 0, 0
    for features, wanted in batches:
        ones = features.new_ones(len(features), 1)
        part = torch.cat([features.flatten(1), ones, wanted], dim=1).double().cpu()
        rows, width = rows + len(part), part.shape[1] - wanted.shape[1]
        seen = torch.linalg.qr(torch.cat([seen, part]) if len(seen) else part, mode="r").R
    penalty = torch.eye(width).double() * (ridge * rows) ** 0.5
    penalty[-1, -1] = 0.0  # the bias is free
    left = torch.cat([seen[:, :width], penalty])
    right = torch.cat([seen[:, width:], seen.new_zeros(width, seen.shape[1] - width)])
    if mask is None:
        solution = torch.linalg.lstsq(left, right, driver="gelsd").solution
        return solution[:-1].T, solution[-1]
    weight, bias = torch.zeros_like(mask).double(), torch.zeros(len(mask)).double()
    for number, row in enumerate(mask.cpu()):
        kept = torch.cat([row.nonzero().flatten(), torch.tensor([width - 1])])
        wanted = right[:, number : number + 1]
        found = torch.linalg.lstsq(left[:, kept], wanted, driver="gelsd").solution.flatten()
        weight[number, kept[:-1]], bias[number] = found[:-1], found[-1]
    return weight, bias
