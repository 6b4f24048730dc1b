"""One answer: the network gives the actions themselves."""

from typing import Any, Literal

from kinemill.models.heads._head import HEADS, Chances, Head, mean_over


@HEADS.register("deterministic")
class Deterministic(Head):
    """The actions are what the network gives; where demonstrations differ it goes between them."""

    type: Literal["deterministic"] = "deterministic"
    loss: Literal["squared", "absolute"] = "squared"

    def build(self, length: int, actions: int) -> Any:
        """Make the head."""
        from torch import Tensor, nn

        absolute = self.loss == "absolute"

        class Answer(nn.Module):
            asks = length * actions

            def forward(self, condition: Tensor, draws: Any) -> Tensor:
                del draws
                return condition.reshape(-1, length, actions)

            def loss(
                self, condition: Tensor, wanted: Tensor, counts: Tensor, chances: Chances
            ) -> Tensor:
                error = self(condition, chances) - wanted
                return mean_over(error.abs() if absolute else error.square(), counts)

        return Answer()
