"""Name heuristics: infer role, unit and preference of a column from its name.

Names are split at separators, capitals and digits: `vel_meas1` gives vel, meas and 1. Words of
other languages are translated (`terms.py`); a unit in brackets is no part of the name.
"""

import re
import unicodedata
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from kinemill.ingest.terms import translate, word_set
from kinemill.task.units import has_same_dimension, read_unit

LIMBS = {"hip", "knee", "ankle", "shoulder", "elbow", "wrist", "waist"}  # joints with stops
JOINTS = LIMBS | {"joint", "joints"}  # alone, its angle
POSITION = word_set("""pos position positions q qpos angle angles theta th phi psi roll pitch yaw
    x y z height""", JOINTS)  # fmt: skip
VELOCITY = word_set("""vel velocity velocities qd dq qdot qvel omega thetadot dot speed rate gyro
    twist vx vy vz w dtheta dphi dx""")
COMMAND = word_set("""tau torque torques trq rcou u ctrl control controls cmd command commands
    commanded action actions act force effort eff voltage tension pwm duty throttle steering steer
    pedal thrust thrusts""")
EXPLICIT = {"cmd", "command", "commands", "commanded"}  # next to which a force is measured
# Actuators whose position or speed is their command, unlike those of a motor.
ACTUATORS = word_set("valve valves damper mixer heater heaters fan fans pump pumps")
# Control surfaces, which have angles; an elevator may be a lift as well.
SURFACES = word_set("aileron ailerons ail rudder rudders rud flap flaps elevon elevons")
# A current follows from a voltage, where one is logged.
CURRENT = word_set("current currents curr cur iq amps")
# An action unless another word of the name denies it.
DRIVE = word_set("""motor motors actuator actuators servo servos input relay compressor switch
    brake drive controller thruster thrusters propeller propellers
    elevator""", CURRENT | ACTUATORS)  # fmt: skip
# A current in front of one of these is no electric one.
_AFTER_PRESENT = POSITION - {"x", "y", "z", "q"} | VELOCITY - {"dq", "w"} | word_set("""feed
    feedrate temp temperature pressure level flow time state""")  # fmt: skip
# Measured quantities, such as the temperature of a motor or the pressure behind a valve.
MEASURED = {"temp", "temps", "temperature", "temperatures", "celsius", "pressure", "level", "flow",
            "humidity", "rpm", "load"}  # fmt: skip
FEEDBACK = {"feedback", "fbk", "fb"}  # where a valve or pump is, not where it should be
_MEASURED = word_set("meas measured raw")
_ESTIMATED = word_set("filt filtered est smooth")
# Words of a reading, not of a command.
READ = word_set("actual act present real", _MEASURED | _ESTIMATED | FEEDBACK)
ANGULAR = {"angular", "gyro"}  # of a velocity
POWER = word_set("battery batt vbat vbus bus mains supply link zk")  # its voltage is no command
ROTATION = {"orientation", "quaternion", "quat"}
STRAIGHT = {"x", "y", "z", "vx", "vy", "vz", "dx", "dy", "dz", "linear", "longitudinal",
            "lateral"}  # fmt: skip
TURNING = {"angle", "angles", "theta", "th", "phi", "psi", "roll", "pitch", "yaw"} | JOINTS
_KINDS = [("action", COMMAND), ("velocity", VELOCITY), ("action", SURFACES),
          ("position", POSITION), ("action", DRIVE)]  # fmt: skip
LENGTH = word_set("""pos position x y z height depth altitude distance level length stroke
    displacement""")
# Of a set point that acts on the motor: the innermost loop follows it immediately.
EFFORT = CURRENT | {"force", "forces", "torque", "torques", "tau", "effort", "voltage", "pwm",
                    "duty", "thrust"}  # fmt: skip
