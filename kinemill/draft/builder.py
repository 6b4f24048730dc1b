"""Draft builder: a first task file from the columns of logs, with every inference marked.

Any format with a reader is supported (`schema_inference.py`). Variants of one quantity (measured,
filtered) become one channel. Plans and constant columns are omitted and named in comments. A
velocity is the derivative of a position only if its integral follows the position in the data.
"""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinemill.draft.column_relations import find_quaternions, letter_columns, name_targets
from kinemill.draft.derivatives import SPEEDS, find_derivatives
from kinemill.draft.schema_inference import form_of, survey
from kinemill.draft.task_draft_writer import Column, Draft, name_channels, write_task
from kinemill.errors import BadInput
from kinemill.ingest.channels import TURN
from kinemill.ingest.clock import Floats
from kinemill.ingest.columns import Table
from kinemill.ingest.file_stat import is_file, is_folder
from kinemill.ingest.name_heuristics import ACCELERATED, ASIDE, Guess, guess
from kinemill.ingest.raw import split_index
from kinemill.task import READERS
from kinemill.task.float_precision import far_from_zero, place_near

MOST_LOGS = 40  # logs of a folder that are read
EVEN = 1e-6  # of a step: deviation of evenly spaced timestamps
NICE = (1.0, 1.25, 5 / 3, 2.0, 2.5, 10 / 3, 4.0, 5.0, 8.0, 10.0)  # 600, 60, 30 Hz are usual too
MARGIN = 0.5  # of the observed range, added on both sides
REST = 0.1  # of the largest value, added as well: a joint at rest may move in another log


def draft(name: str, source: Path, rate: float | None = None) -> str:
    """Draft the task file `name` from a log, or from all logs of a folder.

    Args:
        name: name of the new task.
        source: a log of any format that has a reader, or a folder of them.
        rate: rows per second, Hz, of logs without timestamps that do not state it.

    Raises:
        BadInput: there is no log of such a format, or none of its columns can be learned.
        BadLog: the only log cannot be read.
    """
    every, problems = _tables(source, rate)
    used, unused = _with_common_columns(list(zip(every, _choose_all(every), strict=True)))
    tables = [table for table, _ in used]
    columns, left_out = _columns(used)
    if not any(column.guess.role == "state" for column in columns):
        named = ", ".join(f"{name} ({why})" for name, why in left_out.items())
        raise BadInput(
            source,
            f"no column can be a state; left out are {named or 'none'}",
            expected="numbers that change, such as positions and velocities",
            fix="name a log that has some, or write the task by hand: docs/task-file.md",
        )
    step = max(table.step for table in tables)
    units = _units(name_targets(_angles(find_quaternions(columns))))
    described = [_with_limits(_offset(column)) for column in find_derivatives(units)]
    described.sort(key=lambda column: column.guess.role == "action")
    dt, channels = _dt(tables, step), name_channels(described)
    return write_task(Draft(name, tables, dt, step, channels, left_out, problems | unused))


def _tables(source: Path, rate: float | None) -> tuple[list[Table], dict[str, str]]:
    """Return the tables of the logs, and why others cannot be read, by name."""
    if is_file(source):
        return survey(source, rate)[:MOST_LOGS], {}
    if not is_folder(source):
        raise BadInput(source, "is no file and no folder", fix="name a log, or a folder of logs")
    tables, problems = list[Table](), dict[str, str]()
    for path in _logs(source):
        try:
            tables += survey(path, rate)[: MOST_LOGS - len(tables)]
        except (BadInput, OSError) as error:
            problems[path.name] = str(error).removeprefix(f"{path}: ")
    if not tables:
        if problems:
            name, why = next(iter(problems.items()))
            raise BadInput(source, f"none of {len(problems)} logs can be read; {name}: {why}")
        raise BadInput(
            source,
            "holds no log for a draft",
            expected=f"files with the suffix {', '.join(_endings())}",
        )
    return tables, problems


def _logs(folder: Path) -> list[Path]:
    paths = [
        Path(root) / name
        for root, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(_endings()) and not name.startswith((".", "~"))
    ]
    forms = ((path, form_of(path)) for path in sorted(paths) if is_file(path))
    return [p for p, form in forms if form and not READERS[form].describes(p)][:MOST_LOGS]


def _endings() -> tuple[str, ...]:
    return tuple(suffix for reader in READERS.values() for suffix in reader.suffixes)


