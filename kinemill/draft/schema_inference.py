"""Schema inference: read every column of a log of any format, without a task.

A task without channels makes a reader raise the whole header (`raw.Header`). Every name in it is
requested next, then repeatedly all names without those that the reader has rejected.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from kinemill.draft.clock import advances, is_physical, with_unit
from kinemill.draft.constants import TOPIC_COVERED, TOPIC_RARE, TOPIC_SHORT
from kinemill.draft.experiments import find_experiments, named, split_table
from kinemill.draft.letter_names import with_letters
from kinemill.draft.rates import meet
from kinemill.draft.table import Reason, Samples, Table, attributes_by_column, usual_step
from kinemill.draft.text_table import (
    coarse_clock,
    contradictions,
    finite_or_nan,
    on_clock,
    read_numbers,
    read_text,
    split_clocks,
    stamped,
    table_of,
)
from kinemill.errors import BadInput, BadLog
from kinemill.ingest.clock import Floats, usable
from kinemill.ingest.file_stat import is_file
from kinemill.ingest.name_heuristics import ASIDE, Guess, guess, is_stamp, split_words
from kinemill.ingest.raw import (
    TIME,
    About,
    ColumnAttributes,
    Header,
    RawLog,
    Reader,
    Unreadable,
    rest_of_seconds,
    split_index,
)
from kinemill.ingest.readers._header_block import stated_rate
from kinemill.ingest.readers.compressed import FORMAT, temporary_copy
from kinemill.ingest.readers.csv import is_wide
from kinemill.ingest.unsupported_formats import is_pointer, unsupported_error
from kinemill.task import READERS, Channel, Task

NO_CLOCK = "\0"  # no column has this name
ARRAYS = (
    "hdf5",
    "json_arrays",
    "mat",
    "npz",
    "parquet",
)  # formats that may state a rate next to a clock
HEAD = 4096  # bytes by which a format is recognized
ROUNDS = 20  # readings of a log, each without the columns that the previous one refused
UNUSUAL = Reason(
    "no usual state or command of a vehicle; list a field as a channel to use it", "usual topics"
)
_STAMPS = {"timestamp", "stamp", "sec", "secs", "nsec", "nanosec", "nsecs"}


@dataclass(frozen=True)
class _ReadResult:
    """Parts of a log with all columns that could be read: names by position, and the rest."""

    names: list[str]
    logs: list[RawLog]
    refused: dict[str, str]
    time: str | None = None
    searched: bool = False  # whether the clock was searched among the columns


def form_of(path: Path) -> str | None:
    """Return the format of a file by its content, else by its suffix; None if no reader matches."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    name = path.name.lower()
    ours = [form for form, reader in READERS.items() if reader.recognizes(head)]
    ours += [f for f, r in READERS.items() if name.endswith(r.suffixes) and not r.shared]
    return ours[0] if ours else None


def survey(path: Path, rate: float | None = None) -> list[Table]:
    """Return every column of a log: a table for each of its parts, time in s.

    Args:
        path: a log of any format that has a reader.
        rate: rows per second, Hz, of a log without timestamps, unless the log states it.

    Raises:
        BadInput: There is no such file.
        BadLog: It is not a log, or the time of its rows is unknown.
    """
    if not is_file(path):
        raise BadInput(path, "is not a file", fix="name a log, or a folder of logs")
    try:
        return _survey(path, rate)
    except Unreadable as error:
        raise _named_error(path, error) from error


def _named_error(path: Path, error: Unreadable) -> BadLog:
    """Return the error of a reader with the name of the log."""
    where = path if error.where == "file" else f"{path}, {error.where}"
    return BadLog(where, error.problem, expected=error.expected, fix=error.fix)