# Quantities that may rise as a clock does.
PHYSICAL = word_set("""latitude longitude lat lon lng altitude alt elevation northing easting
    north east utm odometer odo mileage distance dist range energy charge capacity consumption
    fuel volume mass weight soc wh kwh ah mah lifetime turns revolutions rev encoder enc counts
    steps pulses heading course ramp cycles cadence station
    chainage""", MEASURED | LENGTH)  # fmt: skip
STAMP = word_set("time timestamp t ts stamp sec secs seconds datetime ipoc hhmmss tout")
# A number of these names is the rate or the step of all rows.
PER_SECOND = ("fs", "Fs", "FS", "fps", "FPS", "hz", "sampling_rate", "sample_rate", "fs_hz",
              "rate_hz", "sample_rate_hz", "sampling_rate_hz", "sampling_frequency")  # fmt: skip
STEP = ("Ts", "dt", "timestep", "time_step", "sample_time", "sampling_time", "sample_period",
        "sampling_period", "sample_interval", "sampling_interval", "dt_s")  # fmt: skip
STEP_MS = ("dt_ms", "sample_time_ms", "sampling_period_ms", "sampling_interval_ms")
CIRCULAR = {"sin", "sine", "cos", "cosine"}  # of an angle: its values are no angles
# Preferred variants of a quantity, best first: plain names, then measured or commanded values.
_READINGS = {
    "state": [set[str](), _MEASURED, _ESTIMATED],
    "action": [{*EXPLICIT, "con", "ctrl", "control"}, set[str](), _MEASURED, _ESTIMATED],
}
# Inputs of a controller, which are actions of the closed loop where no command is logged.
REFERENCE = word_set("""des desired ref reference target goal plan setpoint setpoints vir virtual
    joystick joy stick yoke dem demand requested""")
SETPOINT = {"set", "sp"}  # as the last word; a training_set holds data
_SAMPLES = {"train", "training", "test", "validation", "data"}
# Sensors without a state: their values follow from the motion.
SENSOR = {"sensor", "wrench", "contact", "external", "ext", "grf", "ft", "strain"}
CONTACTS = word_set("tcp ee eef flange tool foot feet plate cell")  # whose loads are measured
LOADS = {"force", "forces", "torque", "torques"}
# Disturbances and friction models are neither states nor commands; counters count rows;
# diagnostics of an estimate, a sensor or a run are no part of the robot.
_ASIDE = word_set("""fric friction disturbance gravity coriolis pert perturbation err error index
    idx frame seq counter id padding padded pad mask masks flag flags valid status variance
    variances covariance
    covariances reward rewards done dones terminations truncations terminals timeouts infos fps dt
    uptime cpu heap rssi latency jitter success heartbeat checksum crc eph epv evh evv hdop vdop
    satellites""")
ACCELERATION = word_set("""acc accel acceleration accelerations accelerometer qdd ddq ddot qddot
    qacc""")
PLANNED = "a reference of the controller, by its name: the commands are the actions"
ASIDE = "a disturbance, a model or a counter, by its name"
UNITS = {
    "rad": "rad", "deg": "deg", "degrees": "deg", "rpm": "rpm", "mm": "mm", "cm": "cm",
    "volt": "V", "volts": "V", "amp": "A", "amps": "A", "newton": "N", "rads": "rad/s",
    "degs": "deg/s", "mps": "m/s", "dps": "deg/s", "kmh": "km/h", "kph": "km/h", "kmph": "km/h",
    "bar": "bar", "mbar": "mbar", "kg": "kg", "celsius": "degC", "degc": "degC",
}  # fmt: skip
# Units at the end of any name, whose capitals or signs `split_words` would lose.
_SIGNED = word_set("""mA mV mNm Nmm Ncm Nm kNm kN kPa MPa hPa Hz kHz kW mW um uA kV kgf lbf kgcm
    % pct percent ° °C degC °F degF""")