def _dt(tables: list[Table], step: float) -> float:
    """Return the time step, s: that of evenly spaced timestamps, else a usual one close to it."""
    clocks = {id(seconds): seconds for table in tables for seconds, _ in table.values.values()}
    if all(_even(seconds) for seconds in clocks.values()):
        return float(f"{step:.12g}")
    return nice(step)


def _even(seconds: Floats) -> bool:
    steps = np.diff(seconds)
    return bool(len(steps)) and bool(np.all(np.abs(steps - np.median(steps)) <= EVEN * steps[0]))


def nice(step: float) -> float:
    """Round a time step, s: to a usual one within 8 %, else to two digits."""
    power = 10.0 ** np.floor(np.log10(step))
    usual = min((digit * power for digit in NICE), key=lambda candidate: abs(candidate - step))
    if abs(usual - step) <= 0.08 * step:
        return float(f"{usual:.4g}")
    return float(f"{step:.2g}")


Choice = tuple[dict[str, Guess], dict[str, str]]  # of a log: chosen columns; reasons for the rest
ChosenTable = tuple[Table, Choice]


def _choose_all(tables: list[Table]) -> list[Choice]:
    """Choose the best variant of each quantity of each log.

    Accelerations, which follow from velocities, are states only if there are no others.
    """
    choices = [_choose(table) for table in tables]
    if any(
        name_guess.role == "state" for selected, _ in choices for name_guess in selected.values()
    ):
        return choices
    return [_choose(table, accelerations=True) for table in tables]


def _with_common_columns(every: list[ChosenTable]) -> tuple[list[ChosenTable], dict[str, str]]:
    """Return the logs that have every column which more than half of them have, and the others.

    Every log must have all channels of a task. If that excluded half of the logs or more, only the
    columns that all logs have are used.
    """
    counted = Counter(family for _, (selected, _) in every for family in selected)
    common = {family for family, count in counted.items() if 2 * count > len(every)}
    lacking = [common - selected.keys() for _, (selected, _) in every]
    if 2 * sum(map(bool, lacking)) >= len(every):
        return every, {}
    unused = {
        table.path.name: f"has no {', '.join(sorted(missing))}"
        for (table, _), missing in zip(every, lacking, strict=True)
        if missing
    }
    return [one for one, missing in zip(every, lacking, strict=True) if not missing], unused


def _columns(used: list[ChosenTable]) -> tuple[list[Column], dict[str, str]]:
    """Return the channels that all of these logs have, and why other columns are omitted."""
    families: dict[str, list[tuple[Table, Guess]]] = {}
    left_out: dict[str, str] = {}
    for table, (selected, others) in used:
        left_out |= table.left_out | others
        for family, name_guess in selected.items():
            families.setdefault(family, []).append((table, name_guess))
    columns: list[Column] = []
    for family in sorted(families, key=list(families).index):
        readings = families[family]
        column = _column(readings)
        if len(readings) < len(used):
            left_out |= dict.fromkeys(column.names, f"in {len(readings)} of {len(used)} logs")
        elif np.ptp(column.values) == 0.0 if len(column.values) else True:
            left_out |= dict.fromkeys(column.names, "never changes")
        else:
            columns.append(column)
    selected = {name for column in columns for name in column.names}
    return columns, {name: why for name, why in left_out.items() if name not in selected}


def _choose(table: Table, *, accelerations: bool = False) -> Choice:
    """Choose the best variant of each quantity of a log; return reasons for the others."""
    selected: dict[str, Guess] = {}
    others = letter_columns(table)
    guesses = [guess(name, table.labels.get(name, "")) for name in table.values]
    duplicates = _find_duplicates(table)
    for name_guess in sorted(guesses, key=lambda item: item.preference):
        # Unknown columns without other words are separate quantities.
        family = (
            name_guess.name
            if name_guess.what == "unknown"
            else f"{name_guess.what} {name_guess.family}"
        )
        role = "state" if accelerations and name_guess.what == "acceleration" else name_guess.role
        if name_guess.name in others:
            continue
        if name_guess.name in duplicates:
            others[name_guess.name] = f"the same numbers as {duplicates[name_guess.name]}"
        elif role is None:
            others[name_guess.name] = ACCELERATED if name_guess.what == "acceleration" else ASIDE
        elif family in selected:
            others[name_guess.name] = f"another reading of {selected[family].name}"
        else:
            selected[family] = replace(name_guess, role=role)
    order = list(table.values)
    return dict(sorted(selected.items(), key=lambda item: order.index(item[1].name))), others


