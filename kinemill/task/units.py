"""Unit conversion: engineering spellings (`rad/s`, `N*m`, `deg`), converted to SI units by pint."""

import re
import unicodedata
from functools import cache
from typing import Any

from kinemill.errors import BadInput
from kinemill.registry import nearest

# Most channels have one of these. The import of pint takes 0.5 s, in every command.
COMMON = frozenset(
    ["1", "rad", "rad/s", "rad/s^2", "deg", "deg/s", "rpm", "m", "m/s", "m/s^2", "mm", "s", "Hz",
     "N", "N*m", "kg", "V", "A", "W", "Pa", "bar"]
)  # fmt: skip


# Words of a name that decide between two meanings of a spelling.
TORQUES = frozenset(["torque", "torques", "tau", "moment", "effort"])
FORCES = frozenset(["force", "forces", "thrust", "thrusts", "load", "lift", "drag", "tension",
                    "pull", "effort"])  # fmt: skip
ACCELERATIONS = frozenset(
    ["acc", "accel", "acceleration", "accelerations", "accelerometer", "ax", "ay", "az", "imu",
     "vibration", "shock"]
)  # fmt: skip
TEMPERATURES = frozenset(["temp", "temps", "temperature", "temperatures", "ambient", "oil", "air"])
FIELDS = frozenset(["mag", "magnetometer", "field", "magnetic", "b", "bx", "by", "bz"])
DISTANCES = frozenset(["dist", "distance", "range", "track", "route", "leg", "waypoint", "travel"])
_SI = frozenset(
    ["m", "s", "g", "A", "V", "W", "N", "Pa", "J", "Hz", "T", "K", "rad", "deg", "bar", "ohm", "F",
     "H", "l", "L", "VA", "Wh", "Ah", "C", "gf", "mol", "lx"]
)  # fmt: skip
_PREFIXES = "numcdhkMG"
# Spellings that pint does not read, or reads as another unit: `cfm` as centifermi.
_SPELLINGS = {
    "deg": "Grad degree degrees degs grad", "gauss": "Gs Gauss", "rad": "rads radian radians",
    "degC": "celsius", "h": "hr hour", "day": "d", "s": "sec secs second", "inch": "in inches",
    "ft": "feet foot", "yard": "yd", "mile": "mi miles", "nautical_mile": "nmi",
    "knot": "kn kt kts kns knots", "pound": "lb lbs", "ounce": "oz", "kgf": "kp",
    "psi": "psia psig", "gallon": "gal", "gallon/min": "gpm", "l/min": "lpm slpm",
    "ft^3/min": "cfm", "ft/min": "fpm", "ft/s": "fps", "km/h": "kph kmh kmph", "m/s": "mps",
    "deg/s": "dps", "percent": "pct perc", "metric_horsepower": "PS", "kWh": "kwh",
    "turn": "rev revs turns Umdr", "V": "volt volts", "A": "amp amps ampere", "N": "newton newtons",
    "W": "watt watts", "Pa": "pascal", "Hz": "hertz hz", "m": "meter meters metre metres",
    "ohm": "Ohm", "kohm": "kOhm", "mohm": "mOhm", "inch/min": "ipm", "lx": "lux",
    "mgauss": "mGauss", "cm^3": "cc", "g_0": "g0 gee", "thou": "mil",
    "kHz": "khz", "MHz": "mhz", "kPa": "kpa", "hPa": "hpa", "mdeg/s": "mdps", "inch/s": "ips",
    "dyne": "dyn", "K": "degK", "mA": "ma", "mV": "mv", "turn/s": "rps", "l": "liter litre",
}  # fmt: skip
_AS_WRITTEN = """degC degF rpm min h inch ft mile knot mph lbf ozf kgf kip daN psi ksi inHg mmHg
    atm torr percent ppm hp turn gauss arcmin thou mbar kg arcsec dyne fathom permille slug"""
