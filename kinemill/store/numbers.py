"""Numbers of documents that may be not finite: NaN and infinity in the code, null in JSON."""

import math
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer


def _or_null(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _nan_for_null(value: object) -> object:
    return math.nan if value is None else value


def _infinity_for_null(value: object) -> object:
    return math.inf if value is None else value


Number = Annotated[float, BeforeValidator(_nan_for_null), PlainSerializer(_or_null)]
"""A number that is NaN where it was not measured or not finite."""

Diverging = Annotated[float, BeforeValidator(_infinity_for_null), PlainSerializer(_or_null)]
"""An error that is infinite where the model diverges."""

Interval = tuple[Number, Number]
