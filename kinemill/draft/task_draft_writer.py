"""Task draft writer: the task file of a draft, one line per channel, inferences in comments."""

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kinemill.draft.column import PLAIN, YAML_WORDS, Column, fold_names
from kinemill.draft.constants import (
    SPLIT_BLOCKS,
    SPLIT_EPISODES,
    SPLIT_LAGS,
    SPLIT_MANY_LOGS,
    SPLIT_TEST,
)
from kinemill.draft.experiments import TESTING, TRAINING
from kinemill.draft.horizon import NO_HORIZON, Horizon
from kinemill.draft.logs import log_names
from kinemill.draft.media import Medium
from kinemill.draft.stated_limits import LimitFinding
from kinemill.draft.table import Table, rule_of
from kinemill.draft.task_file import plain_line
from kinemill.ingest.name_heuristics import split_words
from kinemill.task import Ingest

_ALONE = "the end of the only log; name another log when there is one"
IN_BLOCKS = f"{{blocks: {SPLIT_BLOCKS}}}"
NAMED = 20  # logs that are named


@dataclass(frozen=True)
class LearnPart:
    """The lines of a drafted task that depend on its learn type.

    Attributes:
        learn: lines of `learn`.
        augment: lines of `augment`.
        ingest: keys of `ingest`, in addition to those of the clock.
        dataset: the line of `dataset`; None: chosen by the number of logs.
        validate: lines of `validate`.
        verifies_horizon: whether `verify.horizon` applies.
    """

    learn: tuple[str, ...]
    augment: tuple[str, ...] = ()
    ingest: tuple[str, ...] = ()
    dataset: str | None = None
    validate: tuple[str, ...] = ()
    verifies_horizon: bool = False


DYNAMICS = LearnPart(  # names no model
    (
        "learn:",
        "  type: dynamics  # without `model`, the best of a portfolio of model families is trained",
        "  budget: 180  # s",
    ),
    verifies_horizon=True,
)


@dataclass(frozen=True)
class Draft:
    """The content of a drafted task; `dt` and `step` are in s."""

    name: str
    tables: list[Table]
    dt: float
    step: float  # median distance of timestamps, s
    columns: list[Column]
    left_out: dict[str, str]
    unused: dict[str, str] = field(default_factory=dict[str, str])  # logs, and why
    max_gap: float | None = None  # s; None for the default
    warned: dict[str, str] = field(default_factory=dict[str, str])  # checks that warn, and why
    media: list[Medium] = field(default_factory=list[Medium])
    part: LearnPart = DYNAMICS
    no_action: str = ""  # reason why no column without a descriptive name is an action
    joints: list[LimitFinding] = field(default_factory=list[LimitFinding])  # of a robot file
    text: str = ""  # description of the task; empty: the one of the logs
    remarks: list[str] = field(default_factory=list[str])  # conclusions about the whole task
    exclude: list[str] = field(default_factory=list[str])  # `ingest.exclude`: other files
    averages: bool = False  # whether rows are means over `dt`, as the logs are much faster
    horizon: Horizon = NO_HORIZON  # `verify.horizon`, of a dynamics model

    @property
    def logs(self) -> list[Path]:
        """The logs of the draft."""
        return list(dict.fromkeys(table.path for table in self.tables))

    @property
    def clock_line(self) -> str:
        """The clock, its rate, and the rows that it loses."""
        first = {(table.time, table.time_unit): table.clock for table in reversed(self.tables)}
        clocks = ", ".join(reversed(first.values()))
        lost = sum(table.lost_rows for table in self.tables)
        rows = lost + sum(table.rows for table in self.tables)
        read = f"{rows} rows" if len(self.logs) == 1 else f"{rows} rows of {len(self.logs)} logs"
        return f"Clock: {clocks}, {1.0 / self.step:.4g} Hz; {lost} of {read} lost"

    @property
    def no_action_line(self) -> str:
        """Advice if no column is an action; empty if one is."""
        if any(column.role == "action" for column in self.columns):
            return ""
        why = f" ({self.no_action})" if self.no_action else ""
        return f"no action found{why}: set `role: action` for the commands of the robot"

    @property
    def experiments(self) -> dict[str, Table]:
        """The first table of each of several experiments in a file, by name of the experiment."""
        experiments: dict[str, Table] = {}
        for table in self.tables:
            if table.experiment:
                experiments.setdefault(table.experiment, table)
        return experiments


