"""Column of a draft: a future channel, with its inferred meaning and its samples in the logs."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kinemill.draft.table import Samples, usual_step, without_restarts
from kinemill.ingest.channels import unwrap
from kinemill.ingest.clock import Floats
from kinemill.ingest.header_units import without_unit
from kinemill.ingest.name_heuristics import STRAIGHT, TURNING, Guess, plain_letters, split_words
from kinemill.task.units import factor

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")  # names that YAML reads as text
_LAST_NUMBER = re.compile(r"(.*?)(\d{1,9})(\D*)")
# Words that one YAML or another reads as something else than text.
YAML_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}
_AXES = STRAIGHT | TURNING | {"left", "right", "l", "r", "fl", "fr", "rl", "rr"}


@dataclass(frozen=True)
class Column:
    """A channel of the draft: its inferred meaning, and its names and samples in the logs."""

    guess: Guess
    names: list[str]
    samples: dict[tuple[Path, str], Samples]  # by log and part
    kind: str = "linear"
    unit: str = "1"
    sure: bool = False  # whether the unit is certain
    log_unit: str | None = None  # where it differs
    offset: float = 0.0  # added to the log's values, in the log's unit
    scale: float = 1.0  # factor on the log's values
    derivative_of: str | None = None
    stated_range: tuple[float, float] | None = None  # that all logs state, in the log's unit
    limits: tuple[float, float] | None = None
    observed_range: tuple[float, float] | None = None
    lead: int = 0  # rows by which the channel is ahead of its column
    notes: list[str] = field(default_factory=list[str])
    units: dict[str, str] = field(default_factory=dict[str, str])  # of names in another unit
    formula: str = ""  # keys of a channel that no log has, such as `derived: derivative, of: q`
    channel: str = ""

    @property
    def role(self) -> str:
        """Role of the channel."""
        return self.guess.role or "state"

    @property
    def rule(self) -> str:
        """Rule that decided about the role."""
        return "computed" if self.formula else self.guess.rule

    @property
    def full_name(self) -> str:
        """Most descriptive name in the logs."""
        return self.guess.label or self.guess.name

    @cached_property
    def family(self) -> str:
        """Name without element, number, joint, side and axis: that of columns of one sensor."""
        vector, bracket, _ = self.names[0].partition("[")
        words = split_words(self.full_name)
        rest = (word for word in words if not word.isdigit() and word not in _AXES)
        return vector if bracket else " ".join(rest)

    @property
    def reasons(self) -> list[str]:
        """The draft's conclusion about the column, then its comments."""
        if self.formula:
            return ["computed", *self.comments]
        if self.kind == "quaternion":
            return ["part of a quaternion", *self.comments]
        if self.guess.what == "unknown":
            return ["a column that changes", *self.comments]
        if self.guess.what == "action" and self.role == "state":
            return ["measured, as another column is the command", *self.comments]
        return [f"{self.guess.what} by name", *self.comments]

    @property
    def comments(self) -> list[str]:
        """What a user has to know of the channel, such as `unit?` and notes."""
        unit = [] if self.sure else ["unit?"]
        handling = ["predicted, not fed back"] if self.role == "output" and not self.formula else []
        return [*handling, *unit, *self.notes]

    @property
    def comment(self) -> str:
        """Comment of the channel in the task file: the rule that decided, and notes."""
        return "; ".join((f"rule: {self.rule}", *self.comments))

    @property
    def spelled_range(self) -> str:
        """Limits or observed range, in the channel's unit."""
        for kind, ends in (("hard", self.limits), ("observed", self.observed_range)):
            if ends:
                return f"{kind} {ends[0]:g} to {ends[1]:g}"
        return ""

    @property
    def missing(self) -> float:
        """Share of samples that are not finite."""
        rows = sum(len(values) for _, values in self.samples.values())
        return 1.0 - len(self.values) / rows if rows else 0.0

    @cached_property
    def values(self) -> Floats:
        """All finite samples, (n,), in the unit of the column."""
        values = np.concatenate([values for _, values in self.samples.values()])
        return values[np.isfinite(values)]

    def converted(self, values: Floats) -> Floats:
        """Return finite samples of a log (n,) in the channel's unit."""
        scale, zero = factor(self.log_unit, self.unit) if self.log_unit else (1.0, 0.0)
        return scale * (self.scale * values[np.isfinite(values)] + self.offset) + zero

    def motion(self, log: tuple[Path, str], rows: int | None = None) -> Samples:
        """Return the finite samples among the first rows of a log, angles unwrapped in rad."""
        seconds, values = (samples[:rows] for samples in self.samples[log])
        seconds = without_restarts(seconds)
        usable = np.isfinite(values) & (np.diff(seconds, prepend=-np.inf) > 0.0)
        values = values[usable]
        if self.kind == "angle":
            values = np.asarray(unwrap(values * self.radians))
        return seconds[usable], values

    @property
    def radians(self) -> float:
        """Factor from the samples of an angle to rad."""
        return self.scale * factor(self.log_unit or "rad", "rad")[0]

    @property
    def longest_gap(self) -> float:
        """Three times the 99 % quantile of the time between two samples, s; 0 without any."""
        steps = np.concatenate([np.diff(seconds) for seconds, _ in self.samples.values()])
        steps = steps[steps > 0.0]
        return 3.0 * float(np.quantile(steps, 0.99)) if len(steps) else 0.0

    @property
    def step(self) -> float:
        """Usual time between two samples in the slowest log, s."""
        return max(usual_step(seconds) for seconds, _ in self.samples.values())


def name_channels(columns: list[Column]) -> list[Column]:
    """Return columns with channel names: the column names without a common prefix, all unique."""
    fronts = {re.sub(r"[^./]*\Z", "", column.names[0]) for column in columns}
    front = fronts.pop() if len(fronts) == 1 and len(columns) > 1 else ""
    plain = [identifier(_base(column, front)) for column in columns]
    often = Counter(plain)
    numbered = Counter[str]()
    named: list[Column] = []
    for column, name in zip(columns, plain, strict=True):
        numbered[name] += 1
        channel = f"{name}_{numbered[name]}" if often[name] > 1 else name
        named.append(replace(column, channel=channel))
    return named


def _base(column: Column, front: str) -> str:
    """Return the name of a column, without a unit in brackets or a suffix of another unit."""
    name = column.guess.label or column.names[0].removeprefix(front)
    bare = without_unit(name)
    # The name keeps a suffix such as `_mm` if the channel has that unit.
    is_suffix = PLAIN.match(name) is not None
    return name if is_suffix and not column.log_unit else bare


def identifier(name: str) -> str:
    """Return a lower-case name with `_` in place of characters that identifiers cannot contain.

    A name that YAML reads as another type gets the prefix `channel_`.
    """
    name = re.sub(r"\W+", "_", plain_letters(name), flags=re.ASCII).strip("_").lower()
    return name if PLAIN.match(name) and name not in YAML_WORDS else f"channel_{name}"


def fold_names(names: Iterable[str]) -> list[str]:
    """Return names with runs of three and more numbers folded: `q[0] to q[5]`."""
    runs: list[list[str]] = []
    for name in names:
        if runs and _is_next(runs[-1][-1], name):
            runs[-1].append(name)
        else:
            runs.append([name])
    spelled = ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in runs)
    return [name for run in spelled for name in run]


def _is_next(name: str, following: str) -> bool:
    """Return whether names differ by their last number only, which is higher by 1."""
    match = _LAST_NUMBER.fullmatch(name)
    return match is not None and following == f"{match[1]}{int(match[2]) + 1}{match[3]}"
