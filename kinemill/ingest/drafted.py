"""What a draft found, and the task file that says it: one line a channel, guesses in comments."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kinemill.ingest.clock import Floats
from kinemill.ingest.columns import Table
from kinemill.ingest.guessing import Guess

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")  # names that YAML reads as text
_WORDS = {"true", "false", "null", "y", "n", "yes", "no", "on", "off"}  # to one YAML or another
_ALONE = "one log gives no test: collect more, or name some with a pattern"
MANY_LOGS = 20  # from here on a share by hash leaves no side of the split empty


@dataclass(frozen=True)
class Column:
    """One channel to be: its guess, its names in the logs, and its samples in each of them."""

    guess: Guess
    names: list[str]
    samples: dict[Path, tuple[Floats, Floats]]  # log -> (n,) s, (n,) in the log's unit
    kind: str = "linear"
    unit: str = "1"
    sure: bool = False  # of the unit
    log_unit: str | None = None  # where it differs
    derivative_of: str | None = None
    limits: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list[str])

    @property
    def values(self) -> Floats:
        """All finite samples."""
        every = np.concatenate([values for _, values in self.samples.values()])
        return every[np.isfinite(every)]

    @property
    def channel(self) -> str:
        """The channel's name: the column's, with what no identifier may hold made `_`."""
        name = re.sub(r"\W+", "_", self.names[0], flags=re.ASCII).strip("_").lower()
        return name if PLAIN.match(name) and name not in _WORDS else f"channel_{name}"


@dataclass(frozen=True)
class Draft:
    """All that a drafted task says."""

    name: str
    source: Path
    tables: list[Table]
    dt: float
    step: float  # median distance of stamps, s
    columns: list[Column]
    left_out: dict[str, str]


def write_task(draft: Draft) -> str:
    """Spell a draft as a task file."""
    logs = f"{len(draft.tables)} logs" if len(draft.tables) > 1 else draft.tables[0].path.name
    horizon = max(5, min(25, round(0.5 / draft.dt)))
    channels = {column.guess.name: column.channel for column in draft.columns}
    lines = [
        f"# Drafted by kinemill new from {_quiet(logs)}: read every comment before you trust it.",
        "# Limits are the range seen and a margin of over half of it; a joint's own are better.",
        f"task: {draft.name}",
        f"dt: {draft.dt:.6g}  # s; stamps are {draft.step:.3g} s apart",
        "channels:",
        *(_channel(column, channels) for column in draft.columns),
        *_left_out(draft.left_out),
        _ingest(draft),
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


def _channel(column: Column, channels: dict[str, str]) -> str:
    parts = [f"role: {column.guess.role}"]
    if column.kind == "angle":
        parts.append("kind: angle")
    parts.append(f"unit: {column.unit}")
    if column.derivative_of:
        parts.append(f"derivative_of: {channels[column.derivative_of]}")
    parts += _source(column)
    if column.limits:
        parts.append(f"limits: [{column.limits[0]:g}, {column.limits[1]:g}]")
    notes = [*([] if column.sure else ["unit?"]), *column.notes]
    comment = f"  # {'; '.join(_quiet(note) for note in notes)}" if notes else ""
    return f"  {column.channel}: {{{', '.join(parts)}}}{comment}"


def _source(column: Column) -> list[str]:
    if column.log_unit:
        items = [f"{{name: {_text(name)}, unit: {column.log_unit}}}" for name in column.names]
    elif column.names != [column.channel]:
        items = [_text(name) for name in column.names]
    else:
        return []
    return [f"source: {items[0] if len(items) == 1 else '[' + ', '.join(items) + ']'}"]


def _text(name: str) -> str:
    """Spell a name so that YAML reads it as it is."""
    if PLAIN.match(name) and name.lower() not in _WORDS:
        return name
    return _quoted(name)


def _quiet(text: str) -> str:
    """Take line breaks and other control characters out of a comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _left_out(columns: dict[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, why in columns.items():
        by_reason.setdefault(why, []).append(name)
    return [
        f"  # left out, {_quiet(why)}: {_quiet(', '.join(names))}"
        for why, names in by_reason.items()
    ]


def _ingest(draft: Draft) -> str:
    names = list(dict.fromkeys(table.time for table in draft.tables))
    spelled = _text(names[0]) if len(names) == 1 else "[" + ", ".join(map(_text, names)) + "]"
    unit = draft.tables[0].time_unit
    stated = "" if unit == "s" else f", time_unit: {unit}"
    return f"ingest: {{time: {spelled}{stated}}}"


def _dataset(draft: Draft) -> str:
    if len(draft.tables) >= MANY_LOGS:
        return "dataset: {validation: {tail: 0.1}, test: 0.2}"
    last = draft.tables[-1].path
    if len(draft.tables) == 1:
        others = [path for path in last.parent.glob(f"*{last.suffix}") if path != last]
        if not others:
            return f"dataset: {{validation: {{tail: 0.1}}, test: 0.2}}  # {_ALONE}"
        last = max(others)
    # Patterns see names relative to the folder that is ingested.
    name = re.sub(r"([*?\[])", r"[\1]", last.name)
    return f"dataset: {{validation: {{tail: 0.1}}, test: [{_quoted('*' + name)}]}}  # name your own"


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
