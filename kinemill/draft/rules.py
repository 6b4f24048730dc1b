"""Facts about the columns of a log, and the rules that leave columns out of a draft.

The facts of a column are computed once; the first rule of `RULES` that applies to them decides. A
name alone is no evidence of a status: the mode of a beam is its shape. So a status also needs few
different values, all whole numbers, and a column without a descriptive name even fewer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from kinemill.draft.clock import ends_as_stamp, is_physical
from kinemill.draft.column import Column
from kinemill.draft.column_relations import find_differences, find_powers, letter_columns
from kinemill.draft.constants import (
    FIT_ROWS,
    RELATION_SAME,
    RULE_CLOCK_UNITS,
    RULE_EPOCH,
    RULE_FEWEST_NUMBERED,
    RULE_MOST_FLAGS,
    RULE_MOST_MODES,
    RULE_NUMBERED,
)
from kinemill.draft.input_evidence import is_held
from kinemill.draft.table import Reason, Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import EXPLICIT, STAMP, Guess, guess, split_words
from kinemill.ingest.raw import split_index
from kinemill.ingest.readers._episodes import NAMES as MARKS
from kinemill.ingest.terms import word_set
from kinemill.task.units import factor, has_same_dimension

LARGEST = float(np.finfo(np.float32).max)
OBSERVATIONS = {"obs", "observation", "observations"}  # groups of a log
_COUNTED = word_set("count counter cycle cycles shot shots part parts")
_STATUS = word_set("""statusword controlword mode modes bit bits bitmask digital safety estop
    enabled running ready fault faults alarm alarms warning warnings code armed connected online is
    has""")


@dataclass(frozen=True)
class Facts:
    """What the name and the rows of a column show.

    Attributes:
        name: of the column.
        values: its samples (n,).
        meaning: its meaning by name.
        is_letter: whether it holds the character codes of a text, next to others.
        same_as: another column with the same numbers; empty without any.
        seconds: times of its samples (n,).
    """

    name: str
    values: Floats
    meaning: Guess
    is_letter: bool = False
    same_as: str = ""
    seconds: Floats = field(default_factory=lambda: np.empty(0))

    @cached_property
    def words(self) -> list[str]:
        """Words of the name."""
        return split_words(self.name)

    @cached_property
    def finite(self) -> Floats:
        """Finite samples (k,)."""
        return self.values[np.isfinite(self.values)]

    @cached_property
    def steps(self) -> Floats:
        """Differences of finite samples (k - 1,)."""
        return np.diff(self.finite)

    @property
    def never_falls(self) -> bool:
        """Whether no sample is below the one before."""
        return len(self.steps) > 0 and bool(self.steps.min() >= 0.0)

    def __str__(self) -> str:
        """Facts in words, for `kinemill new --explain`."""
        if not len(self.finite):
            return "no numbers"
        share_held = float(np.mean(self.steps == 0.0)) if len(self.steps) else 1.0
        rising = float(np.mean(self.steps > 0.0)) if len(self.steps) else 0.0
        missing = 1.0 - len(self.finite) / len(self.values)
        kind = "whole numbers" if not np.mod(self.finite, 1.0).any() else "numbers"
        return (
            f"{self.meaning.what} by name, unit {self.meaning.unit or 'unknown'}; {kind} "
            f"{self.finite.min():.4g} to {self.finite.max():.4g}, held {share_held:.0%}, "
            f"rising {rising:.0%}, missing {missing:.1%}"
        )


@dataclass(frozen=True)
class Rule:
    """A rule that leaves a column out.

    Attributes:
        name: of the rule.
        reason: returns why a column is left out; empty if it is not.
    """

    name: str
    reason: Callable[[Facts], str]


def _counter(facts: Facts) -> str:
    """Rise by the same whole number in each row, but for a few rows; vectors do not count."""
    if (
        len(facts.finite) < len(facts.values)
        or len(facts.values) <= RULE_FEWEST_NUMBERED
        or split_index(facts.name)[1] is not None
        or facts.meaning.what != "unknown"
    ):
        return ""
    step = float(np.max(facts.steps))
    is_count = facts.never_falls and not np.mod(facts.finite, 1.0).any()
    if step == 1.0 and is_count and {*facts.words} & _COUNTED:
        return "a counter: it rises by 1"
    step = float(np.median(facts.steps))
    is_counter = step >= 1.0 and step.is_integer() and np.mean(facts.steps == step) > RULE_NUMBERED
    return f"a counter: it rises by {step:g} in each row" if is_counter else ""


def _clock(facts: Facts) -> str:
    """Never fall, and have the name of a timestamp, be dates, or rise as the clock does."""
    is_named = {*facts.words[:1], *facts.words[-1:]} & STAMP or ends_as_stamp(facts.name)
    is_date = (
        len(facts.finite) and facts.finite[0] >= RULE_EPOCH and facts.meaning.what == "unknown"
    )
    is_clock = facts.never_falls and (is_named or is_date or _is_even(facts))
    is_clock = is_clock and not is_physical(facts.name)
    return "another clock: it rises with time" if is_clock else ""


def _is_even(facts: Facts) -> bool:
    """Return whether a column without a descriptive name rises as the time does in some unit.

    It may start at another value, drift, and come late by up to a row.
    """
    if len(facts.finite) <= RULE_FEWEST_NUMBERED or facts.meaning.what != "unknown":
        return False
    if len(facts.seconds) != len(facts.finite):
        return False
    every = max(1, len(facts.finite) // FIT_ROWS)  # a copy of a long log takes memory
    seconds = facts.seconds[::every] - facts.seconds[0]
    values = facts.finite[::every] - facts.finite[0]
    slope = float(np.polyfit(seconds, values, 1)[0])
    late = np.ptp(values - slope * seconds)
    is_close = late <= slope * float(np.median(np.diff(facts.seconds[:FIT_ROWS])))
    return bool(is_close) and any(abs(slope / unit - 1.0) <= 1e-3 for unit in RULE_CLOCK_UNITS)


def _oversized(facts: Facts) -> str:
    """Hold a number that float32, the type of models, cannot hold."""
    is_oversized = bool(np.any(np.abs(facts.finite) > LARGEST))
    return f"holds numbers beyond {LARGEST:.2g}: no measurement" if is_oversized else ""


RULES = (  # the first one that applies decides
    Rule("counter", _counter),
    Rule("episode mark", lambda facts: "marks episodes" if facts.name in MARKS else ""),
    Rule("size", _oversized),
    Rule("clock", _clock),
    Rule("text", lambda facts: "a letter of a text" if facts.is_letter else ""),
    Rule(
        "next row",
        lambda facts: "a value of the following row, by its name" if "next" in facts.words else "",
    ),
    Rule(
        "copy", lambda facts: f"the same numbers as {facts.same_as}" if facts.same_as else ""
    ),
)  # fmt: skip


def facts_of(table: Table, copies: Mapping[str, str]) -> list[Facts]:
    """Return the facts of all columns of a log, of which some are `copies` of others."""
    letters = letter_columns(table)
    return [
        Facts(
            name,
            values,
            guess(name, table.labels.get(name, "")),
            name in letters,
            copies.get(name, ""),
            seconds,
        )
        for name, (seconds, values) in table.values.items()
    ]


def left_out_reason(facts: Facts) -> Reason | None:
    """Return why the first rule that applies leaves a column out; None if none does."""
    reasons = (Reason(why, rule.name) for rule in RULES if (why := rule.reason(facts)))
    return next(reasons, None)


def copies_in(tables: Sequence[Table]) -> dict[str, str]:
    """Return the columns that repeat another one exactly wherever they change, and that one."""
    originals: dict[str, list[str]] = {}
    for table in tables:
        for name, original in _originals(table).items():
            originals.setdefault(name, []).append(original)
    return {name: of[-1] for name, of in originals.items() if name not in of}


def _originals(table: Table) -> dict[str, str]:
    """Return the first column with the same numbers as each one that changes, which may be itself.

    A clip lists a joint by index and by name, and an array of one column with and without index.
    The state of a simulator repeats what `obs/` holds. Names are preferred to indices.
    """
    first: dict[bytes, str] = {}
    originals: dict[str, str] = {}
    for name in sorted(table.values, key=_rank):
        values = table.values[name][1]
        finite = values[np.isfinite(values)]
        if len(finite) and np.ptp(finite) > 0.0:
            originals[name] = first.setdefault(values.tobytes(), name)
    return originals


def _rank(name: str) -> tuple[bool, ...]:
    """Return the order in which columns of the same numbers are preferred.

    Observations come first, and a command before the measured effort that repeats it. A goal that
    rests through an episode is equal in `observations` and `next_observations`.
    """
    words = {*split_words(name)}
    is_observed = name.partition("/")[0] in OBSERVATIONS
    meaning = guess(name)
    is_measured = meaning.what == "action" and not words & EXPLICIT
    is_indexed = split_index(name)[1] is not None
    return (
        "next" in words,
        not is_observed,
        meaning.what == "unknown",
        is_measured,
        name.endswith("]"),
        is_indexed,
    )


def computed_columns(table: Table) -> dict[str, str]:
    """Return the errors of controllers and the powers that other columns give, with reasons."""
    guesses = {name: guess(name, table.labels.get(name, "")) for name in table.values}
    references = [
        name
        for name, meaning in guesses.items()
        if meaning.what == "reference"
        or {*split_words(name)} & EXPLICIT
        or is_held(table.values[name][1])
    ]
    measured = {
        name: meaning
        for name, meaning in guesses.items()
        if meaning.role == "state" and name not in references
    }
    errors = {name for name, meaning in measured.items() if meaning.what in {"unknown", "position"}}
    computed: dict[str, str] = {
        name: Reason(f"the difference of {first} and {second}", "difference")
        for name, (first, second) in find_differences(table, errors, references).items()
        if _is_error(guesses[name], guesses[second], table, first)
    }
    powers = [n for n, meaning in measured.items() if has_same_dimension(meaning.unit or "1", "W")]
    return computed | {
        name: Reason(f"the product of {first} and {second}", "product")
        for name, (first, second) in find_powers(table, powers).items()
    }


def _is_error(error: Guess, measured: Guess, table: Table, reference: str) -> bool:
    """Return whether a column has the size of a reading from its reference, and is closer to 0.

    The velocity of a proportional loop is a multiple of its error, in another unit.
    """
    seconds, values = table.values[error.name]
    read = np.interp(seconds, *table.values[measured.name])
    apart = np.interp(seconds, *table.values[reference]) - read
    scale = 1.0
    if error.unit and measured.unit:
        if not has_same_dimension(error.unit, measured.unit):
            return False
        scale = factor(measured.unit, error.unit)[0]
    ratio = np.nanstd(values) / (scale * np.nanstd(apart))
    is_equal = abs(ratio - 1.0) < RELATION_SAME
    return bool(is_equal and np.nanmean(apart**2) < 0.5 * np.nanmean(read**2))


def status_columns(tables: Sequence[Table]) -> dict[str, str]:
    """Return the columns that are a status by name and values, with reasons."""
    named = {
        name for table in tables for name in table.values
        if (words := {*split_words(name)}) & _STATUS and not words & EXPLICIT
    }  # fmt: skip
    numbers = {
        name: np.concatenate([table.values[name][1] for table in tables if name in table.values])
        for name in sorted(named)
    }
    return {
        name: Reason(f"a status by its name, of {count} whole numbers", "status")
        for name, values in numbers.items()
        if 0 < (count := _whole_numbers(values)) <= RULE_MOST_MODES
    }


def without_flags(columns: list[Column]) -> tuple[list[Column], dict[str, str]]:
    """Return the columns without states of a few whole numbers, and why these are left out.

    Where no column is an action, one of these may be the input, and all are kept.
    """
    flags: dict[str, str] = {
        name: Reason(f"a flag or a mode: {count} whole numbers, and no input by the data", "flag")
        for column in columns
        if column.guess.role == "state" and column.guess.what == "unknown"
        if 0 < (count := _whole_numbers(column.values)) <= RULE_MOST_FLAGS
        for name in column.names
    }
    rest = [column for column in columns if column.names[0] not in flags]
    if {"state", "action"} <= {column.guess.role for column in rest}:
        return rest, flags
    return columns, {}


def _whole_numbers(values: Floats) -> int:
    """Return how many whole numbers (n,) has; 0 if some are others, or there are few rows."""
    finite = values[np.isfinite(values)]
    if len(finite) < RULE_FEWEST_NUMBERED or np.mod(finite, 1.0).any():
        return 0
    return len(np.unique(finite))