_FAMILIES = {
    "tau": "N*m", "torque": "N*m", "trq": "N*m", "torques": "N*m", "effort": "N*m", "force": "N",
    "voltage": "V", "current": "A", "currents": "A", "forces": "N", "voltages": "V",
}  # fmt: skip
DEFAULT_UNITS = {*_FAMILIES.values()}
# Words of a torque that is in counts, or in relation to another one.
_RELATIVE = word_set("""pu raw count counts adc lsb digits ticks normalized norm permille
    perc percent pct rated""")
# Units of the quantities that words of a name state: a suffix of their dimension is a unit.
_QUANTITIES = {
    "N*m": word_set("tau torque torques trq effort"),
    "N": word_set("force forces thrust thrusts effort load tension fx fy fz"),
    "A": CURRENT,
    "V": word_set("voltage voltages volt vbat v batt bus tension"),
    "W": {"power", "p"},
    "J": {"energy"},
    "A*s": word_set("charge capacity consumed"),
    "Pa": word_set("pressure press p"),
    "K": word_set("temp temps temperature temperatures ambient"),
    "m^3/s": {"flow"},
    "m/s^2": ACCELERATION | {"ax", "ay", "az"},
    "m/s": VELOCITY | word_set("v tas ias sog stw airspeed groundspeed gspd"),
    "rad/s": VELOCITY | {"yawrate", "rollrate", "pitchrate"},
    "rad": TURNING | POSITION | SURFACES,
    "m": LENGTH | word_set("positions alt dist range travel easting northing elevation odometer"),
    "Hz": {"frequency", "freq"},
    "percent": word_set("tau torque torques effort force duty pwm throttle valve level"),
    "s": word_set("pwm servo throttle"),
}
# A factor in front of or behind a unit: `current_10mA`, `angle_degE2`.
_SCALED = re.compile(
    r"(?i:(?<![a-z])\d+[muk]?(a|v|nm|n|w|m|deg|rad|rpm|pa|g)\Z)|[a-z]E\d+\Z"
    r"|[\[(]\s*(?:1\s*/|[x*×]|10\^-?|1[eE][-+]?)\s*\d+\s*[\])]\s*\Z"
)
_LETTERS = set("VAWNKgvawn")  # that are units of a quantity; others are indices
_SHORT = {"in", "min", "mi", "dc"}  # words as well
_SI = ("A", "V", "W", "N", "Pa", "Nm", "Nmm", "Ncm", "Wh", "Ah", "J", "Hz", "T", "m", "s", "g",
       "rad", "deg", "bar", "ohm")  # fmt: skip
_MEGA = {"Pa"}  # of which nobody logs the thousandth
_MILLI = set(_SI) - _MEGA - {"W", "N", "J", "Hz", "Wh", "ohm"}  # nor the million times of these


def _without_capitals() -> dict[str, str]:
    """Return SI units by their spelling in lower case; that of `mw`, mW or MW, is empty."""
    units = dict[str, str]()
    for unit in _SI:
        for prefix in ("", "n", "u", "m", "c", "d", "da", "h", "k", "M", "G"):
            is_unclear = prefix in {"m", "M"} and unit not in (_MEGA if prefix == "M" else _MILLI)
            key = f"{prefix}{unit}".lower()
            units[key] = units.get(key) or ("" if is_unclear else f"{prefix}{unit}")
    return units


