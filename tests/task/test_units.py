"""Units, as engineers spell them."""

import math

import pytest

from kinemill.errors import BadInput
from kinemill.task.units import (
    COMMON,
    check_unit,
    factor,
    in_unit,
    is_derivative,
    rate_factor,
    read_unit,
)


@pytest.mark.parametrize(
    ("source", "target", "scale", "offset"),
    [
        ("deg", "rad", math.pi / 180, 0.0), ("rpm", "rad/s", 2 * math.pi / 60, 0.0),
        ("mN*m", "N*m", 1e-3, 0.0), ("degC", "K", 1.0, 273.15), ("1", "1", 1.0, 0.0),
        ("%", "1", 0.01, 0.0), ("N m", "N*m", 1.0, 0.0), ("turn", "rad", 2 * math.pi, 0.0),
        ("kmph", "m/s", 1 / 3.6, 0.0),
    ],
)  # fmt: skip
def test_units_convert(source, target, scale, offset):
    assert factor(source, target) == pytest.approx((scale, offset), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("pair", [("m", "rad"), ("N*m", "N"), ("s", "1/s")])
def test_units_of_different_things_do_not(pair):
    with pytest.raises(BadInput, match="cannot be converted"):
        factor(*pair)


@pytest.mark.parametrize(
    "unit", ["Nmm", "rad/", "rad/)", "(", "*", "^", "rad^", "2", "[m]", "n.m."]
)
def test_what_is_no_unit_is_refused(unit):
    with pytest.raises(BadInput, match="is not known; expected a unit such as"):
        check_unit(unit)


@pytest.mark.parametrize(
    ("unit", "of", "holds"),
    [
        ("rad/s", "rad", True), ("deg/s", "rad", True), ("m/s^2", "m/s", True),
        ("1/s", "1", True), ("rad", "rad", False), ("rad", "rad/s", False), ("N*m", "rad", False),
    ],
)  # fmt: skip
def test_a_rate_is_the_unit_per_time(unit, of, holds):
    assert is_derivative(unit, of) is holds


@pytest.mark.parametrize("unit", sorted(COMMON - {"1"}))
def test_common_units_are_units(unit):
    assert factor(unit, unit) == (1.0, 0.0)


def test_a_number_without_a_unit_stands_alone():
    assert (f"3{in_unit('rad')}", f"3{in_unit('1')}") == ("3 rad", "3")


@pytest.mark.parametrize(
    ("text", "words", "unit"),
    [
        ("Nmm", "torque", "N*mm"), ("kg-cm", "torque", "kgf*cm"), ("nm", "dist", "nautical_mile"),
        ("nm", "torque", "N*m"), ("nm", "", None), ("kg*m^2", "inertia", "kg*m^2"),
        ("kg", "thrust", "kgf"), ("kg", "mass", "kg"), ("g", "accel", "g_0"), ("m s⁻¹", "", "m/s"),
        ("rad.s-1", "", "rad/s"), ("min-1", "speed", "rpm"), ("0.01 deg", "", "cdeg"),
        ("kn", "", "knot"), ("kN", "", "kN"), ("m3/h", "", "m^3/h"), ("°C", "", "degC"),
        ("filtered", "", None), ("1e-7 deg", "", None), ("-", "", "1"), ("kPa(g)", "", "kPa"),
        ("Aeff", "", "A"), ("mOhm", "", "mohm"), ("Umdr/min", "", "rpm"),
    ],
)  # fmt: skip
def test_unit_is_read_from_the_whole_text(text, words, unit):
    assert read_unit(text, frozenset(words.split())) == unit


def test_rate_factor_of_other_units_is_their_share_of_a_unit_per_second():
    assert rate_factor("rad/s", "rad") == 1.0
    assert rate_factor("rpm", "deg") == pytest.approx(6.0)
    assert rate_factor("degC/min", "degC") == pytest.approx(1 / 60)  # no offset
    with pytest.raises(BadInput, match="cannot be converted"):
        rate_factor("N", "m")