def write_task(draft: Draft) -> str:
    """Return the text of the task file of a draft."""
    logs = f"{len(draft.logs)} logs" if len(draft.logs) > 1 else draft.logs[0].name
    text = draft.text or next((table.text for table in draft.tables if table.text), "")
    horizon = draft.horizon
    verify = [f"verify: {{horizon: {horizon.steps}, stride: 5}}  # {plain_line(horizon.why)}"]
    slower = "; the motion is slower: a row is the mean over dt" if draft.averages else ""
    channels = {column.guess.name: column.channel for column in draft.columns}
    lines = [
        f"# {plain_line(draft.clock_line)}.",
        f"# Drafted by kinemill new from {plain_line(logs)}: check every comment.",
        "# observed_range is the range of these logs with a margin; values outside are warnings.",
        "# State a joint's own range as limits: values outside are cut out.",
        *(f"# {plain_line(remark)}." for remark in draft.remarks),
        f"task: {draft.name}",
        *([f"description: {quote(plain_line(text))}"] if text else []),
        f"dt: {draft.dt:.12g}  # s; timestamps are {draft.step:.3g} s apart{slower}",
        "channels:",
        *(_channel(column, channels, draft) for column in draft.columns),
        *(_medium(medium, draft.dt) for medium in draft.media),
        *([f"  # {plain_line(draft.no_action_line)}"] if draft.no_action_line else []),
        *_left_out(draft.left_out),
        *_joints(draft.joints),
        *(f"  # log not used: {plain_line(line)}" for line in _unused_lines(draft)),
        *_ingest(draft),
        draft.part.dataset or _dataset(draft),
        *_validate(draft),
        *draft.part.augment,
        *draft.part.learn,
        *(verify if draft.part.verifies_horizon else []),
    ]
    return "\n".join(lines) + "\n"


def _validate(draft: Draft) -> list[str]:
    """Set rules so that no rows are lost to effects that may be normal for the robot."""
    reasons = {"dead_band": "of a sensor or a drive: a model can learn it", **draft.warned}
    return [
        "validate:",
        "  on_fault: repair  # interpolates spikes and lost values of up to 5 rows, cuts the rest",
        *(f"  {check}: {{on_fault: warn}}  # {plain_line(why)}" for check, why in reasons.items()),
        *draft.part.validate,
    ]


def _medium(medium: Medium, dt: float) -> str:
    """Spell the channel of images or texts."""
    parts = [f"role: {medium.role}", f"source: {_text(medium.source)}"]
    if medium.shape:
        parts.append(f"shape: [{', '.join(map(str, medium.shape))}]")
    if medium.max_gap and medium.max_gap > 5.0 * dt:
        parts.append(f"resample: {{max_gap: {medium.max_gap:.2g}}}")
    if medium.texts:
        texts = (f"{number}: {quote(plain_line(text))}" for number, text in medium.texts.items())
        parts.append(f"texts: {{{', '.join(texts)}}}")
    return f"  {medium.channel}: {{{', '.join(parts)}}}  # {plain_line('; '.join(medium.notes))}"


def _joints(findings: list[LimitFinding]) -> Iterator[str]:
    """Yield a comment for each joint without a channel, unit or logs that agree."""
    for finding in findings:
        if finding.is_notable:
            whose = f" ({finding.channel})" if finding.channel else ""
            yield f"  # joint {plain_line(finding.joint)}{whose}: {plain_line(finding.finding)}"


def _channel(column: Column, channels: dict[str, str], draft: Draft) -> str:
    parts = [f"role: {column.role}"]
    if column.kind != "linear":
        parts.append(f"kind: {column.kind}")
    parts.append(f"unit: {column.unit}")
    if column.derivative_of:
        parts.append(f"derivative_of: {channels[column.derivative_of]}")
    parts += [column.formula] if column.formula else [*_source(column), *_resample(column, draft)]
    for key, ends in (("limits", column.limits), ("observed_range", column.observed_range)):
        parts += [f"{key}: [{ends[0]:g}, {ends[1]:g}]"] if ends else []
    return f"  {column.channel}: {{{', '.join(parts)}}}  # {plain_line(column.comment)}"