_LOWER = _without_capitals()
_AXES = {"x", "y", "z"}
# Units of fields of standard ROS messages (REP 103), such as twist.linear.x and cmd_vel.angular.z.
_FIELDS = {
    ("pose", "position"): "m", ("transform", "translation"): "m", ("twist", "linear"): "m/s",
    ("vel", "linear"): "m/s", ("twist", "angular"): "rad/s", ("vel", "angular"): "rad/s",
    ("angular", "velocity"): "rad/s", ("linear", "acceleration"): "m/s^2",
}  # fmt: skip
# Units of the last words of `vehicle_local_position` of PX4, in its uORB definition.
_LOCAL = {
    **dict.fromkeys(_AXES, "m"), **dict.fromkeys(("vx", "vy", "vz", "deriv"), "m/s"),
    **dict.fromkeys(("ax", "ay", "az"), "m/s^2"), "bottom": "m", "heading": "rad",
}  # fmt: skip
# "Joint Speed (rpm)" or "speed [rpm]"; `state[hip]` without a space is an element.
STATED = re.compile(
    r"(?:\(|\s\[|\{|<)\s*([^()\[\]{}<>]*(?:[^\W\d_]|[%‰°′″\-])[^()\[\]{}<>]*?)\s*[)\]}>]\s*$"
)
# `speed[rpm]` and `speed/rpm`, if it is a known unit: `q[hip]` is an element, `/arm/pos` a topic.
_CLOSE = re.compile(r"(?<=[^\s/])\[([^\[\]]*[^\d\[\]][^\[\]]*)\]\Z|,\s*([^,]*[^\W\d_][^,]*)\Z"
                    r"|(?<=[^\s/])/((?:1/)?[A-Za-z%°µ][^\s]*)\Z")  # fmt: skip
_COMMENT = re.compile(r"[^A-Za-z%°]*|.*[A-Za-z]{5,}.*|\S+(\s+\S+){2,}")  # if it is no known unit
_COPY = re.compile(r"(?<=[)\]])(\[\d+\]|_\d+)\Z")  # number of a repeated name
_COMMENTS = {"raw", "cmd", "left", "meas", "est", "ref", "set", "act", "abs", "rel", "avg", "mean",
             "fl", "fr", "rl", "rr", "x", "y", "z", "max", "filt", "opt", "new", "old"}  # fmt: skip
# qDDot is the acceleration next to qDot; KUKA writes Ist and Soll of axes in these words;
# i_q is the current of a motor along its q axis.
_COMPACT = (
    r"(?i)(?<![a-z])([ivu][abcdq]|[a-z])(soll|ref|set|cmd|des|act|meas|fbk"
    r"|(?<![dlh])ist)(?![a-z])"
)  # nsoll, iqref; no dist, list or hist
_SPELLED = {
    r"St(ee)?rg?Whl": "steering_wheel", r"\bSP_INT\b": "setpoint", r"\bPV_IN\b": "measured",
    r"\bScaledInput\b": "measured",
    r"(?<=[a-z])DDot": "_ddot", r"AIPos|RIst": "measured_pos", r"ASPos|RSol": "target_pos",
    r"(?i:(?<=rudder)[ _]?order)": "_command",
    r"\b[iI]_q\b": "iq", r"\b[iI]_d\b": "current_direct",
    r"\b0x[\dA-Fa-f]+(?=\W+\w)": "",  # number of an object of CANopen
    r"\bcontroller\.input_(?=pos|vel|torque)": "setpoint_",  # of ODrive
    _COMPACT: r"\1_\2",
}  # fmt: skip
# Letters without a decomposition, Greek ones of formulas (μ is micro), and a dot above one.
_LETTERS_SPELLED = str.maketrans({
    "ß": "ss", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "đ": "d", "ı": "i",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "θ": "theta", "ϑ": "theta",
    "φ": "phi", "ϕ": "phi", "ψ": "psi", "ω": "omega", "τ": "tau", "λ": "lambda",
})  # fmt: skip
_DOTTED = re.compile(r"(?<![^\W\d_])([^\W\d_])[\u0307\u0308](?![^\W\d_])")
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")


@dataclass(frozen=True)
class Guess:
    """Result of the heuristics: `family` groups variants of one quantity, as `tau 1`.

    `label` is another name of the column, where that is more descriptive than `name`; `rule` is
    the one that decided about the role.
    """

    name: str
    role: str | None  # state, action, observation, or None if it should not be learned
    what: str  # position, velocity, acceleration, sensor, action, reference or unknown
    unit: str | None
    family: str
    index: str  # of the joint: the digits at the end
    preference: int  # of variants of a family, the one with the lowest value is used
    turning: bool
    label: str = ""
    doubt: str = ""  # what is unclear about its unit
    rule: str = "name"


