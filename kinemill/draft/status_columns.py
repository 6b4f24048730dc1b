"""Columns that are not measurements: clocks, counters, flags and modes.

A name alone is no evidence: the mode of a beam is its shape. So a status also needs few different
values, all whole numbers, and a column without a descriptive name even fewer.
"""

from collections.abc import Sequence

import numpy as np

from kinemill.draft.column import Column
from kinemill.ingest.clock import Floats
from kinemill.draft.table import Table
from kinemill.ingest.name_heuristics import EXPLICIT, STAMP, guess, split_words
from kinemill.ingest.raw import split_index

EPOCH = 1e9  # s, of 2001: timestamps since 1970 are larger in any unit
FEWEST_NUMBERED = 20  # rows that show that a column numbers them
NUMBERED = 0.95  # share of the steps of such a column that are equal
MOST_MODES = 32
MOST_FLAGS = 8  # different values of a column named as a mode, and of another one
_STATUS = {"mode", "modes", "bit", "bits", "bitmask", "digital", "safety", "estop", "enabled",
           "running", "ready", "fault", "faults", "alarm", "alarms", "warning", "warnings",
           "code", "armed", "connected", "online", "is", "has"}  # fmt: skip


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
        name: f"a status by its name, of {count} whole numbers"
        for name, values in numbers.items()
        if 0 < (count := _whole_numbers(values)) <= MOST_MODES
    }


def without_flags(columns: list[Column]) -> tuple[list[Column], dict[str, str]]:
    """Return the columns without states of a few whole numbers, and why these are left out.

    Where no column is an action, one of these may be the input, and all are kept.
    """
    flags = {
        name: f"a flag or a mode: {count} whole numbers, and no input by the data"
        for column in columns
        if column.guess.role == "state" and column.guess.what == "unknown"
        if 0 < (count := _whole_numbers(column.values)) <= MOST_FLAGS
        for name in column.names
    }
    rest = [column for column in columns if column.names[0] not in flags]
    if {"state", "action"} <= {column.guess.role for column in rest}:
        return rest, flags
    return columns, {}


def _whole_numbers(values: Floats) -> int:
    """Return how many whole numbers (n,) has; 0 if some are others, or there are few rows."""
    finite = values[np.isfinite(values)]
    if len(finite) < FEWEST_NUMBERED or np.mod(finite, 1.0).any():
        return 0
    return len(np.unique(finite))


def clocks(table: Table) -> list[str]:
    """Return the columns of timestamps: they never fall, and have such a name or are dates."""
    rising = (
        (name, finite)
        for name, (_, values) in table.values.items()
        if len(finite := values[np.isfinite(values)]) > 1 and np.diff(finite).min() >= 0.0
    )
    return [
        name
        for name, values in rising
        if {*split_words(name)[:1], *split_words(name)[-1:]} & STAMP
        or (values[0] >= EPOCH and guess(name).what == "unknown")
    ]


def counters(table: Table) -> dict[str, str]:
    """Return the columns, except vectors, that rise by the same whole number in each row.

    A few rows may be missing, and the count may start again.
    """
    return {
        name: f"a counter: it rises by {step:g} in each row"
        for name, (_, values) in table.values.items()
        if len(values) > FEWEST_NUMBERED
        and split_index(name)[1] is None
        and guess(name).what == "unknown"
        and (step := float(np.median(steps := np.diff(values)))) >= 1.0
        and step.is_integer()
        and np.mean(steps == step) > NUMBERED
    }
