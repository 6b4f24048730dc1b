"""Unit conversion: engineering spellings (`rad/s`, `N*m`, `deg`), converted to SI units by pint."""

from functools import cache
from typing import Any

from kinemill.errors import BadInput

# Most channels have one of these. The import of pint takes 0.5 s, in every command.
COMMON = frozenset(
    [
        "1",
        "rad",
        "rad/s",
        "rad/s^2",
        "deg",
        "deg/s",
        "rpm",
        "m",
        "m/s",
        "m/s^2",
        "mm",
        "s",
        "Hz",
        "N",
        "N*m",
        "kg",
        "V",
        "A",
        "W",
        "Pa",
        "bar",
    ]
)


@cache
def _registry() -> Any:
    import pint

    registry = pint.UnitRegistry()
    registry.define("kmph = kilometer / hour")  # pint reads a thousand mph
    return registry


@cache
def factor(source: str, target: str) -> tuple[float, float]:
    """Return `(scale, offset)`: a value in `source` is `scale * value + offset` in `target`.

    Raises:
        BadInput: A unit is unknown, or the dimensions differ.
    """
    units = _registry()
    _parse(source)
    _parse(target)
    try:
        zero = float(units.Quantity(0.0, source).to(target).magnitude)
        scaled = float(units.Quantity(1.0, source).to(target).magnitude)
    except Exception as error:
        raise BadInput(
            f"unit {source!r}", f"cannot be converted to {target!r}", fix=str(error)
        ) from error
    return scaled - zero, zero


def _parse(unit: str) -> Any:
    units = _registry()
    try:
        return units.parse_units(unit)
    except Exception as error:  # pint can raise errors of Python's tokenizer
        raise BadInput(
            f"unit {unit!r}",
            "is not known",
            expected="a unit such as rad, rad/s, N*m, m, m/s, V, or 1 for none",
        ) from error


def check_unit(unit: str) -> str:
    """Return `unit` if it is known.

    Raises:
        BadInput: The unit is unknown.
    """
    if unit not in COMMON:
        _parse(unit)
    return unit


def has_same_dimension(unit: str, reference: str) -> bool:
    """Return whether a value in one unit can be converted to the other."""
    return bool(_parse(unit).dimensionality == _parse(reference).dimensionality)


def is_derivative(unit: str, of: str) -> bool:
    """Return whether `unit` is the unit `of` per time, such as rad/s for rad."""
    # Quantities of units with an offset, such as degC, cannot be divided.
    ratio = _parse(of).dimensionality / _parse(unit).dimensionality
    return dict(ratio) == {"[time]": 1}


def in_unit(unit: str) -> str:
    """Return what follows a number in a message: a space and the unit, or nothing for "1"."""
    return "" if unit == "1" else f" {unit}"