def split_words(name: str) -> list[str]:
    """Split a column's name into lower-case words and numbers; other languages become English."""
    return list(_split(name))


@lru_cache(4096)  # the logs of a robot repeat their names
def _split(name: str) -> tuple[str, ...]:
    plain = plain_letters(name)
    for spelling, words in _SPELLED.items():
        plain = re.sub(spelling, words, plain)
    return tuple(translate([token.lower() for token in _TOKEN.findall(plain)]))


def plain_letters(text: str) -> str:
    """Return a text without accents: `Öl` is `Ol`."""
    plain = _DOTTED.sub(r"\1dot", unicodedata.normalize("NFD", text))
    plain = plain.replace("\u0307dot", "ddot").translate(_LETTERS_SPELLED)
    parts = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def unit_text(name: str) -> str | None:
    """Return what the brackets at the end of a name hold, if it is no comment; None without any."""
    name = _COPY.sub("", name)
    match = STATED.search(name)
    if match is None:
        close = _close(name)
        return None if close is None else close[close.lastindex or 0]
    is_round = match[0].rstrip().endswith(")")
    is_comment = is_round and (match[1].lower() in _COMMENTS or is_no_unit(match[1]))
    return None if is_comment and read_unit(match[1], _context(name)) is None else match[1]


def _close(name: str) -> re.Match[str] | None:
    """Return the unit at the end of a name behind a comma or a slash, or in close brackets."""
    at = 0
    while match := _CLOSE.search(name, at):
        words = _words_of(name[: match.start()])
        text = match[match.lastindex or 0]
        is_rest = text in {"h", "min", "s"} and not words & (STAMP | _QUANTITIES["s"])  # of BTU/h
        if read_unit(text, words) and not is_rest:
            break
        at = match.start() + 1
    # The s of `speed m/s` is a part of a unit.
    is_part = match is not None and bool(read_unit(re.split(r"[\s_]", name)[-1]))
    return None if is_part else match


def is_no_unit(text: str) -> bool:
    """Return whether a text that is no known unit is a remark, and not an unknown unit."""
    return _COMMENT.fullmatch(text) is not None


def without_brackets(name: str) -> str:
    """Return a name without the unit in brackets that it ends with."""
    copy = _COPY.search(name)
    bare = STATED.sub("", _COPY.sub("", name))
    if close := _close(bare) if unit_text(name) else None:
        bare = bare[: close.start()]
    return bare.strip() + (copy[1] if copy else "") or name


def bracketed_unit(name: str) -> str | None:
    """Return the unit in brackets at the end of a name; None without any, or if it is unknown."""
    text = unit_text(name)
    return None if text is None else read_unit(text, _context(name))


def _context(name: str) -> frozenset[str]:
    return _words_of(STATED.sub("", _COPY.sub("", name)))


def _words_of(name: str) -> frozenset[str]:
    return frozenset(split_words(name))


@cache
def suffix_unit(name: str) -> tuple[str, str | None]:
    """Return a name without the unit that its last words spell, such as `current_ma`, and the unit.

    A suffix is a unit if it has the dimension of the quantity that the name states. In other names
    only units whose capitals or signs are clear are known.
    """
    starts = [match.start() for match in re.finditer(r"(?<![^\s_.])[^\s_.]", name)]
    humps = [match.start() for match in re.finditer(r"(?<=[a-z0-9])[A-Z]", name)]
    suffixes = starts[max(1, len(starts) - 3) :]
    for start in [*suffixes, *(hump for hump in humps[-2:] if hump > starts[-1])]:
        bare = name[:start].rstrip(" _./")
        if unit := _unit_of(name[start:], bare, is_hump=start not in starts):
            return bare, unit
    return name, None