def _source(column: Column) -> list[str]:
    items = [_source_item(column, name) for name in column.names]
    if items == [column.channel]:
        return []
    return [f"source: {items[0] if len(items) == 1 else '[' + ', '.join(items) + ']'}"]


def _source_item(column: Column, name: str) -> str:
    """Spell the name of a column in a log, with its unit there."""
    log_unit = column.units.get(name, column.log_unit)
    if not (log_unit or column.offset or column.scale != 1.0):
        return _text(name)
    unit = f", unit: {log_unit}" if log_unit else ""
    offset = f", offset: {column.offset:.15g}" if column.offset else ""
    scale = f", scale: {column.scale:.6g}" if column.scale != 1.0 else ""
    return f"{{name: {_text(name)}{unit}{scale}{offset}}}"


def _resample(column: Column, draft: Draft) -> list[str]:
    """Set the usual gaps of a signal with its own clock as its `max_gap`."""
    if column.lead:
        return [f"resample: {{lead: {column.lead}}}"]
    if not all(table.topic_clocks for table in draft.tables):
        return []
    gap = max(column.longest_gap, 5.0 * column.step)
    is_held = column.guess.role == "action" and any(table.meeting for table in draft.tables)
    if gap <= 5.0 * draft.dt:
        return ["resample: {method: hold}"] if is_held else []
    method = "method: hold, " if column.guess.role == "action" else ""
    return [f"resample: {{{method}max_gap: {gap:.2g}}}"]


def _text(name: str) -> str:
    """Spell a name so that YAML reads it unchanged."""
    if PLAIN.match(name) and name.lower() not in YAML_WORDS:
        return name
    return quote(name)


def _unused_lines(draft: Draft) -> list[str]:
    """Return the first logs that the draft does not describe, with reasons."""
    lines = [f"{name}: {why}" for name, why in draft.unused.items()]
    more = len(lines) - NAMED
    return [*lines[:NAMED], *([f"{more} more: likewise"] if more > 0 else [])]