_ATOMS = {unit: unit for unit in _AS_WRITTEN.split()} | {
    spelling: unit for unit, spellings in _SPELLINGS.items() for spelling in spellings.split()
}
_WHOLE = {  # of a whole text, in lower case
    **dict.fromkeys(("-", "--", "1", "none", "unitless", "dimensionless", "bool", "norm"), "1"),
    **dict.fromkeys(("u/min", "r/min", "rev/min", "tr/min", "tr/mn", "rot/min", "umdr/min",
                     "giri/min", "obr/min", "ob/min", "об/мин", "upm"), "rpm"),
    **dict.fromkeys(("barg", "bara"), "bar"), **dict.fromkeys(("vdc", "vac", "vrms", "veff"), "V"),
    **dict.fromkeys(("mps2", "mpss", "mss"), "m/s^2"), "arms": "A", "aeff": "A",
    "degreecelsius": "degC", "degreescelsius": "degC", "degcelsius": "degC",
    "inh2o": "inH2O", "cmh2o": "cmH2O",
    "kgcm": "kgf*cm", "kgfcm": "kgf*cm", "kgm": "kgf*m", "kgfm": "kgf*m", "gcm": "gf*cm",
    "gfcm": "gf*cm", "ozin": "ozf*inch", "ozfin": "ozf*inch", "inoz": "ozf*inch",
    "lbft": "lbf*ft", "ftlb": "lbf*ft", "lbfft": "lbf*ft", "lbin": "lbf*inch", "inlb": "lbf*inch",
    "ftlbs": "lbf*ft", "inlbs": "lbf*inch", "lbfin": "lbf*inch",
}  # fmt: skip
_WEIGHTS = {"kg": "kgf", "Kg": "kgf", "KG": "kgf", "g": "gf", "gram": "gf", "grams": "gf",
            "lb": "lbf", "lbs": "lbf", "oz": "ozf"}  # fmt: skip
_GRAVITIES = {"g": "g_0", "G": "g_0", "mg": "mg_0", "mG": "mg_0", "ug": "ug_0", "Gal": "galileo",
              "mGal": "mgalileo"}  # fmt: skip
_BY_CONTEXT = (
    (ACCELERATIONS, _GRAVITIES),
    (FIELDS, {"G": "gauss", "mG": "mgauss"}),
    (TEMPERATURES, {"C": "degC", "F": "degF", **dict.fromkeys(("mC", "cC", "dC"))}),
    (FORCES, {**_WEIGHTS, "KN": "kN"}),
)
_LENGTHS = frozenset(["m", "cm", "mm", "in", "inch", "ft"])
_TORQUE = re.compile(r"(da|[numcdhkMG]?)[Nn]([mc]?m)")
_SCALED = re.compile(
    r"(?:[x*]\s*)?(?:(\d+)\s*/\s*(\d+)|(10\^-?\d+|\d*\.?\d+(?:[eE][-+]?\d+)?))"
    r"\s*[*x ]?\s*([A-Za-z].*)"
)
_SCALES = {1e-6: "u", 1e-3: "m", 0.01: "c", 0.1: "d", 10.0: "da", 100.0: "h", 1e3: "k", 1e6: "M"}
_FACTOR = re.compile(r"\s*([*/]?)\s*([A-Za-z]+)\^?\(?([-+]?\d+)?\)?")


@cache
def read_unit(text: str, words: frozenset[str] = frozenset()) -> str | None:
    """Return the unit that a whole text spells, as pint reads it; None if it is unknown.

    Args:
        text: such as `Nmm`, `kg-cm`, `m/s²`, `min⁻¹`, `0.1 A` or `°/s`.
        words: lower-case words of the name; `nm` of a torque is N*m, of a distance nautical miles.
    """
    text = _plain_text(text)
    if text.lower() in _WHOLE:
        return _WHOLE[text.lower()]
    if scaled := _SCALED.fullmatch(text):
        numerator, denominator, number, rest = scaled.groups()
        unit = read_unit(rest, words)
        size = float(numerator) / float(denominator) if number is None else _size(number)
        return _scaled(size, unit)
    joined = re.sub(r"[-.* ()]", "", text).lower()
    if joined in _WHOLE and not any(sign in text for sign in "/^"):
        return _WHOLE[joined]
    unit = _compound(text, words)
    try:
        return None if unit is None else check_unit(unit)
    except BadInput:
        return None


