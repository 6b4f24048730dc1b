"""Logs of a draft: the files of a folder that a reader can read, as tables.

Files whose name marks them as plans (`desired/step.csv`) have the columns of logs, but are not
measured: a model of them would learn the planner's model of the robot.
"""

import fnmatch
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kinemill.draft.joined_files import is_unnamed
from kinemill.draft.recording_files import join_hint, name_quantities
from kinemill.draft.schema_inference import form_of, survey
from kinemill.draft.table import Table
from kinemill.draft.text_table import FEWEST_ROWS
from kinemill.errors import BadInput, join_first
from kinemill.ingest.file_stat import is_file, is_folder
from kinemill.ingest.name_heuristics import split_words
from kinemill.ingest.unsupported_formats import unsupported_format
from kinemill.store.json_io import valid_text
from kinemill.task import READERS

MOST_LOGS = 40  # logs of a folder, or parts of all logs, that are read
MOST_NAMES = 8
WIDE = 50  # columns per row from which on few rows are no time steps
UNREAD = f"not read: a draft reads {MOST_LOGS} logs or parts; `kinemill run` reads all"
PLANNED = "a plan by its name, and no measurement"
_MODELS = (".xml", ".mjcf", ".urdf")  # of robots
_PLAN_WORDS = {"des", "desired", "plan", "plans", "planned", "nominal", "setpoint", "setpoints"}


@dataclass(frozen=True)
class LogTables:
    """Content of the logs of a draft.

    Attributes:
        tables: one table for each part of a log.
        problems: reasons why other files are not used, by name.
        exclude: patterns of the names of files that are not logs, for `ingest.exclude`.
    """

    tables: list[Table]
    problems: dict[str, str] = field(default_factory=dict[str, str])
    exclude: list[str] = field(default_factory=list[str])


def read_tables(source: Path, rate: float | None, *, is_motion: bool = False) -> LogTables:
    """Read the logs of a draft: a log, or a folder of logs.

    Args:
        source: the log or folder.
        rate: rows per second, Hz, of logs without timestamps, unless they state it.
        is_motion: whether the logs are motions to be tracked; plans are then used.

    Raises:
        BadInput: There is none.
        BadLog: The only log cannot be read.
    """
    if is_file(source):
        parts = _long_parts(source, rate)
        return LogTables(parts[:MOST_LOGS], _unread(source.name, len(parts) - MOST_LOGS))
    if not is_folder(source):
        raise BadInput(source, "is neither file nor folder", fix="name a log, or a folder of logs")
    logs = log_files(source)
    plans = list[Path]()
    if not is_motion:
        logs, plans = _without_plans(source, logs)
    tables, problems = _read_logs(source, logs, rate)
    problems |= {str(path.relative_to(source)): PLANNED for path in plans}
    problems |= _unsupported_files(source)
    # `ingest.rate` and `ingest.time_unit` are those of all logs.
    different = [table for table in tables if _clock(table) != _clock(tables[0])]
    problems |= {
        str(table.path.relative_to(source)): f"has {_clock(table)}, and {tables[0].path.name} "
        f"{_clock(tables[0])}"
        for table in different
    }
    tables = [table for table in tables if _clock(table) == _clock(tables[0])]
    if not _share_columns(tables) and (command := join_hint(source, logs)):
        raise BadInput(source, "each of its recordings is several files", fix=command)
    if not tables:
        raise _nothing_to_read(source, problems)
    problems |= _unrecognized(source)
    return LogTables(tables, problems, _patterns(source, plans, logs))


def _read_logs(
    folder: Path, logs: Sequence[Path], rate: float | None
) -> tuple[list[Table], dict[str, str]]:
    """Return the parts of the first logs, and why other logs and parts are not used."""
    tables = list[Table]()
    problems = dict[str, str]()
    most_parts = MOST_LOGS // max(1, min(len(logs), MOST_LOGS))  # of a log, so that others are read
    for path in logs[:MOST_LOGS]:
        name = str(path.relative_to(folder))
        try:
            parts = _long_parts(path, rate)
        except (BadInput, OSError) as error:
            problems[name] = str(error).removeprefix(f"{path}: ")
        else:
            tables += parts[:most_parts]
            problems |= _unread(name, len(parts) - most_parts)
    if unread := [str(path.relative_to(folder)) for path in logs[MOST_LOGS:]]:
        problems[join_first(unread, MOST_NAMES)] = UNREAD
    return tables, problems


def _is_wide(part: Table) -> bool:
    return part.rows < MOST_LOGS and len(part.values) > WIDE * part.rows


def _unread(name: str, count: int) -> dict[str, str]:
    return {f"{count} parts of {name}": UNREAD} if count > 0 else {}


def name_columns(table: Table, names: Sequence[str]) -> Table:
    """Return a table whose columns, which have no names in the log, have `names` in their order.

    Raises:
        BadInput: The columns have names, or another number.
    """
    columns = list(table.values)
    listed = join_first(columns, MOST_NAMES)
    if not is_unnamed(columns):
        raise BadInput("--columns", f"{table.path.name} has names: {listed}", fix="leave it out")
    if len(names) != len(columns):
        problem = f"has {len(names)} names for {len(columns)} columns of {table.path.name}"
        raise BadInput("--columns", problem, expected=f"a name for each of {listed}")
    return replace(table, labels=dict(zip(columns, names, strict=True)))


