"""Task draft writer: spell a draft as a task file, one line per channel, inferences in comments."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from kinemill.ingest.clock import Floats
from kinemill.ingest.columns import Samples, Table, usual_step
from kinemill.ingest.name_heuristics import Guess

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")  # names that YAML reads as text
_YAML_WORDS = {
    "true",
    "false",
    "null",
    "y",
    "n",
    "yes",
    "no",
    "on",
    "off",
}  # to one YAML or another
_ALONE = "the end of the only log; name another log when there is one"
TEST = 0.2  # test share of a single log
MANY_LOGS = 20  # with fewer logs, shares by hash may leave a side of the split empty
NAMED = 20  # omitted columns that are named per reason


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
    derivative_of: str | None = None
    limits: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list[str])
    channel: str = ""

    @property
    def values(self) -> Floats:
        """All finite samples."""
        every = np.concatenate([values for _, values in self.samples.values()])
        return every[np.isfinite(every)]

    @property
    def longest_gap(self) -> float:
        """Longest usual time between two samples, s."""
        steps = np.concatenate([np.diff(seconds) for seconds, _ in self.samples.values()])
        steps = steps[steps > 0.0]
        return 3.0 * float(np.quantile(steps, 0.99)) if len(steps) else 0.0

    @property
    def step(self) -> float:
        """Usual distance of two samples in the slowest log, s."""
        return max(usual_step(seconds) for seconds, _ in self.samples.values())


def name_channels(columns: list[Column]) -> list[Column]:
    """Name channels after their columns, without a common prefix."""
    fronts = {re.sub(r"[^./]*\Z", "", column.names[0]) for column in columns}
    front = fronts.pop() if len(fronts) == 1 and len(columns) > 1 else ""
    plain = [_identifier(one.guess.label or one.names[0].removeprefix(front)) for one in columns]
    often, numbered = Counter(plain), Counter[str]()
    named: list[Column] = []
    for column, name in zip(columns, plain, strict=True):
        numbered[name] += 1
        own = f"{name}_{numbered[name]}" if often[name] > 1 else name
        named.append(replace(column, channel=own))
    return named


def _identifier(name: str) -> str:
    """Replace characters that identifiers cannot contain by `_`."""
    name = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
    return name if PLAIN.match(name) and name not in _YAML_WORDS else f"channel_{name}"


@dataclass(frozen=True)
class Draft:
    """The content of a drafted task."""

    name: str
    tables: list[Table]
    dt: float
    step: float  # median distance of timestamps, s
    columns: list[Column]
    left_out: dict[str, str]
    unused: dict[str, str] = field(default_factory=dict[str, str])  # logs, and why

    @property
    def logs(self) -> list[Path]:
        """The logs of the draft."""
        return list(dict.fromkeys(table.path for table in self.tables))


def write_task(draft: Draft) -> str:
    """Spell a draft as a task file."""
    logs = f"{len(draft.logs)} logs" if len(draft.logs) > 1 else draft.logs[0].name
    text = next((table.text for table in draft.tables if table.text), "")
    horizon = max(5, min(25, round(0.5 / draft.dt)))
    channels = {column.guess.name: column.channel for column in draft.columns}
    lines = [
        f"# Drafted by kinemill new from {_quiet(logs)}: check every comment.",
        "# Limits are the range seen and a margin of over half of it; a joint's own are better.",
        f"task: {draft.name}",
        *([f"description: {_quote(_quiet(text))}"] if text else []),
        f"dt: {draft.dt:.12g}  # s; timestamps are {draft.step:.3g} s apart",
        "channels:",
        *(_channel(column, channels, draft) for column in draft.columns),
        *_no_action(draft.columns),
        *_left_out(draft.left_out),
        *(f"  # log not used: {_quiet(name)}: {_quiet(why)}" for name, why in _unused_lines(draft)),
        *_ingest(draft),
        _dataset(draft),
        "learn:",
        "  type: dynamics",
        "  model: {type: mlp, hidden_sizes: [128, 128]}",
        "  history: 10",
        f"  horizon: {horizon}",
        "  steps: 1500",
        f"verify: {{horizon: {horizon}, stride: 5}}",
    ]
    return "\n".join(lines) + "\n"


def _channel(column: Column, channels: dict[str, str], draft: Draft) -> str:
    parts = [f"role: {column.guess.role}"]
    if column.kind != "linear":
        parts.append(f"kind: {column.kind}")
    parts.append(f"unit: {column.unit}")
    if column.derivative_of:
        parts.append(f"derivative_of: {channels[column.derivative_of]}")
    parts += [*_source(column), *_resample(column, draft)]
    if column.limits:
        parts.append(f"limits: [{column.limits[0]:g}, {column.limits[1]:g}]")
    notes = [*([] if column.sure else ["unit?"]), *column.notes]
    comment = f"  # {'; '.join(_quiet(note) for note in notes)}" if notes else ""
    return f"  {column.channel}: {{{', '.join(parts)}}}{comment}"


def _source(column: Column) -> list[str]:
    if column.log_unit or column.offset:
        unit = f", unit: {column.log_unit}" if column.log_unit else ""
        offset = f", offset: {column.offset:.15g}" if column.offset else ""
        items = [f"{{name: {_text(name)}{unit}{offset}}}" for name in column.names]
    elif column.names != [column.channel]:
        items = [_text(name) for name in column.names]
    else:
        return []
    return [f"source: {items[0] if len(items) == 1 else '[' + ', '.join(items) + ']'}"]


def _resample(column: Column, draft: Draft) -> list[str]:
    """Set the usual gaps of a signal with its own clock as its `max_gap`."""
    if not all(table.own_clocks for table in draft.tables):
        return []
    gap = max(column.longest_gap, 5.0 * column.step)
    if gap <= 5.0 * draft.dt:
        return []
    method = "method: hold, " if column.guess.role == "action" else ""
    return [f"resample: {{{method}max_gap: {gap:.2g}}}"]


def _text(name: str) -> str:
    """Spell a name so that YAML reads it unchanged."""
    if PLAIN.match(name) and name.lower() not in _YAML_WORDS:
        return name
    return _quote(name)


def _quiet(text: str) -> str:
    """Remove line breaks and other control characters from a comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _no_action(columns: list[Column]) -> list[str]:
    if any(column.guess.role == "action" for column in columns):
        return []
    return ["  # no action found: use the commands of the robot, if they are among these"]