def _survey(path: Path, rate: float | None) -> list[Table]:
    if is_pointer(path):
        raise BadLog(path, "is a pointer of Git LFS, not the log", fix="git lfs pull, in its clone")
    form = form_of(path)
    if form is None and (error := unsupported_error(path)):
        raise error
    is_text = form in {"csv", "text"} and is_wide(path)
    if form is None or is_text:
        return [with_letters(split_clocks(t, rate)) for t in split_table(read_text(path, rate))]
    if form == FORMAT:
        return _survey_compressed(path, rate)
    reader: Reader = READERS[form]
    listed = _header(reader, path)
    about = reader.about(path)
    if about.left_out and not listed:
        topic, why = next(iter(about.left_out.items()))
        raise BadLog(path, f"{topic} {why}", expected="JSON or ROS messages", fix="convert the log")
    tables = list[Table]()
    if experiments := find_experiments(listed):
        experiment_columns = {
            name for experiment in experiments for name in experiment.columns.values()
        }
        for experiment in experiments:
            columns = [
                name
                for name in listed
                if name not in experiment_columns or name in experiment.columns.values()
            ]
            result = _everything(reader, path, columns, rate, about)
            tables += [
                named(_table(path, log, result, rate, about), experiment) for log in result.logs
            ]
    else:
        used = [name for name in listed if reader.selects and name in about.labels] or listed
        result = _everything(reader, path, used, rate, about)
        result.refused.update(_unused(listed, used) | about.left_out)
        whole = [_table(path, log, result, rate, about) for log in result.logs]
        tables = [part for table in whole for part in split_table(table)]
    stated = about.rate or _stated_rate(reader, path, tables)
    return [
        with_letters(
            replace(
                split_clocks(table, rate),
                labels={**table.labels, **about.labels},
                text=about.text,
                attributes=attributes_by_column(about.columns, table),
                remarks=(*table.remarks, *contradictions(stated, table)),
                splits=about.splits,
            )
        )
        for table in tables
    ]


def _stated_rate(reader: Reader, path: Path, tables: list[Table]) -> float | None:
    """Return the rate, Hz, that a log of arrays states next to its clock, if it does."""
    names = [*tables[0].values][:1] if tables else []
    if not names or not tables[0].time or form_of(path) not in ARRAYS:
        return None
    try:
        return read_parts(reader, path, _asking(names, NO_CLOCK))[0].ticks
    except Unreadable:
        stated = reader.attributes(path).items()
        keys = [(re.split(r"[./]", key)[-1], text) for key, text in stated]
        return stated_rate([pair for pair in keys if pair[0] != "frequency"])  # of an excitation


def _unused(listed: list[str], used: list[str]) -> dict[str, str]:
    """Return the reason why topics without a used field are left out, by topic."""
    topics = {name.partition(".")[0] for name in used}
    unusual = [name for name in listed if name.partition(".")[0] not in topics]
    return {f"{name.partition('.')[0]}.*": UNUSUAL for name in unusual}


def columns_of(path: Path) -> tuple[dict[str, Floats], list[str]]:
    """Return all numeric columns of a log by name, (rows,) each, and the names of the others.

    Numeric timestamps are columns as well.

    Raises:
        BadInput: It is not a log, holds several recordings or topics with their own timestamps,
            or has no column of numbers.
    """
    form = form_of(path)
    if form is None:
        raise BadInput(path, "is not a log", fix="name files that a reader can read")
    try:
        if form in {"csv", "text"}:
            numbers, texts = read_numbers(path)
            return _require_columns(numbers, path), texts
        reader: Reader = READERS[form]
        result = _readable(reader, path, _header(reader, path), rate=1.0)
    except Unreadable as error:
        raise _named_error(path, error) from error
    if len(result.logs) > 1:
        raise BadInput(path, f"holds {len(result.logs)} recordings", expected="one of its columns")
    if any(log.signals for log in result.logs):
        what = "holds topics with their own timestamps"
        raise BadInput(path, what, expected="rows with a value of every column", fix="--by time")
    frame = result.logs[0].frame
    columns = {name: finite_or_nan(frame[str(at)]) for at, name in enumerate(result.names)}
    # An array of one column is listed with and without its index.
    twice = {f"{name}[0]" for name in columns}
    plain = {name: values for name, values in columns.items() if name not in twice}
    return _require_columns(plain, path), [*result.refused]


def _require_columns(columns: dict[str, Floats], path: Path) -> dict[str, Floats]:
    if not columns:
        raise BadInput(path, "has no column of numbers")
    return columns


def _survey_compressed(path: Path, rate: float | None) -> list[Table]:
    with temporary_copy(path) as content:
        try:
            return [replace(table, path=path) for table in survey(content, rate)]
        except BadLog as error:
            where = error.where.replace(str(content), str(path))
            raise BadLog(where, error.problem, expected=error.expected, fix=error.fix) from error