def _unit_of(text: str, bare: str, *, is_hump: bool) -> str | None:
    """Return the unit that the end of a name spells after `bare`; None if it is none of it."""
    words = _words_of(bare)
    parts = re.split(r"[\s_.]+", text)
    # Of motor_V; motor_A may be the first of two.
    is_drive = text == "V" and bool(words & DRIVE) and not bare.isupper()
    if len(parts) == 1 and (text in _SIGNED or is_drive or ("/" in text and not is_hump)):
        return read_unit(text, words)
    if text == "in" and words & _QUANTITIES["m"]:
        return "inch"  # stroke_in
    if len(parts) == 1 and (text.lower() in _SHORT or (len(text) == 1 and text not in _LETTERS)):
        return None
    plain = [_LOWER.get(part, part) for part in map(_lower, parts)]
    has_capitals = is_hump or f"{bare}{text}".isupper()
    spellings = [plain] if has_capitals else [parts, plain]
    if parts[1:2] == ["per"]:
        spelled = ["/".join(spelling[::2]) for spelling in spellings]
    elif len(parts) == 3:
        spelled = [f"{plain[0]}/{plain[1]}^2"] if parts[2] == "2" else []
    elif parts[0] == "in" and parts[1] not in {"s", "min", "lb", "oz"}:  # `force in kN`
        spelled = []
    else:
        spelled = [sign.join(spelling) for spelling in spellings for sign in "/*"]
    quantities = _quantities(words) or (("m/s", "rad/s") if parts[1:] else ())
    units = (unit for item in spelled if (unit := read_unit(item, words)))
    return next((unit for unit in units if any(_is_of(unit, of) for of in quantities)), None)


def _lower(text: str) -> str:
    return text.lower().replace("μ", "u").replace("µ", "u")


def _quantities(words: Set[str]) -> tuple[str, ...]:
    """Return a unit of each quantity that words state."""
    return tuple(unit for unit, vocabulary in _QUANTITIES.items() if words & vocabulary)


def _is_of(unit: str, quantity: str) -> bool:
    """Return whether a unit is one of a quantity; for pint, angles and shares have no dimension."""
    is_share = unit in {"percent", "permille", "ppm", "1"}
    return has_same_dimension(unit, quantity) and is_share == (quantity == "percent")


@cache
def guess(name: str, label: str = "") -> Guess:
    """Infer the meaning of a column from its name or its label."""
    full_name = label or name
    spelled = unit_text(full_name)
    if spelled is None:
        bare, stated = suffix_unit(full_name)
    else:
        bare, stated = without_brackets(full_name), bracketed_unit(full_name)
    parts = split_words(bare)
    tokens = set(parts)
    # A hand has an index finger; in other names the word `index` means a row counter.
    ignored = {"index"} if label else set[str]()
    # id1_position is of the first motor.
    ignored |= {a for a, b in pairwise(parts[:-1]) if a == "id" and b.isdigit()}
    # /vehicle/velocity_status.heading_rate is what a vehicle reports about its motion.
    last = next((part for part in reversed(parts) if not part.isdigit()), "")
    ignored |= {"status"} if last in POSITION | VELOCITY | ACCELERATION | MEASURED else set[str]()
    is_term = "pid" in tokens and parts[-1] in {"p", "i", "d", "ff"}
    aside = is_term or bool(tokens & (_ASIDE - ignored))
    if parts[:1] == ["u"] and len(parts) > 1 and stated and _is_of(stated, "V"):
        parts[0] = "voltage"  # U_ZK [V]; u alone is an input
    is_measured = bool({*split_words(full_name)} & MEASURED)
    what = _what(parts, is_measured=is_measured, unit=stated)
    role = None if aside else ROLES.get(what, "state")
    digits = [part for part in parts if part.isdigit()]
    readings = _READINGS["action" if role == "action" else "state"]
    reading_words = set[str]().union(*readings)
    preference = next(
        (rank for rank, synonyms in enumerate(readings) if synonyms and synonyms & tokens),
        readings.index(set()),
    )
    reading_words |= set(UNITS) | _ASIDE | REFERENCE
    reading_words |= SETPOINT if what == "reference" else set[str]()
    family = " ".join(part for part in parts if part not in reading_words)
    unit = stated
    if spelled is None:
        unit = unit or _unit(full_name, parts, what)
    unit = f"{unit}/s" if what == "velocity" and unit in {"rad", "deg"} else unit
    return Guess(
        name,
        role,
        what,
        unit,
        family or " ".join(parts),
        digits[-1] if digits else "",
        preference,
        bool(tokens & TURNING) and not tokens & (MEASURED | CIRCULAR),
        label,
        _doubt(full_name, spelled) if unit is None else "",
        "change" if what == "unknown" else "name",
    )


