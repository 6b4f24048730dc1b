"""Header units: compare the unit in a column's name with the unit that the task assumes."""

import re
from functools import cache

from kinemill.errors import BadInput
from kinemill.ingest.name_heuristics import (
    STATED,
    UNITS,
    bracketed_unit,
    split_words,
    suffix_unit,
)
from kinemill.ingest.raw import Reason, reason
from kinemill.task import Source, Task
from kinemill.task.units import factor, is_derivative

_SUFFIXES = ("rad", "deg", "degrees", "rpm", "mm", "cm", "rads", "degs", "mps")


@cache
def stated_unit(column: str) -> str | None:
    """Return the unit at the end of a column's name, or None."""
    if STATED.search(column):
        return bracketed_unit(column)
    if unit := suffix_unit(column)[1]:
        return unit
    word = (split_words(column) or [""])[-1]
    return UNITS[word] if word in _SUFFIXES else None


def without_unit(column: str) -> str:
    """Return the name of a column without the unit that it ends with; a bare unit is a name."""
    name = STATED.sub("", column)
    if name == column:
        name, unit = suffix_unit(column)
        if unit is None and stated_unit(column):
            name = re.sub(r"[\s_./][A-Za-z%°]+\Z", "", column)
    return name.strip() or column


def contradicted_unit(name: str, source: Source, task: Task) -> list[Reason]:
    """Return a reason if a column states another unit than the task assumes.

    With a `scale` or `offset` in the task nothing is compared, since they convert raw values.
    """
    stated = stated_unit(source.name)
    read = source.unit or task.channels[name].unit
    if stated is None or (source.scale, source.offset) != (1.0, 0.0) or _agree(stated, read):
        return []
    return [
        reason(
            "unit",
            "header",
            f"the column {source.name!r} states {stated}, and the task reads it as {read}",
            expected="the same unit in both",
            fix=f"say channels.{name}.source: {{name: {source.name!r}, unit: {stated}}}, and a "
            f"`unit` of the same dimension; or set a scale if the name is wrong",
            channel=name,
        )
    ]


@cache
def _agree(stated: str, read: str) -> bool:
    """Return whether two units are equal; `speed_rad` may mean rad/s."""
    if is_derivative(read, stated):
        return True
    try:
        return factor(stated, read) == (1.0, 0.0)
    except BadInput:
        return False
