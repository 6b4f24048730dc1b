"""Header units: compare the unit in a column's name with the unit that the task assumes."""

import re
from functools import cache

from kinemill.errors import BadInput
from kinemill.ingest.name_heuristics import UNITS, split_words
from kinemill.ingest.raw import Reason, reason
from kinemill.task import Source, Task
from kinemill.task.units import check_unit, factor, is_derivative

# "Joint Speed (rpm)" or "speed [rpm]"; `state[hip]` without a space is an element.
_STATED = re.compile(r"(?:\(|\s\[)\s*([^()\[\]]*[A-Za-z%°][^()\[\]]*?)\s*[)\]]\s*$")
_SUFFIXES = ("rad", "deg", "degrees", "rpm", "mm", "cm", "rads", "degs", "mps")
# Units after the last separator whose capitals or signs `split_words` would lose.
_LAST = re.compile(r"[\s_./]([A-Za-z%°]+)\Z")
_SIGNED = {
    "mA": "mA", "mV": "mV", "mNm": "mN*m", "kN": "kN", "kPa": "kPa", "Hz": "Hz", "kW": "kW",
    "%": "percent", "pct": "percent", "percent": "percent",
    "°": "deg", "°C": "degC", "degC": "degC", "°F": "degF", "degF": "degF",
}  # fmt: skip
_POWER = re.compile(r"(?<=[a-z])(?=[23]\Z)")  # m/s2 is m/s^2
_SPELLED = {**_SIGNED, "°/s": "deg/s", "deg/sec": "deg/s", "rad/sec": "rad/s"}


@cache
def stated_unit(column: str) -> str | None:
    """Return the unit at the end of a column's name, or None."""
    if _STATED.search(column):
        return bracketed_unit(column)
    if unit := signed_unit(column):
        return unit
    word = (split_words(column) or [""])[-1]
    return UNITS[word] if word in _SUFFIXES else None


def without_unit(column: str) -> str:
    """Return the name of a column without the unit that it ends with; a bare unit is a name."""
    name = _STATED.sub("", column)
    if name == column and stated_unit(column):
        name = re.sub(r"[\s_./][A-Za-z%°]+\Z", "", column)
    return name.strip() or column


@cache
def signed_unit(column: str) -> str | None:
    """Return the unit such as mA, % or °C after the last separator of a name, or None."""
    last = _LAST.search(column)
    return _SIGNED.get(last[1]) if last else None


@cache
def bracketed_unit(column: str) -> str | None:
    """Return the unit in brackets at the end of a column's name, or None."""
    match = _STATED.search(column)
    return known_unit(match[1]) if match else None


@cache
def known_unit(text: str) -> str | None:
    """Return the unit that a text spells, or None if it spells none."""
    text = text.strip()
    text = _SPELLED.get(text, UNITS.get(text.lower(), _POWER.sub("^", text)))
    try:
        return check_unit(text)
    except BadInput:
        return None  # a comment, such as "(filtered)"


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