def _unused_lines(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield the first logs that the draft does not describe, with reasons."""
    yield from list(draft.unused.items())[:NAMED]
    if len(draft.unused) > NAMED:
        yield f"{len(draft.unused) - NAMED} more", "likewise"


def _left_out(columns: dict[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, why in columns.items():
        by_reason.setdefault(why, []).append(name)
    return [
        f"  # left out, {_quiet(why)}: {_spell_names(names)}" for why, names in by_reason.items()
    ]


def _spell_names(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return _quiet(", ".join(names[:NAMED])) + more


def _ingest(draft: Draft) -> list[str]:
    """Set where timestamps are, and which files are no logs."""
    names = list(dict.fromkeys(table.time for table in draft.tables if table.time))
    parts: list[str] = []
    if names:
        spelled = _text(names[0]) if len(names) == 1 else "[" + ", ".join(map(_text, names)) + "]"
        unit = draft.tables[0].time_unit
        parts += [f"time: {spelled}", *([] if unit == "s" else [f"time_unit: {unit}"])]
    rate = draft.tables[0].rate
    parts += [f"rate: {rate:.12g}"] if rate else []
    return [f"ingest: {{{', '.join(parts)}}}"] if parts else []


def _dataset(draft: Draft) -> str:
    parts = [table.part for table in draft.tables if table.part]
    by = "group_by: part, " if parts else ""
    if len(draft.tables) >= MANY_LOGS:
        return f"dataset: {{{by}validation: {{tail: 0.1}}, test: 0.2}}"
    last = _last(draft, parts)
    if last is None:
        rows = f"{{rows: [{round((1.0 - TEST) * _rows(draft))}, null]}}"
        return f"dataset: {{validation: {{tail: 0.1}}, test: [{rows}]}}  # {_ALONE}"
    # Patterns match names relative to the ingested folder.
    test = _quote("*" + re.sub(r"([*?\[])", r"[\1]", last))
    return f"dataset: {{{by}validation: {{tail: 0.1}}, test: [{test}]}}  # name your own"


def _rows(draft: Draft) -> int:
    """Return the number of time steps of the only log."""
    (table,) = draft.tables
    first, last = (
        end(float(end(seconds)) for seconds, _ in table.values.values()) for end in (min, max)
    )
    return int((last - first) / draft.dt) + 1


def _last(draft: Draft, parts: list[str]) -> str | None:
    """Return the name of the last log, or part of one, as the test split."""
    if len(parts) > 1:
        return f"/{parts[-1]}"
    last = draft.logs[-1]
    if len(draft.logs) > 1:
        return last.name
    others = [path for path in last.parent.glob(f"*{last.suffix}") if path != last]
    return max(others).name if others else None


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