def _long_parts(path: Path, rate: float | None) -> list[Table]:
    """Return the parts of a log that are long enough; a remark of the first names the others.

    Raises:
        BadInput: There is none.
    """
    parts = survey(path, rate)
    if not any(part.values for part in parts):
        text = ", ".join(f"{name} ({why})" for name, why in parts[0].left_out.items())
        raise BadInput(path, f"has no column of numbers; left out are {text or 'its timestamps'}")
    if wide := next(filter(_is_wide, parts), None):
        problem = f"holds {len(wide.values)} columns in {wide.rows} rows: recordings as rows?"
        raise BadInput(path, problem, fix="write each recording as a log, with a row per time step")
    long = [part for part in parts if part.rows >= FEWEST_ROWS]
    short = [
        f"{part.part or path.name}: {part.rows} rows" for part in parts if part.rows < FEWEST_ROWS
    ]
    if not long:
        raise BadInput(path, f"too short: {', '.join(short)}", expected=f"{FEWEST_ROWS} or more")
    if not short:
        return long
    remark = f"too short and left out: {join_first(short, MOST_NAMES)}"
    return [replace(long[0], remarks=(*long[0].remarks, remark)), *long[1:]]


def _nothing_to_read(folder: Path, problems: Mapping[str, str]) -> BadInput:
    """Return the error for a folder without a log, or of logs that cannot be read, by name."""
    hint = _robot_hint(folder)
    if unread := problems or ({} if hint else _unrecognized(folder)):
        name, why = next(iter(unread.items()))
        return BadInput(folder, f"none of {len(unread)} logs can be read; {name}: {why}")
    expected = f"files with the suffix {', '.join(_endings())}"
    return BadInput(folder, "holds no log for a draft", expected=expected, fix=hint)


def _share_columns(tables: Sequence[Table]) -> bool:
    """Return whether several tables have the same columns, or any is an experiment of a log.

    A single column without a name is another one in each file with the name of a quantity.
    """
    columns = {frozenset(table.values) for table in tables}
    is_same = len(tables) > 1 and len(columns) == 1
    is_alone = is_same and len(tables[0].values) == 1 and is_unnamed(tables[0].values)
    return any(table.experiment for table in tables) or (
        is_same and not (is_alone and name_quantities([table.path for table in tables]))
    )


def _clock(table: Table) -> str:
    return f"{table.rate:g} Hz" if table.rate else f"timestamps in {table.spelled_unit}"


def _without_plans(folder: Path, paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return measured logs, and plans; if most names look like plans, all are measured."""
    plans = [path for path in paths if _plan_words(path.relative_to(folder))]
    if 2 * len(plans) > len(paths):
        return paths, []
    return [path for path in paths if path not in plans], plans


def _plan_words(relative: Path) -> set[str]:
    return _PLAN_WORDS & {word for part in relative.parts for word in split_words(part)}


def _patterns(folder: Path, plans: Iterable[Path], logs: Iterable[Path]) -> list[str]:
    """Return patterns that match all plans and no log: words, or whole names."""
    measured = [str(path.relative_to(folder)) for path in logs]
    patterns = list[str]()
    for path in plans:
        name = str(path.relative_to(folder))
        word = f"*{min(_plan_words(path.relative_to(folder)))}*"
        is_apart = fnmatch.fnmatchcase(name, word) and not fnmatch.filter(measured, word)
        patterns.append(word if is_apart else name)
    return list(dict.fromkeys(patterns))


def log_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the last parts of each path, as few as distinguish all: `log.csv`, or `run1/log.csv`.

    Patterns of these names assign logs in any folder.
    """
    parts = {path: path.parts for path in paths}
    depth = 1
    while len({segments[-depth:] for segments in parts.values()}) < len(parts):
        depth += 1
    return {path: valid_text("/".join(segments[-depth:])) for path, segments in parts.items()}


def log_files(folder: Path) -> list[Path]:
    """Return the files below a folder that a reader can read, by name."""
    paths = [
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_endings()) and not name.startswith((".", "~"))
    ]
    forms = ((path, form_of(path)) for path in sorted(paths) if is_file(path))
    return [p for p, form in forms if form and not READERS[form].describes(p)]


def _unsupported_files(folder: Path) -> dict[str, str]:
    """Return why archives and logs of formats without a reader are not read, by relative name."""
    return {
        str(path.relative_to(folder)): f"is {format_[0]}; {format_[1]}"
        for path in sorted(folder.rglob("*"))
        if (format_ := unsupported_format(path)) and format_[1]
        if is_file(path) and form_of(path) is None
    }


def _unrecognized(folder: Path) -> dict[str, str]:
    """Return the files of a folder that are no logs, by name, or by suffix if several share it."""
    names = dict[str, list[str]]()
    for path in sorted(folder.rglob("*")):
        is_known = path.suffix.lower() in _MODELS or unsupported_format(path) is not None
        if is_known or path.name[0] in ".~_" or not is_file(path):
            continue
        is_read = path.name.lower().endswith(_endings()) and form_of(path)
        if not is_read and not any(READERS[form].describes(path) for form in READERS):
            name = str(path.relative_to(folder))
            names.setdefault(path.suffix.lower() or name, []).append(name)
    why = "no reader recognizes it"
    alone = {files[0]: why for files in names.values() if len(files) == 1}
    counts = {suffix: len(files) for suffix, files in names.items() if len(files) > 1}
    return alone | {f"*{suffix}": f"{why} ({count} files)" for suffix, count in counts.items()}


def _robot_hint(folder: Path) -> str | None:
    """Return what to do in a folder of models of robots instead of logs."""
    models = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _MODELS)
    first = next(models, None)
    if first is None:
        return None
    name = first.relative_to(folder)
    return f"{name} describes a robot: name a folder of logs with --from, and --robot {name}"


def _endings() -> tuple[str, ...]:
    return tuple({suffix: 0 for reader in READERS.values() for suffix in reader.suffixes})
