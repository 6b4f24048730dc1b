"""Logarithm on both sides of zero, for channels that span decades, such as flows and forces."""

from typing import Any, Literal

from pydantic import Field

from kinemill.task.bounds import PositiveQuantity
from kinemill.task.plugins import ENCODINGS, Encoding


@ENCODINGS.register("signed_log")
class SignedLog(Encoding):
    """Sign times logarithm, for values over several orders of magnitude."""

    type: Literal["signed_log"] = "signed_log"
    linear: PositiveQuantity = Field(
        default=1.0, description="end of the linear range, in the channel's unit"
    )

    def encode(self, values: Any) -> tuple[object, ...]:
        """Return asinh(x / linear), ±log(2 |x| / linear) for large |x|: (..., n) -> (..., n)."""
        import torch

        return (torch.asinh(values / self.linear),)
