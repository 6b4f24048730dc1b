"""A coordinate, counted from where the history begins or ends: where its zero lies is no matter."""

from typing import Any, Literal

from kinemill.spec.plugins import ENCODINGS, Encoding


@ENCODINGS.register("relative")
class Relative(Encoding):
    """Settings of the origin.

    `first`: the oldest row of the history; it is carried through a rollout, or, where the window
    slides, moves on with it. `last`: the newest row of a window that slides.
    """

    type: Literal["relative"] = "relative"
    to: Literal["first", "last"] = "first"

    @property
    def origin(self) -> Literal["first", "last"] | None:
        """The row that counts as zero."""
        return self.to

    def encode(self, values: Any) -> tuple[Any, ...]:
        """Return the values: (..., n) -> (..., n); the origin is taken off before."""
        return (values,)