def _find_duplicates(table: Table) -> dict[str, str]:
    """Return columns that repeat another one exactly, and that one; names are preferred to indices.

    A clip lists a joint by index and by name, and an array of one column with and without index.
    """
    first: dict[bytes, str] = {}
    duplicates: dict[str, str] = {}
    for name in sorted(table.values, key=lambda name: (name.endswith("]"), _has_index(name))):
        values = table.values[name][1]
        original = first.setdefault(values.tobytes(), name)
        finite = values[np.isfinite(values)]
        if original != name and len(finite) and np.ptp(finite) > 0.0:
            duplicates[name] = original
    return duplicates


def _has_index(name: str) -> bool:
    return split_index(name)[1] is not None


def _column(readings: list[tuple[Table, Guess]]) -> Column:
    usual = Counter(name_guess.name for _, name_guess in readings).most_common(1)[0][0]
    first = next(name_guess for _, name_guess in readings if name_guess.name == usual)
    names = list(dict.fromkeys([usual, *(name_guess.name for _, name_guess in readings)]))
    samples = {
        (table.path, table.part): table.values[name_guess.name] for table, name_guess in readings
    }
    return Column(first, names, samples)


def _angles(columns: list[Column]) -> list[Column]:
    """Recognize angles: by name, by a torque on the same joint, or by a range of one turn."""
    torques = {
        column.guess.index
        for column in columns
        if {"tau", "torque"} & set(column.guess.family.split())
    }
    return [
        column if column.kind == "quaternion" else _angle(column, torques) for column in columns
    ]


def _angle(column: Column, torques: set[str]) -> Column:
    name_guess, span = column.guess, float(np.ptp(column.values))
    if name_guess.what != "position" or name_guess.unit not in {None, "rad", "deg"}:
        return column
    if name_guess.unit == "deg" or 340.0 < span < 361.0:
        note = [] if name_guess.unit else [f"guessed deg: the range is {span:.4g}"]
        return replace(column, kind="angle", unit="rad", sure=True, log_unit="deg", notes=note)
    if name_guess.unit == "rad" or name_guess.turning:
        return replace(column, kind="angle", unit="rad", sure=True)
    if name_guess.index in torques:
        note = ["inferred an angle: a torque acts on it"]
        return replace(column, kind="angle", unit="rad", sure=True, notes=note)
    if 0.9 * TURN < span < TURN + 0.1:
        note = ["inferred an angle: the range is one turn"]
        return replace(column, kind="angle", unit="rad", sure=True, notes=note)
    return column


def _units(columns: list[Column]) -> list[Column]:
    return [
        replace(column, unit=column.guess.unit, sure=True)
        if column.guess.unit and not column.sure
        else column
        for column in columns
    ]


def _offset(column: Column) -> Column:
    """Set an offset for values far from zero, such as UTM positions, as float32 is too coarse."""
    if column.kind != "linear":
        return column
    values = column.values
    changes = [np.diff(own) for _, own in column.samples.values()]
    change = np.concatenate(changes)
    change = change[np.isfinite(change)]
    if not len(change) or not far_from_zero(values, float(change.std())):
        return column
    origin = place_near(values)
    note = [f"counts from {origin:.15g}: float32 would lose its motion"]
    return replace(column, offset=-origin, notes=[*column.notes, *note])


def _with_limits(column: Column) -> Column:
    """Set limits of linear channels: the observed range without outliers, and a margin."""
    if column.kind != "linear":
        return column
    values = (column.values + column.offset) / SPEEDS.get(column.log_unit or "", 1.0)
    low, high = (float(end) for end in np.quantile(values, [0.0005, 0.9995]))
    room = MARGIN * (high - low) + REST * max(abs(low), abs(high)) or 1.0
    low, high = low - room, high + room
    if low < 0.0 < high and min(-low, high) > 0.5 * max(-low, high):
        low, high = -max(-low, high), max(-low, high)
    limits = (-_up(-low), _up(high))
    beyond = int(np.count_nonzero((values < limits[0]) | (values > limits[1])))
    what = "1 sample lies" if beyond == 1 else f"{beyond} samples lie"
    notes = [f"{what} beyond these limits"] if beyond else []
    return replace(column, limits=limits, notes=[*column.notes, *notes])


def _up(value: float) -> float:
    """Round up to two digits."""
    if value == 0.0:
        return 0.0
    power = 10.0 ** (np.floor(np.log10(abs(value))) - 1)
    return float(f"{np.ceil(value / power - 1e-9) * power:.12g}") + 0.0  # no -0
