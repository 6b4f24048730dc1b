"""What every head is."""

from typing import Any, Protocol

from kinemill.task.imitation import HEADS, Head

__all__ = ["HEADS", "Chances", "Head", "HeadModule", "mean_over"]


class Chances(Protocol):
    """Random tensors of training, which follow from its seed and step."""

    def normal(self, *shape: int) -> Any:
        """Return a tensor of the standard normal distribution."""
        ...

    def uniform(self, *shape: int) -> Any:
        """Return a tensor, evenly distributed over [0, 1)."""
        ...


class HeadModule(Protocol):
    """The torch module of a head.

    Attributes:
        asks: numbers that the network is to give, E.
    """

    asks: int

    def __call__(self, condition: Any, draws: Any) -> Any:
        """Return a chunk of actions: (B, E), `Draws` -> (B, T, A)."""
        ...

    def loss(self, condition: Any, wanted: Any, counts: Any, chances: Chances) -> Any:
        """Return the loss of each row, (B,).

        Args:
            condition: (B, E).
            wanted: (B, T, A).
            counts: (B, T) 1 where an action was there to be learned, 0 where it was filled in.
            chances: what is random.
        """
        ...


def mean_over(squares: Any, counts: Any) -> Any:
    """Return the mean over what counts: (B, T, A), (B, T) -> (B,)."""
    return (squares.mean(-1) * counts).sum(-1) / counts.sum(-1)