def _left_out(columns: dict[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, why in columns.items():
        by_reason.setdefault(why, []).append(name)
    texts = {why: f"{why}: {', '.join(fold_names(names))}" for why, names in by_reason.items()}
    return [f"  # left out, {plain_line(texts[why])} (rule: {rule_of(why)})" for why in texts]


def _ingest(draft: Draft) -> list[str]:
    """Set where timestamps are, and which files are not logs."""
    names = list(dict.fromkeys(table.time for table in draft.tables if table.time))
    parts: list[str] = []
    if names:
        spelled = _text(names[0]) if len(names) == 1 else "[" + ", ".join(map(_text, names)) + "]"
        unit = draft.tables[0].time_unit
        parts += [f"time: {spelled}", *([] if unit == "s" else [f"time_unit: {unit}"])]
        parts += ["time_kind: steps"] if draft.tables[0].sums_time else []
    if rate := draft.tables[0].rate:
        columns = {name for table in draft.tables for name in (*table.values, *table.left_out)}
        is_counted = bool(columns & {*Ingest().time})  # row numbers called time are no clock
        parts += ["time: []"] * is_counted + [f"rate: {rate:.12g}"]
    resample = ["method: mean"] if draft.averages else []
    resample += [f"max_gap: {draft.max_gap:g}"] if draft.max_gap else []
    parts += [f"resample: {{{', '.join(resample)}}}"] if resample else []
    parts += [f"exclude: [{', '.join(map(_text, draft.exclude))}]"] if draft.exclude else []
    parts += draft.part.ingest
    if draft.experiments:
        spelled = (_experiment(draft, table) for table in draft.experiments.values())
        parts.append(f"parts: {{{', '.join(spelled)}}}")
    return [f"ingest: {{{', '.join(parts)}}}"] if parts else []


def _experiment(draft: Draft, table: Table) -> str:
    """Spell a part of `ingest.parts`: the columns that differ from those of the first part.

    Logs with other numbers of experiments have several first parts, which name all columns.
    """
    entries = [
        f"{column.channel}: {_source_item(column, table.sources.get(name, name))}"
        for column in draft.columns
        for name in column.names
        if name in table.sources or (name in table.values and len(column.names) > 1)
    ]
    if table.time in table.sources:
        entries.append(f"time: {_text(table.sources[table.time])}")
    return f"{table.experiment}: {{{', '.join(entries)}}}"


def _dataset(draft: Draft) -> str:
    if draft.experiments:
        *_, (part, table) = draft.experiments.items()
        names = ", ".join(map(plain_line, list(table.sources.values())[:3]))
        rules = f'validation: {IN_BLOCKS}, test: ["*/{part}"]'
        return f"dataset: {{group_by: part, {rules}}}  # as the columns {names} are named"
    by, units = split_units(draft)
    if len(draft.tables) >= SPLIT_MANY_LOGS:
        rows = statistics.median(_rows(table, draft.dt) for table in draft.tables)
        is_long = SPLIT_BLOCKS * rows >= draft.horizon.steps + SPLIT_LAGS
        share = IN_BLOCKS if is_long else SPLIT_BLOCKS
        return f"dataset: {{{by}validation: {share}, test: {SPLIT_TEST}}}"
    if len(units) == 1:
        rows = f"{{rows: [{round((1.0 - SPLIT_TEST) * _rows(draft.tables[0], draft.dt))}, null]}}"
        return f"dataset: {{validation: {IN_BLOCKS}, test: [{rows}]}}  # {_ALONE}"
    test_logs = ", ".join(_test_units(units))
    return f"dataset: {{{by}validation: {IN_BLOCKS}, test: [{test_logs}]}}  # name your own"


def _test_units(units: list[str]) -> list[str]:
    """Return the share of test logs, evenly spread: neighbors are often of one experiment.

    From 10 logs on they are at least as many as the gate expects of test episodes. Logs named as a
    test set next to a training set are the test split.
    """
    named = [unit for unit in units if {*TESTING} & {*split_words(unit)}]
    if named and any({*TRAINING} & {*split_words(unit)} for unit in units if unit not in named):
        return named
    count = max(1, round(SPLIT_TEST * len(units)))
    if len(units) >= 2 * SPLIT_EPISODES:
        count = max(count, SPLIT_EPISODES)
    return [units[round(at * len(units) / count) - 1] for at in range(1, count + 1)]


def split_units(draft: Draft) -> tuple[str, list[str]]:
    """Return the key of `dataset` that splits logs, and quoted patterns of the assigned logs.

    These are the parts of an only log, else the logs, or with few logs of many parts their parts.
    Patterns match names relative to the ingested folder.
    """
    parts = [table.part for table in draft.tables if table.part]
    if len(draft.logs) == 1 and len(parts) > 1:
        return "group_by: part, ", [pattern_of(f"/{part}") for part in parts]
    # A share of few files may be none of them; their parts are many.
    is_by_part = len(parts) > len(draft.logs) and len(draft.logs) < SPLIT_MANY_LOGS
    by = "group_by: part, " if is_by_part or (parts and len(draft.logs) == 1) else ""
    return by, [*map(pattern_of, log_names(draft.logs).values())]


def pattern_of(name: str) -> str:
    """Return the quoted pattern that matches a log of this name in any folder."""
    return quote("*" + re.sub(r"([*?\[])", r"[\1]", name))


def _rows(table: Table, dt: float) -> int:
    """Return the number of time steps of a log, without jumps of its clock.

    If the clock starts again, these are the most until it does: each stretch starts at row 0.
    """
    seconds = max((seconds for seconds, _ in table.values.values()), key=len)
    steps = np.diff(seconds)
    lengths = np.where((steps > 0.0) & (steps < len(steps) * table.step), steps, 0.0)
    stretches = np.split(lengths, np.flatnonzero(steps < 0.0))
    return int(max(stretch.sum() for stretch in stretches) / dt) + 1


def quote(name: str) -> str:
    """Return a text as a quoted YAML string."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
