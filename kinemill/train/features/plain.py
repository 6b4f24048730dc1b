"""The value itself."""

from typing import Literal

from kinemill.task.plugins import ENCODINGS, Encoding


@ENCODINGS.register("plain")
class Plain(Encoding):
    """The scaled value itself; the default."""

    type: Literal["plain"] = "plain"

    def encode(self, values: object) -> tuple[object, ...]:
        """Return the values: (..., n) -> (..., n)."""
        return (values,)