ROLES = {"action": "action", "reference": None, "acceleration": "observation",
         "sensor": "observation"}  # fmt: skip


def _what(parts: list[str], *, is_measured: bool, unit: str | None) -> str:
    tokens = set(parts)
    named = [part for part in parts if not part.isdigit()]
    is_setpoint = len(named) > 1 and named[-1] in SETPOINT and not tokens & _SAMPLES
    quantities = COMMAND | VELOCITY | POSITION | MEASURED
    is_set = any(word == "set" and after in quantities for word, after in pairwise(parts))
    is_stick = ("rc", "in") in pairwise(parts)
    if tokens & REFERENCE or is_setpoint or is_set or is_stick:
        return "reference"
    if tokens & ACCELERATION and not tokens & (EXPLICIT | {"pedal", "actuators"}):
        return "acceleration"
    is_sensor = tokens & SENSOR and tokens & (COMMAND | SENSOR - {"sensor", "external", "ext"})
    is_contact = tokens & CONTACTS and tokens & LOADS and not tokens & {"action", "actions"}
    if (is_sensor or is_contact) and not tokens & EXPLICIT:
        return "sensor"
    is_supply = "dc" in tokens and bool(tokens & {"voltage", "current"})
    is_supply &= not tokens & DRIVE - CURRENT
    is_supply |= bool(tokens & POWER) and not tokens & ACTUATORS  # a supply_fan
    if is_supply or tokens & (ROTATION | CIRCULAR):
        return "position" if tokens & ROTATION else "unknown"
    words = tokens - _denied(parts, is_measured=is_measured) - _contradicted(tokens, unit)
    for what, vocabulary in _KINDS:
        if words & vocabulary:
            return what
    is_output = tokens & {"pid", "ctrl", "heat"} and parts[-1] in {"out", "output"}
    is_output = is_output or ("rc", "out") in pairwise(parts)  # channels of MAVROS
    # V_IN of a circuit, flow_in of a tank
    is_input = parts[-1:] == ["in"] and not tokens & _QUANTITIES["m"]
    return "action" if is_output or is_input else "unknown"


def _denied(parts: list[str], *, is_measured: bool) -> set[str]:
    """Return words that name nothing next to the others, such as motor in motor_temperature."""
    tokens = set(parts)
    if any(a == "current" and b in _AFTER_PRESENT for a, b in pairwise(parts)):
        return {"current"}  # current_feedrate is the present one
    read = {("control", "state"), ("controller", "state"), ("controller", "input")}
    if read & {*pairwise(parts)}:  # what it uses
        return {"control", "controller", "input"}
    is_actual = "act" in tokens and any(part.isalpha() and part != "act" for part in parts)
    denied = {"act"} if is_actual else set[str]()
    if is_measured:
        return denied | JOINTS | DRIVE
    if tokens & {"state", "status"}:  # carState.steeringAngle
        return {"steering", "steer", "throttle", "brake"}
    # The measured current of a motor is often its only command.
    return denied | (DRIVE - CURRENT if tokens & FEEDBACK else set())


def _contradicted(tokens: set[str], unit: str | None) -> set[str]:
    """Return words that name no motion: the W of heater_power_W, the axis in Y1_valve_mA.

    A speed in percent of an actuator is its command.
    """
    if unit is None:
        return {*_AXES} if tokens & (CURRENT | {"power"}) else set()
    if unit == "percent":
        return VELOCITY if tokens & (ACTUATORS | {"compressor"}) and not tokens & READ else set()
    is_motion = any(has_same_dimension(unit, motion) for motion in ("m", "rad", "m/s", "rad/s"))
    return set() if is_motion else {*_AXES, "q", "w"}


