"""Table of a draft: the columns of a log, or of one part of it, on clocks in s."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from kinemill.draft.constants import RESTART_GAP
from kinemill.ingest.clock import Floats
from kinemill.ingest.raw import ColumnAttributes, split_index

Samples = tuple[Floats, Floats]  # (n,) s since the first timestamp, (n,) in the log's unit


# Units of clocks that are not prefixed seconds, by their length in s.
UNIT_WORDS = {"86400": "days", "1e-07": "100 ns", "60": "min", "3600": "h"}


class Reason(str):
    """Why a column is left out; `rule` names the rule that decided."""

    rule: str

    def __new__(cls, why: str, rule: str) -> Self:
        """Return a reason of a rule."""
        reason = super().__new__(cls, why)
        reason.rule = rule
        return reason


def rule_of(why: str) -> str:
    """Return the rule that decided; a reader that refuses a column decides by its format."""
    return why.rule if isinstance(why, Reason) else "format"


@dataclass(frozen=True)
class Table:
    """The columns of a log, or of one part of it.

    Args:
        path: the log.
        time: name of the clock column or field; None if rows are counted, or messages have the time
            at which they were logged.
        time_unit: unit of the clock, if it is a number: s, ms, us, ns, or the s of a tick.
        values: samples of each numeric column, on the clock of the table or on its own.
        left_out: other columns, with reasons.
        part: part of the log, if it has several.
        rate: rate of rows without timestamps, Hz, as given by the user.
        labels: other names of columns, where they are more descriptive.
        text: instruction of the log.
        topic_clocks: whether topics have their own timestamps.
        experiment: name of the experiment, if the file holds several side by side; empty otherwise.
        sources: names of its columns in the file, where they differ from those of the first
            experiment, which `values` has.
        attributes: what the log states of its columns, by column without the index of an element.
        origin: timestamp at 0 s, in s of the clock of the log; 0 if rows are counted.
        sums_time: whether `time` holds the time since the row before.
        lost_rows: rows without a usable timestamp.
        meeting: time step at which states and commands meet, s; None: that of the fastest clock.
        remarks: conclusions about the log that a user has to check.
        clock_rule: evidence for the clock and its unit, in words.
        splits: names of the parts of each data split that the log states.
    """

    path: Path
    time: str | None
    time_unit: str
    values: dict[str, Samples]
    left_out: dict[str, str]
    part: str = ""
    rate: float | None = None
    labels: dict[str, str] = field(default_factory=dict[str, str])
    text: str = ""
    topic_clocks: bool = False
    experiment: str = ""
    sources: dict[str, str] = field(default_factory=dict[str, str])
    attributes: dict[str, ColumnAttributes] = field(default_factory=dict[str, ColumnAttributes])
    origin: float = 0.0
    sums_time: bool = False
    lost_rows: int = 0
    meeting: float | None = None
    remarks: tuple[str, ...] = ()
    clock_rule: str = ""
    splits: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def attributes_of(self, name: str) -> ColumnAttributes:
        """Return what the log states of a column, or of the vector that it is an element of."""
        return self.attributes.get(split_index(name)[0], ColumnAttributes())

    @property
    def step(self) -> float:
        """Usual distance of two timestamps of the fastest clock, or the step of the draft, s."""
        clocks = {id(seconds): seconds for seconds, _ in self.values.values()}
        return self.meeting or min(map(usual_step, clocks.values()), default=float("inf"))

    @property
    def clock(self) -> str:
        """The clock in words: column, unit and evidence."""
        if self.time:
            kind = "the sum of " if self.sums_time else ""
            return f"{kind}{self.time} in {self.spelled_unit} ({self.clock_rule})"
        return self.clock_rule or f"rows at {self.rate or 1.0 / self.step:g} Hz"

    @property
    def spelled_unit(self) -> str:
        """The unit of the clock, in words."""
        return UNIT_WORDS.get(self.time_unit, self.time_unit)

    @property
    def rows(self) -> int:
        """Rows of the longest column."""
        return max((len(values) for _, values in self.values.values()), default=0)


def usual_step(seconds: Floats) -> float:
    """Return the median distance of rising timestamps (n,) s."""
    steps = np.diff(seconds)
    steps = steps[steps > 0.0]
    return float(np.median(steps)) if len(steps) else np.inf


def without_restarts(seconds: Floats) -> Floats:
    """Return timestamps (n,) s with a short gap in place of each step back of the clock."""
    steps = np.diff(seconds)
    if not (steps < 0.0).any():
        return seconds
    shifts = np.where(steps < 0.0, RESTART_GAP * usual_step(seconds) - steps, 0.0)
    return seconds + np.concatenate([[0.0], np.cumsum(shifts)])


def attributes_by_column(
    stated: Mapping[str, ColumnAttributes], table: Table
) -> dict[str, ColumnAttributes]:
    """Return what a log states of the columns of a table.

    `stated` uses the full path of a column; that of an episode begins with its group. `table` uses
    the names below that group.
    """
    attributes_: dict[str, ColumnAttributes] = {}
    for name in dict.fromkeys(
        split_index(table.sources.get(value, value))[0] for value in table.values
    ):
        grouped = (attributes for path, attributes in stated.items() if path.endswith(f"/{name}"))
        if (attributes := stated.get(name) or next(grouped, None)) is not None:
            attributes_[name] = attributes
    return attributes_
