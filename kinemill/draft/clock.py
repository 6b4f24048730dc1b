"""Clock of a draft: the column of the timestamps, and its unit, by evidence.

A candidate is a column that rises, or falls in a log with its newest row first. Its name, dates of
our time and a regular rate speak for it, bursts against it. A quantity with the name or unit of a
physical channel is never a clock. The unit of a clock without a stated one is the hypothesis with
the highest score (`_score`): usual rates, dates of our time, and velocities that are the derivative
of positions under that unit.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from kinemill.draft.constants import (
    CLOCK_ABSURD,
    CLOCK_BURSTS,
    CLOCK_DATE_DOUBT,
    CLOCK_DATES,
    CLOCK_DOUBT,
    CLOCK_EVEN,
    CLOCK_FEWEST_NAMED,
    CLOCK_FEWEST_STAMPS,
    CLOCK_FRESH,
    CLOCK_IMPLAUSIBLE,
    CLOCK_INTEGRATES,
    CLOCK_MOST_PAIRS,
    CLOCK_RARE,
    CLOCK_RISING,
    CLOCK_SAME,
    CLOCK_STEPS,
    CLOCK_USUAL_STEP,
    FIT_ROWS,
)
from kinemill.draft.table import UNIT_WORDS
from kinemill.draft.velocity_fit import fit_line, integrals_of
from kinemill.ingest.clock import Floats, is_newest_first, unpack_times
from kinemill.ingest.name_heuristics import (
    PHYSICAL,
    STEP,
    STEP_MS,
    guess,
    is_stamp,
    plain_letters,
    rate_by,
    split_words,
)
from kinemill.ingest.raw import TICKS
from kinemill.ingest.readers._csv_layout import COLUMN
from kinemill.ingest.terms import word_set
from kinemill.task.units import has_same_dimension, rate_factor, read_unit

DAY = 86_400.0
TICK = 1e-7  # s, of FILETIME and .NET
TICK_NAMES = {"tick", "ticks", "timer", "clock"}
DURATION = {"duration", "timestep"}  # first or last word of a time step
# Usual spellings of the units of a clock, and their length in s.
_UNITS = {
    1.0: "s sec secs second seconds sek sekunden",
    1e-3: "ms msec msecs millis millisec millisecs millisecond milliseconds milli",
    1e-6: "us usec usecs micros microsec microsecs microsecond microseconds micro",
    1e-9: "ns nsec nsecs nanos nanosec nanosecs nanosecond nanoseconds nano",
    0.1: "ds decisec deciseconds",
    0.01: "cs csec centisec centiseconds",
    TICK: "filetime 100ns",
    60.0: "min mins minute minutes minuten",
    3600.0: "h hr hrs hour hours stunden",
    DAY: "day days datenum tage mjd",
    7.0 * DAY: "week weeks",
}
SPELLINGS = {word: length for length, words in _UNITS.items() for word in words.split()}
# 0.1 ms, 1/100 s, x10 ms
SCALED = re.compile(r"[*x×]?\s*(?:(\d*\.?\d+)|(\d+)/([1-9]\d*))\s*[*x×]?\s*([a-z]+)")
# Words after the unit of a clock: sec_since_boot, ms_today.
STARTS = word_set("today midnight since boot start power on epoch elapsed total running")
UNIT_NAMES = {1.0: "s", 1e-3: "ms", 1e-6: "us", 1e-9: "ns"}
# Zeros of clocks, s since 1970, by the length of their unit in s.
EPOCHS = {
    **dict.fromkeys((*UNIT_NAMES, 60.0), (("1970", 0.0),)),
    TICK: (("1601 (FILETIME)", -11_644_473_600.0), ("the year 1 (.NET)", -62_135_596_800.0)),
    DAY: (
        ("1900 (a spreadsheet)", -25_569.0 * DAY),
        ("the year 0 (MATLAB)", -719_529.0 * DAY),
        ("Julian day 0", -2_440_587.5 * DAY),
        ("modified Julian day 0", -40_587.0 * DAY),
        ("1970", 0.0),
    ),
}
CALENDAR = (5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600)  # s, steps of dated logs
UPTIMES = ((3600.0, 0.0), (30.0 * DAY, -0.5), (np.inf, -3.0))  # s since the start, and score
RARE_LENGTHS = (TICK, 60.0, 3600.0, DAY)
LENGTHS = (*UNIT_NAMES, *RARE_LENGTHS)  # s, of units without a name
FACTORS = (1.0, 57.29578, 1.0 / 57.29578)  # of a velocity and a slope, in rad or deg
FILLED = 0.5  # least share of numbers in the first column of a table
EVENLY = "it rises evenly"


@dataclass(frozen=True)
class ClockChoice:
    """The clock of a table.

    Attributes:
        name: its column.
        unit: length of its unit, s.
        rule: evidence, in words.
        remarks: what a user has to check.
        is_stated: whether its name, or its dates, show that it is a clock.
    """

    name: str
    unit: float
    rule: str
    remarks: tuple[str, ...] = ()
    is_stated: bool = True

    @property
    def spelled_unit(self) -> str:
        """Its unit, as `ingest.time_unit` spells it."""
        return spell_unit(self.unit)


def spell_unit(unit: float) -> str:
    """Return a unit of length `unit` s as `ingest.time_unit` spells it."""
    return UNIT_NAMES.get(unit) or f"{unit:.10g}"


def ticks_of(unit: str) -> float:
    """Return the ticks per second of a unit that `ingest.time_unit` spells."""
    return TICKS.get(unit) or 1.0 / float(unit)


def choose_clock(
    numbers: Mapping[str, Floats], units: Mapping[str, str] | None = None
) -> ClockChoice | None:
    """Return the clock among columns (n,), some with a stated unit; None if none is one."""
    units = units or {}
    # An oscilloscope writes its settings into the first columns of a few rows.
    counts = {name: np.count_nonzero(np.isfinite(values)) for name, values in numbers.items()}
    filled = [name for name, count in counts.items() if count > FILLED * len(numbers[name])]
    # A clock of some rows is that of one topic; it loses the others.
    ranked = [
        (score - 3.0 * (1.0 - counts[name] / len(values)), -at, name, why)
        for at, (name, values) in enumerate(numbers.items())
        for score, why in _evidence(name, values, units.get(name, ""), is_first=name in filled[:1])
    ]
    if not ranked:
        return None
    _, _, name, why = max(ranked)
    return with_unit(name, numbers, units.get(name, ""), why)


def _evidence(
    name: str, values: Floats, unit: str, *, is_first: bool
) -> Iterator[tuple[float, str]]:
    """Yield the score of a column as a clock, and the reason, if it can be one."""
    finite = values[np.isfinite(values)]
    steps = np.diff(finite)
    if len(steps) < 2 or not steps.any() or is_physical(name, unit):
        return
    steps = -steps if is_newest_first(finite) else steps
    is_rising = np.mean(steps > 0.0) > CLOCK_RISING
    # A logger that is faster than its source, or prints few digits, repeats timestamps.
    is_repeating = steps.min() >= 0.0 and np.mean(steps > 0.0) > CLOCK_FRESH
    bursts = float(np.mean(steps < 0.1 * np.mean(steps)) > CLOCK_BURSTS)
    stated = is_stamp(name) or bool(_length_of(unit or _bracketed(name)))
    if stated or ends_as_stamp(name):
        if is_rising or is_repeating:
            is_tick = bool({*split_words(name)} & TICK_NAMES)  # of unknown length
            doubt = 0.5 * (not stated) + 0.25 * is_tick
            yield 3.0 - doubt - bursts * is_rising - 2.0 * (not is_rising), "name"
    elif is_rising and guess(name).what == "unknown" and steps.min() > 0.0:
        if any(_date(length, finite) for length in UNIT_NAMES):
            yield 0.5, "it holds dates of our time"
        elif (is_first and name.startswith(COLUMN)) or (
            not name.startswith(COLUMN) and _even(steps) and not _is_counter(steps)
        ):
            yield 0.25 * is_first, EVENLY


def is_physical(name: str, unit: str = "") -> bool:
    """Return whether a column has the name or the unit of a physical channel."""
    stated = unit or _bracketed(name)
    if stated and _length_of(stated):
        return False
    unit_ = read_unit(stated) if stated else None
    if unit_ is not None and unit_ != "1" and not has_same_dimension(unit_, "s"):
        return True
    return bool(PHYSICAL & {*split_words(name)}) and not is_stamp(name)


def with_unit(
    name: str, numbers: Mapping[str, Floats], unit: str = "", why: str = "name"
) -> ClockChoice:
    """Return a clock with the most likely unit."""
    stamps = numbers[name][np.isfinite(numbers[name])]
    stamps = stamps[::-1] if is_newest_first(stamps) else stamps
    stated = _length_of(unit) or _length_in(name)
    doubt = list[str]()
    if stated and (length := _dated_length(stamps, stated)):
        doubt = [f"{name} states {_spell(stated)}, but holds dates of our time in {_spell(length)}"]
        stated = None
    motion = list(islice(_integrals(name, numbers), 1 if stated else None))
    if why == EVENLY and not name.startswith(COLUMN):  # s may be a path in m
        doubt.append(f"{name} is taken for the clock, as {why}; if it is none: --rate HZ")
    if stated:
        remarks = _contradicted_unit(name, stated, motion)
        rule = f"unit by {'unit' if unit else 'name'}"
        length = stated
    elif unpack_times(stamps) is not None:
        remarks = []
        rule = "times of the day as hhmmss"
        length = 1.0
    else:
        length, rule, remarks = _likely_unit(name, stamps, motion)
    remarks = (*remarks, *doubt)
    return ClockChoice(name, length, f"{why}, {rule}", remarks, is_stated=why != EVENLY)


def _likely_unit(name: str, stamps: Floats, motion: list[float]) -> tuple[float, str, list[str]]:
    """Return the length of the unit with the highest score, s, its evidence, and remarks."""
    steps = np.diff(stamps)
    rising = steps[steps > 0.0]
    usual = float(np.median(rising)) if len(rising) else 1.0
    is_whole = not np.mod(stamps, 1.0).any()
    scores = [(_score(length, stamps, usual, is_whole, motion), length) for length in LENGTHS]
    (best, length), (second, alternative) = sorted(scores, key=lambda item: -item[0])[:2]
    remarks = list[str]()
    is_doubtful = is_whole and bool(len(rising)) and not _fits(length, motion)
    if (date := _date(length, stamps)) is not None:
        rule = f"unit by dates since {date}"
        is_doubtful = is_doubtful and best - second <= CLOCK_DATE_DOUBT
        if date != "1970":
            remarks.append(f"{name} is taken for {_spell(length)} since {date}")
    else:
        rule = "unit by its rate" + (" and velocities" if _fits(length, motion) else "")
        is_doubtful = is_doubtful and (length != 1.0 or best - second < CLOCK_DOUBT)
        alternative = 1.0 if length == 1e-3 else alternative
    if is_doubtful:
        stated = f"ingest.time_unit: {spell_unit(alternative)}, and dt: {usual * alternative:.4g}"
        remarks.append(
            f"{name} is taken for {_spell(length)}, as its numbers are {usual:.4g} apart; "
            f"if they are {_spell(alternative)}: {stated}"
        )
    is_brief = not motion and not is_whole and date is None and np.ptp(stamps) * length < 1.0
    if len(steps) and (best < CLOCK_IMPLAUSIBLE or is_brief):
        apart = float(np.median(np.abs(steps))) * length
        remarks.append(
            f"{name} is taken for {_spell(length)}, and its rows are {apart:.3g} s apart; if that "
            f"is wrong, set ingest.time_unit to the s of a unit, as 86400 for days"
        )
    return length, rule, remarks


def _dated_length(stamps: Floats, stated: float) -> float | None:
    """Return the length of the unit in which stamps (n,) are dates, if they are absurd in `stated`.

    An example are epoch nanoseconds under the name `time_us`.
    """
    if _date(stated, stamps) or float(stamps[0]) * stated < CLOCK_ABSURD:
        return None
    return next((length for length in UNIT_NAMES if _date(length, stamps)), None)


def _contradicted_unit(name: str, stated: float, motion: list[float]) -> list[str]:
    """Return remarks if velocities are derivatives of positions under other units than stated."""
    return [
        f"{name} states {_spell(stated)}, but velocities are derivatives of positions if it is in "
        f"{_spell(length)}: ingest.time_unit: {spell_unit(length)}"
        for length in LENGTHS
        if _fits(length, motion) and not _fits(stated, motion)
    ]


def _spell(length: float) -> str:
    return UNIT_NAMES.get(length) or UNIT_WORDS.get(spell_unit(length), f"{length:g} s")


def _score(
    length: float, stamps: Floats, usual: float, is_whole: bool, motion: Iterable[float]
) -> float:
    """Return how likely the unit of stamps (n,), usually `usual` apart, is `length` s."""
    step = usual * length
    date = _date(length, stamps)
    score = -0.25 * abs(np.log10(step / CLOCK_USUAL_STEP))
    outside = max(np.log10(step / CLOCK_STEPS[1]), np.log10(CLOCK_STEPS[0] / step), 0.0)
    score -= outside
    if date is not None:
        is_calendar = any(abs(step - usual_step) < 1e-3 * usual_step for usual_step in CALENDAR)
        score = max(score, -0.5) if is_calendar else score
        score += 2.0 if date == "1970" and length in UNIT_NAMES else 1.0
    else:
        start = abs(float(stamps[0])) * length
        score += next(value for longest, value in UPTIMES if start <= longest)
        score += 0.5 if length == 1.0 else 0.0
        score -= 1.5 if length == 1.0 and is_whole and usual >= 2.0 else 0.0
        score -= CLOCK_RARE if length in RARE_LENGTHS else 0.0
    score -= 0.8 if length < 1.0 and not is_whole else 0.0
    if not _fits(length, motion):
        return float(score)
    # No other units of a position and its velocity differ by 60, as m and mm/s do by 1000.
    return float(score) + CLOCK_INTEGRATES + (CLOCK_RARE if length >= 60.0 else 0.0)


def _fits(length: float, motion: Iterable[float]) -> bool:
    """Return whether velocities are derivatives of positions under a unit of `length` s."""
    return any(
        abs(ratio * length / factor - 1.0) < CLOCK_SAME for ratio in motion for factor in FACTORS
    )


def _integrals(clock: str, numbers: Mapping[str, Floats]) -> Iterator[float]:
    """Yield the integral of each velocity per motion of its position, for a unit of 1 s."""
    stamps = numbers[clock]
    finite = stamps[np.isfinite(stamps)]
    steps = np.diff(finite)
    usual = float(np.median(np.abs(steps))) if len(steps) else 0.0
    if not usual:
        return
    order = slice(None, None, -1) if is_newest_first(finite) else slice(None)
    seconds = ((stamps - finite.min()) * CLOCK_USUAL_STEP / usual)[order][:FIT_ROWS]
    guesses = [guess(name) for name in numbers if name != clock]
    pairs = [
        (velocity, position)
        for velocity in guesses
        for position in guesses
        if (velocity.what, position.what) == ("velocity", "position")
        if velocity.index == position.index and bool(velocity.unit) == bool(position.unit)
        if not velocity.unit or has_same_dimension(velocity.unit, f"{position.unit}/s")
    ]
    for velocity, position in pairs[:CLOCK_MOST_PAIRS]:
        speed = numbers[velocity.name][order][:FIT_ROWS]
        if velocity.unit and position.unit:
            speed = speed * rate_factor(velocity.unit, position.unit)
        pair = integrals_of(seconds, speed, numbers[position.name][order][:FIT_ROWS], 0)
        if (line := fit_line([pair])) is not None and line.share > CLOCK_RISING:
            yield abs(line.ratio) * usual / CLOCK_USUAL_STEP


def _date(length: float, stamps: Floats) -> str | None:
    """Return the zero of a clock with units of `length` s that shows dates of our time, if any."""
    ends = [float(stamp) * length for stamp in stamps[[0, -1]]]
    for zero, offset in EPOCHS.get(length, ()):
        if all(CLOCK_DATES[0] < end + offset < CLOCK_DATES[1] for end in ends):
            return zero
    return None


def _bracketed(name: str) -> str:
    match = re.search(r"[(\[]([^()\[\]]*)[)\]]\s*\Z|\bin (\d.*)\Z", name)
    text = match[match.lastindex or 0] if match else ""
    return "" if text.isdigit() else text


def _length_of(text: str) -> float | None:
    """Return the length in s of a unit of time that a whole text spells, or None."""
    word = plain_letters(text).replace("μ", "u").strip().lower()
    if word in SPELLINGS or not (scaled := SCALED.fullmatch(word)) or scaled[4] not in SPELLINGS:
        return SPELLINGS.get(word)
    size = float(scaled[1]) if scaled[1] else float(scaled[2]) / float(scaled[3])
    return float(f"{size * SPELLINGS[scaled[4]]:.10g}") or None


def _length_in(name: str) -> float | None:
    """Return the length in s of the unit that brackets or a word of a name spell, or None."""
    if length := _length_of(_bracketed(name)):
        return length
    words = split_words(plain_letters(name).replace("μ", "u"))
    # time_of_week_ms counts ms, and sec_of_day s.
    # The 10ms of time_10ms is a raster.
    words = [
        word for last, word in pairwise(["", *words])
        if "of" not in {last, word} and not last.isdigit()
    ]  # fmt: skip
    named = [SPELLINGS[word] for word in words[1:] or words if word in SPELLINGS]
    return next(iter(named), SPELLINGS.get(words[0]) if _counts_since(words) else None)


def _counts_since(words: list[str]) -> bool:
    """Return whether a name is a unit of time and its start: `ms_today`, `sec_since_boot`."""
    return bool(words) and words[0] in SPELLINGS and bool(words[1:]) and {*words[1:]} <= STARTS


def ends_as_stamp(name: str) -> bool:
    """Return whether a name ends as that of a clock does: `header.stamp`, `sim_time`, `Systime`."""
    words = split_words(plain_letters(name).replace("μ", "u"))
    if {"tow", "itow", "sow"} & {*words} or _counts_since(words):
        return True
    if words and len(words[-1]) > 3 and words[-1] in SPELLINGS:
        return True
    words = words[:-1] if len(words) > 1 and words[-1] in SPELLINGS else words
    ends = {"stamp", "timestamp", "ts", "duration"} | TICK_NAMES
    return any(word in ends or word.endswith(("time", "zeit")) for word in words[-1:])


def _even(steps: Floats) -> bool:
    """Return whether nine of ten steps (n,) are the usual one."""
    usual = float(np.median(steps))
    return bool(np.quantile(np.abs(steps - usual), 0.9) <= CLOCK_EVEN * usual)


def _is_counter(steps: Floats) -> bool:
    """Return whether most steps (n,) are the same whole number."""
    usual = float(np.median(steps))
    return usual >= 1.0 and usual.is_integer() and bool(np.mean(steps == usual) > CLOCK_RISING)


def advances(stamps: Floats) -> bool:
    """Return whether a clock (n,) changes in more than half of its rows; others have few digits."""
    steps = np.diff(stamps[np.isfinite(stamps)])
    return not len(steps) or bool(np.mean(steps != 0.0) > CLOCK_FRESH)


def rate_of(stamps: Floats) -> str:
    """Return the rows (n,) per unit of a clock that repeats its numbers; empty if they never rise.

    The first and the last number may have fewer rows than the others.
    """
    rises = np.flatnonzero(np.diff(stamps) > 0.0)
    if len(rises) < 2:
        return ""
    return f"{(rises[-1] - rises[0]) / (stamps[rises[-1]] - stamps[rises[0]]):.4g}"


def rounded_hint(numbers: Mapping[str, Floats]) -> str:
    """Return a hint at a column that may be a clock with too few digits; empty if there is none."""
    for name, values in numbers.items():
        stamps = values[np.isfinite(values)]
        is_named = is_stamp(name) or ends_as_stamp(name) or bool(len(stamps) and stamps[0] >= 1e9)
        n_different = len(np.unique(stamps))
        if not is_named and (guess(name).what != "unknown" or n_different < CLOCK_FEWEST_STAMPS):
            continue
        if n_different < CLOCK_FEWEST_NAMED or (np.diff(stamps) < 0.0).any() or is_physical(name):
            continue
        unit = with_unit(name, {name: values}).unit
        rate = rate_of(stamps * unit)
        repeats = "" if n_different == len(stamps) else ", but repeats its numbers"
        return f"; {name} never falls{repeats}: --rate {rate} if it is time in {_spell(unit)}"
    return ""


def stated_rate(numbers: Mapping[str, Floats]) -> float | None:
    """Return the rate, Hz, that a column such as `fs` or `Ts` states by its only number, if any."""

    def only(name: str) -> float | None:
        is_summed = name in STEP_MS  # by `step_column`
        values = numbers.get(name, np.empty(0))[: 0 if is_summed else None]
        values = np.unique(values[np.isfinite(values)])
        return float(values[0]) if len(values) == 1 else None

    return rate_by(only)


def step_column(numbers: Mapping[str, Floats]) -> str | None:
    """Return the column of the time since the row before, which is never negative, by its name.

    A column that rises in each row counts time or rows.
    """
    for name, values in numbers.items():
        words = split_words(name)
        if words[1:] and words[-1] in SPELLINGS:
            words = words[:-1]
            is_step = "_".join(words) in {*STEP, "delta", "delta_t", "period", "interval"}
        else:
            is_step = name in STEP
        is_named = is_step or {*words[:1], *words[-1:]} & DURATION
        finite = values[np.isfinite(values)]
        if (
            is_named
            and len(finite)
            and finite.min() >= 0.0
            and np.mean(finite > 0.0) > CLOCK_RISING
            and not np.mean(np.diff(finite) > 0.0) > CLOCK_RISING
        ):
            return name
    return None