def _plain_text(text: str) -> str:
    """Return a text in ASCII: `µm/s²` is `um/s2`, and `°C` degC."""
    text = text.replace("º", "°").replace("″", "arcsec").replace("′", "arcmin")
    text = unicodedata.normalize("NFKC", text).strip().removesuffix(".").removesuffix("'s")
    for sign, plain in (("μ", "u"), ("−", "-"), ("–", "-"), ("°", "deg"), ("Ω", "ohm"),
                        ("·", "*"), ("・", "*"), ("⋅", "*"), ("∙", "*"), ("•", "*"), ("×", "x"),
                        ("**", "^"), ("%", "percent"), ("‰", "permille")):  # fmt: skip
        text = text.replace(sign, plain)
    text = re.sub(r"\bdeg[\s.]+(?=[CFK]\b)", "deg", text)
    text = re.sub(r"(?<=Pa|ar|si)\s*\((g|a|abs|gauge|rel)\)\Z", "", text)  # gauge or absolute
    return re.sub(r"\s+per\s+", "/", text)


def _size(number: str) -> float:
    base, _, power = number.partition("^")
    return float(base) ** float(power) if power else float(base)


def _scaled(size: float, unit: str | None) -> str | None:
    """Return a unit with a prefix in place of a factor, where one exists."""
    if unit is None or size == 1.0:
        return unit
    prefix = next((sign for scale, sign in _SCALES.items() if abs(size / scale - 1) < 1e-9), None)
    is_prefixed = unit[:1] in _PREFIXES and unit[1:] in _SI
    head, sign, rest = unit.partition("/")
    if prefix is None or is_prefixed or not head.isalpha() or head in {"degC", "degF"}:
        return None
    try:
        return check_unit(f"{prefix}{head}{sign}{rest}")
    except BadInput:
        return None


def _compound(text: str, words: frozenset[str]) -> str | None:
    """Return a product of powers of units; None if a part is unknown."""
    # A dash or a point between letters is a product, a dash before a digit a power.
    text = re.sub(r"(?<=[A-Za-z0-9])\s*[-.]\s*(?=[A-Za-z])", "*", text)
    text = re.sub(r"\A(1\s*)?/", "1/", text)
    if text.startswith("1/"):
        head = "1"
        rest = text[1:]
    else:
        head = ""
        rest = text
    at = 0
    parts = list[tuple[str, str, str]]()
    while at < len(rest):
        match = _FACTOR.match(rest, at)
        if match is None or match.end() == at:
            return None
        sign, name, power = match[1], match[2], match[3] or ""
        if power.startswith("-") and parts:
            sign = "/"
            power = power.lstrip("-").removesuffix("1") if power == "-1" else power.lstrip("-")
        parts.append((sign, name, power))
        at = match.end() + len(rest[match.end() :]) - len(rest[match.end() :].lstrip())
    if not parts:
        return None
    spelled = head
    for sign, name, power in parts:
        unit = _atom(name, words, parts)
        if unit is None or (power and not unit.isidentifier()):
            return None
        unit = f"({unit})" if sign == "/" and not unit.isidentifier() else unit
        spelled += f"{sign or ('*' if spelled else '')}{unit}{f'^{power}' if power else ''}"
    is_per_minute = spelled in {"1/min", "min^-1"}
    is_turning = bool(words & {"speed", "rpm", "omega", "motor", "rotor", "engine", "n", "gyro",
                               "angular", "rate"})  # fmt: skip
    return "rpm" if is_per_minute and is_turning else spelled


