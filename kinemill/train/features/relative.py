"""A coordinate relative to another row, so its origin does not matter."""

from typing import Literal

from kinemill.task.plugins import ENCODINGS, Encoding, Origin


@ENCODINGS.register("relative")
class Relative(Encoding):
    """A coordinate minus its value in another row.

    `previous` gives differences between consecutive rows. `first` and `last` are the oldest and
    newest row of a sliding window; a carried window has neither.
    """

    type: Literal["relative"] = "relative"
    to: Origin | None = None
    """the row that counts as zero; default: `previous` in a carried window, `first` in a sliding
    window"""

    @property
    def origin(self) -> Origin | None:
        """The row that counts as zero; None: the default of the window, not yet filled in."""
        return self.to

    def encode(self, values: object) -> tuple[object, ...]:
        """Return the values: (..., n) -> (..., n); the caller has subtracted the origin."""
        return (values,)
