"""The value and its square with its sign: drag in air and water, pressure loss, servo valves."""

from typing import Any, ClassVar, Literal

from kinemill.task.plugins import ENCODINGS, Encoding


@ENCODINGS.register("signed_square")
class SignedSquare(Encoding):
    """Sign times square, for quantities such as drag, which grows with the square of a velocity."""

    parts: ClassVar[int] = 2
    type: Literal["signed_square"] = "signed_square"

    def encode(self, values: Any) -> tuple[object, ...]:
        """Return x and x |x|: (..., n) -> twice (..., n)."""
        return values, values * values.abs()