def _everything(
    reader: Reader, path: Path, listed: list[str], rate: float | None, about: About
) -> _ReadResult:
    """Read all of the listed columns that can be channels, with a clock.

    The clock are timestamps, by name or by type, or the rate of the rows.
    """
    names = {name: about.labels.get(name, name.rpartition("/")[2]) for name in listed}
    stamps = [
        name for name, label in names.items() if is_stamp(label) and not is_physical(label)
    ] or [name for name in [about.clock] if name]
    aside: dict[str, str] = {
        name: Reason(ASIDE, "aside") for name in listed if _is_aside(guess(name))
    }
    stamp = Reason("a timestamp, by its name", "clock")
    aside |= {name: stamp for name in listed if _is_stamp(name)}
    names = [name for name in listed if name not in {*aside, *stamps}]
    stated = stamps[0] if stamps else None
    aside.pop(stated or "", None)
    try:
        result = _readable(reader, path, names, stated, None if stated else rate)
    except Unreadable as error:
        if stated or rate is not None or any(item["channel"] for item in error.reasons):
            raise
        split = next((name for name in listed if rest_of_seconds(name, listed)), None)
        if split is None:
            return replace(_readable(reader, path, listed, rate=1.0), searched=True)
        result = _readable(reader, path, names, split)
    if rate is not None and any(_is_coarse(log) for log in result.logs):
        result = replace(_readable(reader, path, names, NO_CLOCK, rate), time=None)
    return replace(result, refused=aside | result.refused)


def _is_coarse(log: RawLog) -> bool:
    """Return whether the clock of a table has too few digits."""
    return not log.signals and not advances(finite_or_nan(log.frame[TIME]))


def _is_aside(name_guess: Guess) -> bool:
    """Return whether a column is not a channel by name; the draft decides on references."""
    return name_guess.role is None and name_guess.what != "reference"


def _header(reader: Reader, path: Path) -> list[str]:
    try:
        reader.read(path, _asking([]))
    except Header as header:
        return list(dict.fromkeys(header.names))
    raise BadLog(path, "its reader does not list its content", fix="write the task by hand")


def _is_stamp(name: str) -> bool:
    """Return whether a field of a message is a timestamp, or part of one."""
    return bool(set(split_words(name.rpartition(".")[2])) & _STAMPS)


@cache
def empty_task() -> Task:
    """Return a task with one channel, whose other parts are defaults."""
    channels = {"any": {"role": "state", "unit": "1"}}
    learn = {"type": "dynamics", "model": {"type": "mlp"}}
    return Task.model_validate({"task": "survey", "dt": 1.0, "channels": channels, "learn": learn})


def _asking(names: list[str], time: str | None = None, rate: float | None = None) -> Task:
    """Return a task that requests all `names`, as channels named after their positions.

    The clock is a column of timestamps, a rate in Hz, or neither: then the log states its rate.
    """
    channels = {
        str(index): Channel.model_validate({"role": _role(name), "unit": "1", "source": name})
        for index, name in enumerate(names)
    }
    stamps = [time] if time else empty_task().ingest.time
    ingest = empty_task().ingest.model_copy(update={"time": stamps, "rate": rate})
    return empty_task().model_copy(update={"channels": channels, "ingest": ingest})


def _role(name: str) -> str:
    return "action" if guess(name).role == "action" else "state"


def _readable(
    reader: Reader,
    path: Path,
    names: list[str],
    time: str | None = None,
    rate: float | None = None,
) -> _ReadResult:
    """Read a log repeatedly, each time without the columns that the reader refused.

    The clock is as in `_asking`.

    Raises:
        Unreadable: No column is left, or the problem is not in a column.
        BadLog: There are no names.
    """
    if not names:
        problem = "holds no column that can be a channel"
        raise BadLog(path, problem, fix="record states and actions")
    refused: dict[str, str] = {}
    for _ in range(ROUNDS):
        try:
            logs = read_parts(reader, path, _asking(names, time, rate))
        except Unreadable as error:
            bad = {
                names[int(r["channel"])]: str(r["found"])
                for r in error.reasons
                if r["channel"] and r["channel"] != "time"
            }
            if any(item["check"] == "rows" for item in error.reasons):
                bad = bad or _odd_lengths(reader, path, names, time, rate)
            if not bad or len(bad) == len(names):
                raise
            # A matrix is read by its elements.
            refused |= {name: why for name, why in bad.items() if f"{name}[0]" not in names}
            names = [name for name in names if name not in bad]
        else:
            return _ReadResult(names, logs, refused, time)
    raise BadLog(path, "its columns are refused one after another", fix="write the task by hand")


def read_parts(reader: Reader, path: Path, task: Task) -> list[RawLog]:
    """Read the parts of a log that can be read.

    Raises:
        Unreadable: There is none.
    """
    content = reader.read(path, task)
    logs = content if isinstance(content, list) else [content]
    whole = [log for log in logs if log.signals or log.frame.width]
    if not whole:
        raise Unreadable(*logs[0].reasons)
    return whole


