"""A linear model of the last `history` rows, fitted in closed form, with a network for the rest.

The linear part starts as the least-squares solution over all training rows, the network starts as
nothing; from there both learn through rollouts. What a network has to learn is then only what a
linear model cannot say, which takes far fewer steps (Schoukens and Ljung, 2019, section on
initialising nonlinear models from the best linear approximation).
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from kinemill.spec.plugins import MODELS, Model, pick_or_none


@MODELS.register("linear")
class Linear(Model):
    """Settings of the linear model and of the network on what it leaves over."""

    type: Literal["linear"] = "linear"
    ridge: float = Field(
        default=1e-4, ge=0.0, description="penalty on weights, relative to the rows fitted"
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

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network: (B, inputs), window (B, history - 1, inputs), the residual's carry."""
        import torch
        from torch import Tensor, nn

        ridge = self.ridge
        residual = self.residual.build(inputs, outputs, history) if self.residual else None

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.linear, self.residual = nn.Linear(history * inputs, outputs), residual
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
                answer, after = self.linear(window.flatten(1)), list[Tensor]()
                if self.residual is not None:
                    rest, *after = self.residual(features, *carry)
                    answer = answer + rest
                return answer, window[:, 1:], *after

            def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
                """Set the linear part to the least-squares solution."""
                weight, bias = least_squares(batches, ridge)
                self.linear.weight.copy_(weight)
                self.linear.bias.copy_(bias)

        return Network()


def least_squares(batches: Iterable[tuple[Any, Any]], ridge: float) -> tuple[Any, Any]:
    """Return weight (O, H F) and bias (O,) that minimise the squared error, in float64.

    Only R of a QR decomposition is kept of what was seen: exact, and of bounded size.

    Args:
        batches: features (N, H, F) and the outputs wanted after them (N, O), in turn.
        ridge: penalty on squared weights, relative to the number of rows.
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
    solution = torch.linalg.lstsq(left, right, driver="gelsd").solution
    return solution[:-1].T, solution[-1]