def _doubt(name: str, spelled: str | None) -> str:
    """Return what is unclear about the unit of a name; empty if it states none."""
    if spelled is not None:
        return f"the unit {spelled!r} is not known"
    if last := _unclear_unit(name):
        return f"the unit {last!r} in its name is not known"
    return "the factor of the unit in its name is not known" if _SCALED.search(name) else ""


def _unclear_unit(name: str) -> str:
    """Return the last word of a name if it may be a unit, but not one of its quantity."""
    last = re.split(r"[^A-Za-zµ°%]+|(?<=[a-z0-9])(?<!deg)(?=[A-Z][A-Za-z]*\Z)", name)[-1]
    is_tag = bool({*split_words(name)[-1:]} & {"command", "measured", "setpoint"})  # LIC101.MV
    is_short = is_tag or (len(last) == 1 and last not in "gG")
    is_known = _lower(last) in _LOWER or last.endswith("degC")
    is_unit = is_known or read_unit(last, _words_of(name)) is not None
    return last if is_unit and not is_short and last.lower() not in _SHORT else ""


def _unit(name: str, parts: list[str], what: str) -> str | None:
    tokens = set(parts)
    last = parts[-1] if parts[1:] else ""
    is_prefixed = re.search(r"(?:(?<![A-Za-z])[mcd]|(?:[mcd]|(?<=[a-z])[MCD])deg)C\W*\Z", name)
    if _SCALED.search(name) or (last == "m" and not tokens & _QUANTITIES["m"]):
        return None
    if last == "m" or (last == "c" and tokens & _QUANTITIES["K"] and not is_prefixed):
        return "m" if last == "m" else "degC"
    words = re.split(r"[^a-zµ°%]+", name.lower())
    # Next to these, a unit is a part of another one.
    is_part = bool({*words} & {"per", "s", "min", "h", "hr", "hour", "hours", "n", "kn"})
    stated = [UNITS[word] for word in words if word in UNITS and not is_part]
    quantities = _quantities(tokens)
    if stated and (not quantities or any(_is_of(stated[0], of) for of in quantities)):
        return stated[0]
    is_default = (what == "action" or tokens & POWER) and not tokens & _RELATIVE
    named = [_FAMILIES[part] for part in parts if part in _FAMILIES and is_default]
    # The last one: /torque_cmd.currents[0] holds A.
    return _field_unit(parts) or (named[-1] if named and not _unclear_unit(name) else None)


def _field_unit(parts: list[str]) -> str | None:
    """Return the unit of a field of a ROS or PX4 message."""
    field = _FIELDS.get((parts[-3], parts[-2])) if len(parts) > 2 and parts[-1] in _AXES else None
    if field is None and ("local", "position") in pairwise(parts):
        return "m/s^2" if ACCELERATION & {*parts} else _LOCAL.get(parts[-1])
    return field


def rate_by(number: Callable[[str], float | None]) -> float | None:
    """Return the rate, Hz, that a usual name states, such as `fs` or `Ts`; None without one.

    `number` returns the number under a name.
    """
    for name in (*PER_SECOND, *STEP, *STEP_MS):
        value = number(name)
        if value is not None and 0.0 < value < 1e9:
            second = 1000.0 if name in STEP_MS else 1.0
            return value if name in PER_SECOND else second / value
    return None


def is_straight(name: str) -> bool:
    """Return whether a quantity is along an axis by name, such as position.x; `gyro_z` is not."""
    words = set(split_words(name))
    return bool(words & STRAIGHT) and not words & (ANGULAR | TURNING | ROTATION)


def is_stamp(name: str) -> bool:
    """Return whether a column is probably the clock of the log."""
    parts = split_words(name)
    return bool(parts) and parts[0] in STAMP and name != "Ts"  # a sampling time