def _odd_lengths(
    reader: Reader, path: Path, names: list[str], time: str | None, rate: float | None
) -> dict[str, str]:
    """Return the columns whose length differs from that of most; actions may have one row less.

    Most numbers are in columns of the usual length. Small matrices do not count: a workspace of
    MATLAB holds many of them in addition to the log.
    """

    @cache  # a matrix may have thousands of columns, all of one length
    def rows_of(vector: str) -> int:
        name = next(name for name in names if split_index(name)[0] == vector)
        try:
            return read_parts(reader, path, _asking([name], time, rate))[0].frame.height
        except Unreadable:
            return 0

    rows = {name: rows_of(split_index(name)[0]) for name in names}
    state_rows = [rows[name] for name in names if _role(name) == "state"] or [*rows.values()]
    long = [count for count in state_rows if count >= TOPIC_SHORT] or state_rows
    usual = max(Counter(long).items(), key=lambda item: (item[0] * item[1], item[0]))[0]
    fits = {n: {usual, usual - 1} if _role(n) == "action" else {usual} for n in names}
    why = Reason(f"does not have {usual} rows", "length")
    return {n: why for n in names if rows[n] not in fits[n]}


def _table(path: Path, log: RawLog, result: _ReadResult, rate: float | None, about: About) -> Table:
    if log.signals:
        return _of_messages(path, log, result, rate)
    numbers = {name: finite_or_nan(log.frame[str(at)]) for at, name in enumerate(result.names)}
    if result.searched:
        return replace(table_of(path, numbers, result.refused), part=log.part)
    time = log.frame[TIME]
    meeting = 1.0 / rate if rate and result.time else None
    has_stamps = bool(usable(time).any())
    if result.time and log.ticks == 1.0 and has_stamps:  # plain numbers of unknown unit
        numbers[result.time] = finite_or_nan(time)
        unit = about.columns.get(result.time, ColumnAttributes()).unit
        clock = with_unit(result.time, numbers, unit)
        table = stamped(path, clock, numbers, result.refused)
        return replace(table, part=log.part, meeting=meeting)
    if not has_stamps:
        raise BadLog(path, "too short: it has no row with a timestamp")
    first = time.filter(usable(time))[0]
    seconds = finite_or_nan(time - first) / log.ticks
    if result.time and not advances(seconds):
        raise coarse_clock(path, result.time, seconds)
    table = on_clock(path, seconds, 1.0, numbers, result.refused)
    return replace(
        table,
        time=result.time,
        part=log.part,
        rate=None if result.time else rate,
        origin=table.origin + float(first) / log.ticks,
        meeting=meeting,
        clock_rule="timestamps of the format" if result.time else "",
    )


def _of_messages(path: Path, log: RawLog, result: _ReadResult, rate: float | None) -> Table:
    """Keep the topics that cover the log's duration, and meet at `rate`, Hz (`rates.py`)."""
    stamps = [stamp for signal in log.signals.values() for stamp in signal.time.head(1).to_list()]
    origin = min(stamps)
    samples = dict[str, Samples]()
    empty = dict[str, str]()
    for index, name in enumerate(result.names):
        signal = log.signals[str(index)]
        if not len(signal.time):
            empty[f"{name.partition('.')[0]}.*"] = Reason("holds no messages", "topic")
            continue
        samples[name] = (
            finite_or_nan(signal.time - origin) / log.ticks,
            finite_or_nan(signal.values),
        )
    spans = {name: float(np.ptp(seconds)) for name, (seconds, _) in samples.items()}
    shortest = TOPIC_COVERED * max(spans.values())
    # A topic that sends in bursts is slower than its usual step: its mean rate bounds it.
    steps = {
        name: max(usual_step(seconds), TOPIC_RARE * spans[name] / len(seconds))
        for name, (seconds, _) in samples.items()
        if spans[name] >= shortest
    }
    names, step, slow, remarks = meet(steps, rate)
    is_absent = Reason("not there all the time", "topic")
    short: dict[str, str] = {name: is_absent for name in samples if name not in steps}
    left_out = {f"{name.partition('.')[0]}.*": why for name, why in {**slow, **short}.items()}
    return Table(
        path,
        None,
        "s",
        {name: values for name, values in samples.items() if name in names},
        result.refused | empty | left_out,
        log.part,
        topic_clocks=True,
        origin=float(origin) / log.ticks,
        meeting=step,
        remarks=tuple(remarks),
        clock_rule="timestamps of the messages",
    )
