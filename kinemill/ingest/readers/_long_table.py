"""Long tables: one value per row, of the signal that the row names (`time, name, value`).

Historians, time series databases and `melt` of pandas write them. A long table becomes a wide one:
one row per timestamp, one column per signal, empty where a signal has no sample. Signals with their
own rates then have their own clocks, as in any table with empty cells (`topics.py`).

A table is long if one column is named value, one holds timestamps, and texts or numbers in others
name a signal: by the name of the column, or because a few texts repeat. Several such columns are
joined: `motor1.position`. A table with another number that varies is wide, unless its rows are
those of several joints, robots or topics by turns: its columns are `hip.position` and so on. Texts
by turns next to the only number, at the same timestamps, are signals whatever the columns are
called. Values of bad quality are missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from kinemill.ingest.name_heuristics import is_stamp, split_words
from kinemill.ingest.raw import ColumnAttributes, rest_of_seconds
from kinemill.ingest.readers._csv_layout import is_value
from kinemill.ingest.readers._nested import flat
from kinemill.ingest.text_values import is_date, parse_dates
from kinemill.task import Task

OFTEN = 5  # rows per name of a signal
MIXED = 0.2  # share of rows whose signal differs from that of the previous row
MOST = 4096  # signals
NUMBERS = 0.1  # share of the values that are numbers; other signals may be texts
SHARED = 0.75  # most timestamps per row of signals without a name
HALF = 0.5  # share of numbers in another column
_VALUES = {
    *("value", "values", "val", "reading"),
    *("wert", "messwert", "valeur", "valor", "valore", "waarde"),
}
NS = 1_000_000_000
_STAMPS = {"stamp", "timestamp"}  # among the last two words, as in `header.timestamp_sec`
_TIMES = {"time", "stamp"}  # last word, as in `elapsed time` and `header.stamp`
_UNITS = {"unit", "units", "uom"}
_NAMES = {
    *("name", "signal", "channel", "variable", "var", "parameter", "param", "metric", "tag"),
    *("tagname", "sensor", "topic", "key", "field", "item", "point", "quantity", "id"),
    *("measurement", "series", "device", "address", "kanal", "messstelle", "bezeichnung"),
    *("nom", "nombre", "nome", "naam"),
}
# Last words of a column that names what a row with several values is about.
_OWNERS = {
    *("joint", "axis", "motor", "robot", "agent", "vehicle", "drone", "body", "marker", "topic"),
    *("sensor", "device", "name", "id", "actuator", "servo"),
}
_QUALITY = {"quality", "qualitat", "qualite", "calidad", "qualidade", "qualita", "kwaliteit"}
# Codes of OPC from 192 on, and words; the others are bad or uncertain.
_GOOD = r"^(?:19[2-9]|2[0-4]\d|25[0-5]|(?:good|ok|gut|bon|bonne|bueno|buena|bom|buono|goed)\b.*)$"
_BAD = r"^(?:bad|schlecht|mauvais|malo|mala|ruim|cattivo|slecht)"
# Of a row, and not of its signal.
_ROW_WORDS = _QUALITY | {
    *("status", "flag", "flags", "comment", "note", "level", "severity", "type"),
}

# Columns of the pivot; no signal has such a name.
_SIGNAL = "\0signal"
_VALUE = "\0value"
_FIELD = "\0field"
_ROW = "\0row"
_REPEAT = "\0repeat"

Kind = Literal["number", "date", "text"]


@dataclass(frozen=True)
class LongTable:
    """The columns of a long table.

    Attributes:
        times: columns of timestamps.
        names: columns whose values, joined by a point, name the signal.
        value: column of the values.
        unit: column of their units; None without one.
        quality: column with the quality of the values; None without one.
    """

    times: list[str]
    names: list[str]
    value: str
    unit: str | None
    quality: str | None = None

    def signals(self, frame: pl.DataFrame) -> pl.Series:
        """Return the name of the signal of each row (n,); null where a part of it is missing."""
        return frame.select(pl.concat_str(self.names, separator=".").alias("signal"))["signal"]

    def bad(self, frame: pl.DataFrame) -> pl.Series:
        """Return in which rows (n,) the quality is not good; in none if it has no known code."""
        codes = frame[self.quality or self.value].cast(pl.String).str.strip_chars()
        codes = codes.str.to_lowercase()
        is_good = codes.str.contains(_GOOD)
        is_known = self.quality is not None and (is_good | codes.str.contains(_BAD)).any()
        return (~is_good & is_known).fill_null(value=False)

    def units(self, frame: pl.DataFrame) -> dict[str, ColumnAttributes]:
        """Return the unit of each signal of a table (n, columns) that has only one unit."""
        if self.unit is None:
            return {}
        pairs = frame.select(
            signal=self.signals(frame), unit=pl.col(self.unit).cast(pl.String).str.strip_chars()
        )
        stated = pairs.drop_nulls().unique(maintain_order=True)
        alone = stated.filter(pl.col("signal").is_unique(), pl.col("unit") != "")
        return {signal: ColumnAttributes(unit=unit) for signal, unit in alone.rows()}


def may_be_long(names: Sequence[str], task: Task | None = None, row: Sequence[str] = ()) -> bool:
    """Return whether a header has one column of values, or one that may name the owner of a row.

    The same if the first row has one number next to texts. A table whose columns of values are
    themselves channels of the task is not long.
    """
    values = _value_columns(names)
    cells = dict(zip(names, row, strict=False))
    numbers = [n for n, cell in cells.items() if is_value(cell) and not is_date(cell)]
    is_mixed = len(_measured(numbers)) == 1 and not all(map(is_value, row))
    has_owner = any(_is_owner(name) or split_words(name)[-1:] == ["type"] for name in names)
    if len(values) != 1 and not has_owner and not is_mixed:
        return False
    if task is None:
        return True
    sources = {source.name for channel in task.channels.values() for source in channel.source}
    used = {name for name in sources | task.channels.keys() if not _is_time(name)}
    return values[0] not in used if len(values) == 1 else used.isdisjoint(names)


def _measured(names: Iterable[str]) -> list[str]:
    """Return the names of columns of numbers that may be a measured value."""
    return [name for name in names if not (is_stamp(name) or {*split_words(name)} & _ROW_WORDS)]


def _value_columns(names: Sequence[str]) -> list[str]:
    return [name for name in names if set(split_words(name)[-1:]) & _VALUES]


def _is_owner(name: str) -> bool:
    return not _OWNERS.isdisjoint(split_words(name)[-1:])


def as_long(frame: pl.DataFrame) -> tuple[LongTable, pl.DataFrame] | None:
    """Return the columns of a long table and its rows, with one value each; None if it is not long.

    The header has to pass `may_be_long`.
    """
    if len(values := _value_columns(frame.columns)) == 1:
        return None if (table := find_long(frame, *values)) is None else (table, frame)
    owners = [name for name in frame.columns if _is_owner(name) and _alternates(frame[name])]
    table = _with_whole_stamps(flat(frame))
    owners = owners or [name for name in table.columns if _is_message_type(table[name])]
    kinds = {series.name: _kind(series) for series in table if series.name not in owners}
    times = [name for name, kind in kinds.items() if kind == "date" or (kind and _is_time(name))]
    numbers = [name for name, kind in kinds.items() if kind == "number" and name not in times]
    long = find_long(table, *_measured(numbers)) if len(_measured(numbers)) == 1 else None
    if long and _takes_turns(table.select(long.times[0], *long.names)):
        return long, table
    if len(owners) != 1 or not times or not numbers:
        return None
    rows = table.unpivot(numbers, index=[*times, *owners], variable_name=_FIELD, value_name=_VALUE)
    return LongTable(times, [*owners, _FIELD], _VALUE, None), rows.drop_nulls(_VALUE)


def _is_time(name: str) -> bool:
    return is_stamp(name) or bool({*split_words(name)[-2:]} & _STAMPS)


def _is_message_type(column: pl.Series) -> bool:
    """Return whether texts in the structs of rows name their messages by turns: `meta.type`."""
    is_named = {*split_words(column.name)[-1:]} & {"type", "topic"}
    return bool(is_named) and column.dtype == pl.String and _alternates(column)


def _with_whole_stamps(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table in which `header.stamp.sec` and its nanoseconds are `header.stamp`, in ns."""
    for name in table.columns:
        pair = rest_of_seconds(name, table.columns) if "." in name else None
        if pair and all(table[part].dtype.is_integer() for part in (name, pair[0])):
            whole = pl.col(name).cast(pl.Int64) * NS + pl.col(pair[0]) * (NS // pair[1])
            stamp = whole.alias(name.rpartition(".")[0])
            table = table.with_columns(stamp).drop(name, pair[0])
    return table


def _takes_turns(rows: pl.DataFrame) -> bool:
    """Return whether rows of timestamp and name have several names per timestamp, each once."""
    is_shared = rows[:, 0].n_unique() < SHARED * len(rows)
    return is_shared and rows.n_unique() > (1.0 - NUMBERS) * len(rows)


def _alternates(column: pl.Series) -> bool:
    """Return whether a column of text or whole numbers has few values, by turns."""
    if not (column.dtype == pl.String or column.dtype.is_integer()):
        return False
    changes = (column != column.shift()).mean()
    is_few = 1 < column.n_unique() <= min(MOST, len(column) / OFTEN)
    return is_few and isinstance(changes, float) and changes > MIXED


def find_long(frame: pl.DataFrame, value: str) -> LongTable | None:
    """Return the columns of a long table; None if the table is not long.

    Args:
        frame: all columns of the table (n, columns), texts or numbers.
        value: its column of values.
    """
    remaining = frame.drop(value)
    kinds: dict[str, Kind] = {
        series.name: kind for series in remaining if (kind := _kind(series)) is not None
    }
    times = [
        name
        for name, kind in kinds.items()
        if (kind == "date" or is_stamp(name) or _TIMES & set(split_words(name)[-1:]))
        and remaining[name].n_unique() > 1
    ]
    unit = next((name for name in kinds if set(split_words(name)) & _UNITS), None)
    rest = [name for name in kinds if name not in {*times, unit}]
    names = _naming(frame, [name for name in rest if _may_name(remaining[name], kinds[name])])
    if not times or not names or _share_of_numbers(frame[value]) < NUMBERS:
        return None
    more = [name for name in rest if name not in names and kinds[name] == "number"]
    if _is_any_measured(frame, names, more):
        return None
    quality = next((name for name in kinds if set(split_words(name)) & _QUALITY), None)
    return LongTable(times, names, value, unit, quality)


def _is_any_measured(frame: pl.DataFrame, names: list[str], numbers: list[str]) -> bool:
    """Return whether a number next to the value varies within a signal, and is not a row counter.

    Then the value is one quantity of several in a wide table, such as that of two robots.
    """
    varies = frame.group_by(names).agg(pl.col(numbers).n_unique() > 1)
    return any(
        bool(varies[name].any())
        and not _is_counter(frame, names, name)
        and not set(split_words(name)) & _ROW_WORDS
        for name in numbers
    )


def _is_counter(frame: pl.DataFrame, names: list[str], column: str) -> bool:
    """Return whether a column of numbers rises from each row of a signal to the next."""
    numbers = pl.col(column).cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    steps = frame.select(numbers.diff().over(names).alias(column))[column].drop_nulls()
    return bool((steps > 0.0).all())


def _kind(column: pl.Series) -> Kind | None:
    """Return what a column holds; None if it is empty or nested."""
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return "number" if column.count() else None
    if column.dtype.is_temporal():
        return "date"
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        return "text"
    texts = column.drop_nulls() if column.dtype == pl.String else pl.Series(dtype=pl.String)
    if texts.is_empty():
        return None
    if is_date(texts[0].strip()):
        return "date"
    return "number" if _share_of_numbers(texts) >= HALF else "text"


def _share_of_numbers(column: pl.Series) -> float:
    """Return the share of numbers among the values of a column."""
    if column.dtype == pl.String:
        numbers = column.str.strip_chars().str.replace(",", ".").cast(pl.Float64, strict=False)
        return numbers.count() / max(column.count(), 1)
    return float(column.dtype.is_numeric() or column.dtype == pl.Boolean)


def _may_name(column: pl.Series, kind: Kind) -> bool:
    """Return whether a column may name signals: by its own name, or because a few texts repeat."""
    words = set(split_words(column.name))
    signals = column.n_unique()
    if not 1 < signals <= min(MOST, len(column) / OFTEN) or words & _ROW_WORDS:
        return False
    if words & _NAMES:
        return True
    mixed = (column != column.shift()).mean()
    return kind == "text" and isinstance(mixed, float) and mixed > MIXED


def _naming(frame: pl.DataFrame, candidates: list[str]) -> list[str]:
    """Return the columns that name a signal, without those that follow from the others."""
    named = sorted(candidates, key=lambda name: not set(split_words(name)) & _NAMES)
    naming = list[str]()
    count = 1
    for name in named:
        more = frame.select([*naming, name]).n_unique()
        if more > count:
            naming = [*naming, name]
            count = more
    return [name for name in candidates if name in naming] if count <= MOST else []


def widen(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Return a long table (n, columns) as a wide one, see `pivot`; None if it is not long.

    Values that are not numbers are missing. The header has to pass `may_be_long`.
    """
    if (long := as_long(frame)) is None:
        return None
    table, frame = long
    times = pl.DataFrame([_as_time(stamps) for stamps in frame.select(table.times)])
    values = frame[table.value].cast(pl.Float64, strict=False)
    return pivot(times, table.signals(frame), values.set(table.bad(frame), None))


def _as_time(stamps: pl.Series) -> pl.Series:
    """Return timestamps (n,) as numbers or dates, also those that are spelled as text."""
    if stamps.dtype != pl.String:
        return stamps
    if _kind(stamps) == "date":
        return parse_dates(stamps).cast(pl.Datetime("ns"))
    return stamps.cast(pl.Float64, strict=False)


def pivot(times: pl.DataFrame, signals: pl.Series, values: pl.Series) -> pl.DataFrame:
    """Return a table with one row per timestamp and one column per signal.

    Rows are sorted by the first column of timestamps, unless the clock of a signal goes back: then
    a row is a stretch of equal timestamps, so that a reset of the clock stays visible. A signal
    with two samples at one timestamp makes two rows.

    Args:
        times: k columns of timestamps (n, k), numbers or dates.
        signals: name of the signal of each row (n,).
        values: value of each row (n,), in the unit of the log.
    """
    clock = times.columns[0]
    named = signals.replace({name: f"{name}.value" for name in times.columns})
    rows = times.with_columns(named.alias(_SIGNAL), values.alias(_VALUE)).filter(
        named.is_not_null()
    )
    goes_back = (pl.col(clock) < pl.col(clock).shift()).over(_SIGNAL)
    if has_resets := bool(rows.select(goes_back.any()).item()):
        stretch = pl.col(clock).ne_missing(pl.col(clock).shift()).cum_sum()
    else:
        stretch = pl.col(clock).rank("dense")
    rows = rows.with_columns(stretch.alias(_ROW))
    rows = rows.with_columns(pl.int_range(pl.len()).over(_ROW, _SIGNAL).alias(_REPEAT))
    keys = [_ROW, _REPEAT]
    stamps = rows.group_by(keys).agg(pl.col(times.columns).first())
    wide = rows.pivot(on=_SIGNAL, index=keys, values=_VALUE, maintain_order=True)
    whole = wide.join(stamps, on=keys, how="left", maintain_order="left")
    whole = whole if has_resets else whole.sort(keys)
    return whole.select(*times.columns, *(name for name in wide.columns if name not in keys))