def _atom(name: str, words: frozenset[str], parts: list[tuple[str, str, str]]) -> str | None:
    """Return the unit that a spelling without signs names, as pint reads it; None if unknown.

    `parts` are signs, names and powers of the whole unit.
    """
    is_alone = len(parts) == 1
    torque = _TORQUE.fullmatch(name)
    if torque or name == "NM":
        if words & TORQUES or (torque and name != "nm"):
            return f"{torque[1]}N*{torque[2]}" if torque else "N*m"
        return "nautical_mile" if words & DISTANCES else None
    for context, meanings in _BY_CONTEXT:
        if is_alone and words & context and name in meanings:
            return meanings[name]
    # kg*cm is a torque and kg/cm2 a pressure, but kg*m2 is an inertia.
    is_weight = any(
        length in _LENGTHS and (sign, power) in {("*", ""), ("", ""), ("/", "2")}
        for sign, length, power in parts
    )
    if is_weight and name in _WEIGHTS:
        return _WEIGHTS[name]
    if name in _ATOMS or name in _SI or (name[:1] in _PREFIXES and name[1:] in _SI):
        return _ATOMS.get(name, name)
    return _ATOMS.get(name.lower()) if len(name) > 2 else None


@cache
def _registry() -> Any:
    import pint

    registry = pint.UnitRegistry()
    registry.define("kmph = kilometer / hour")  # pint reads a thousand mph
    registry.define("gf = gram_force")
    return registry


@cache
def factor(source: str, target: str) -> tuple[float, float]:
    """Return `(scale, offset)`: a value in `source` is `scale * value + offset` in `target`.

    Raises:
        BadInput: A unit is unknown, or the dimensions differ.
    """
    if check_unit(source) == check_unit(target):
        return 1.0, 0.0
    units = _registry()
    try:
        zero = float(units.Quantity(0.0, source).to(target).magnitude)
        scaled = float(units.Quantity(1.0, source).to(target).magnitude)
    except Exception as error:
        raise BadInput(
            f"unit {source!r}",
            f"cannot be converted to {target!r}",
            expected="a unit of the same quantity",
            fix="correct the unit of the column in `source`, or the unit of the channel",
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
            fix=f"write {meant}" if (meant := _meant(unit)) else nearest(unit, sorted(COMMON)),
        ) from error


def _meant(unit: str) -> str | None:
    """Return the unit that a spelling such as `Ampere` or `Volt` stands for, or None."""
    lower = unit.lower()
    if lower in _WHOLE or lower in _ATOMS:
        return _WHOLE.get(lower) or _ATOMS[lower]
    try:
        return f"{_registry().parse_units(lower):~}".replace(" ", "") if unit != lower else None
    except Exception:  # noqa: BLE001 - pint can raise errors of Python's tokenizer
        return None


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
    if unit == f"{of}/s" and {unit, of} <= COMMON:
        return True  # as in `rate_factor`
    # Quantities of units with an offset, such as degC, cannot be divided.
    ratio = _parse(of).dimensionality / _parse(unit).dimensionality
    return dict(ratio) == {"[time]": 1}


def rate_factor(unit: str, of: str) -> float:
    """Return what 1 `unit` is in `of` per second: 1 for rad/s of rad, 6 for rpm of deg.

    Raises:
        BadInput: A unit is unknown, or `unit` is not `of` per time.
    """
    if unit == f"{of}/s" and {unit, of} <= COMMON:
        return 1.0  # the usual case, without the second that pint takes
    # Not `(unit)*s` in `of`: a temperature has an offset, its rate has none.
    return factor(unit, f"({of})/s")[0]


def in_unit(unit: str) -> str:
    """Return what follows a number in a message: a space and the unit, or nothing for "1"."""
    return "" if unit == "1" else f" {unit}"
