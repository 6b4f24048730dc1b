"""A linear model of the last `history` rows, fitted in closed form, with a network for the rest.

The linear part starts as the least-squares solution over all training rows, the network starts as
nothing; from there both learn through rollouts. What a network has to learn is then only what a
linear model cannot say, which takes far fewer steps (Schoukens and Ljung, 2019, section on
initializing nonlinear models from the best linear approximation).
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from kinemill.errors import BadInput
from kinemill.models._least_squares import Sees, least_squares
from kinemill.task.plugins import MODELS, Model, pick_or_none


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
    groups: list[str] = Field(
        default=[],
        description="with `local`: patterns of names, `left_*` such as, that belong together; how "
        "others of its group change from row to row is seen, too, and alone is penalized then: "
        "`ridge` counts in the spread of each change",
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
        sizes = layout.features, len(layout.outputs), layout.history
        if not self.local:
            return self._make(sizes, None)
        states, names = layout.states, [*layout.states, *layout.actions]
        columns = [names[k] for one, at in layout.groups for _ in range(one.parts) for k in at]
        numbers = [states.index(output.of) for _, output in layout.outputs]
        own = [{states[k], *layout.actions[k : k + 1]} for k in numbers]
        return self._make(sizes, Sees.of(columns, own, self.groups))

    def build_acting(self, layout: Any, sizes: tuple[int, int, int]) -> Any:
        """Make the network of a policy, `local` or not.

        An action sees itself, in the row before, and the number of its own place among what else
        is seen.

        Raises:
            BadInput: it is `local`, and sees angles, images or texts, or plans a chunk.
        """
        if not self.local:
            return self.build(*sizes)
        names, actions = layout.observation, layout.actions
        if sizes[:2] != (len(names), len(actions)):
            found = f"{sizes[0]} features of {len(names)} numbers, {sizes[1]} of {len(actions)}"
            fix = "leave out angles, images, texts and chunks, or set it to false"
            raise BadInput("learn.model.local", found, fix=fix)
        rest = [name for name in names if name not in actions]
        own = [{name, *rest[k : k + 1]} for k, name in enumerate(actions)]
        return self._make(sizes, Sees.of(names, own, self.groups))

    def build(self, inputs: int, outputs: int, history: int) -> Any:
        """Make the network of features alone.

        Raises:
            BadInput: it is `local`, and of features nobody knows which belong together.
        """
        if self.local:
            raise BadInput("learn.model.local", "true", expected="false, as part of another model")
        return self._make((inputs, outputs, history), None)

    def _make(self, sizes: tuple[int, int, int], sees: Sees | None) -> Any:
        """Make the network: (B, inputs), window (B, history - 1, inputs), the residual's carry.

        Args:
            sizes: inputs, outputs, history.
            sees: what each output sees; None: all see all.
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
                mask = torch.ones(outputs, inputs)
                if sees is not None:
                    mask = (torch.tensor(sees.own) | torch.tensor(sees.beside)).float()
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
                weight, bias = least_squares(batches, ridge, sees)
                self.linear.weight.copy_(weight)
                self.linear.bias.copy_(bias)

        return Network()
