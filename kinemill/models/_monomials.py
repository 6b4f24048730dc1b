"""Products of inputs that polynomial models are made of."""

from itertools import combinations_with_replacement
from math import comb

from kinemill.errors import BadInput

MAX_MONOMIALS = 5000


def monomials_of(width: int, degree: int) -> dict[int, list[tuple[int, ...]]]:
    """Return by degree, from 2 on, which of `width` values are multiplied.

    Raises:
        BadInput: There are too many of them.
    """
    if (count := comb(width + degree, degree)) > MAX_MONOMIALS:
        message = f"{count} monomials of {width} values"
        raise BadInput(
            "learn.model",
            message,
            expected=f"at most {MAX_MONOMIALS}",
            fix="lower `degree`, or the number of values: `rows`, `size`",
        )
    return {
        index: list(combinations_with_replacement(range(width), index))
        for index in range(2, degree + 1)
    }
