"""Custom loss: a function in a file of the project.

def huber(error: Tensor, delta: float = 1.0) -> Tensor: ...  # (..., T, C) -> (..., T, C)
"""

from typing import ClassVar

from kinemill.errors import BadInput
from kinemill.task.own_code import OwnCode
from kinemill.task.plugins import Loss, V


class OwnLoss(OwnCode, Loss):
    """Settings of a custom loss."""

    arguments: ClassVar[tuple[str, ...]] = ("error",)
    protocol: ClassVar[type[Loss]] = Loss

    def terms(self, error: V) -> V:
        """Return the function's loss terms of errors (..., T, C), of the same shape.

        Raises:
            BadInput: The function fails, or its result is not a tensor of that shape.
        """
        terms = self.call(error)
        whole = getattr(error, "shape", ())
        if getattr(terms, "shape", None) != whole:
            shape = tuple(getattr(terms, "shape", ())) or type(terms).__name__
            raise BadInput(
                f"learn.loss: {self.type}",
                f"returns {shape}",
                expected=f"a tensor {tuple(whole)}, one term for each error",
                fix="return the terms without their mean; learn.weights and the mean follow",
            )
        return terms
