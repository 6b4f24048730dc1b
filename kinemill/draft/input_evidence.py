"""Input evidence of a draft: which columns without a descriptive name are inputs, from the data.

An input of an open-loop experiment drives the outputs, and nothing drives it: its past improves the
prediction of an output, and no other column's past improves its own (Granger 1969). Linear models
predict the change of a column over some rows, from the past of all columns or without that of one,
and are compared on rows that they were not fitted to. Where feedback acts, or nothing depends on
anything, the evidence is ambiguous and no role is inferred.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kinemill.draft.column import Column
from kinemill.draft.constants import (
    COMPARED_LOGS,
    COMPARED_ROWS,
    INPUT_AT_ONCE,
    INPUT_DRIVES,
    INPUT_FEWEST_JUMPS,
    INPUT_HELD,
    INPUT_HORIZONS,
    INPUT_INDEPENDENT,
    INPUT_JUMP,
    INPUT_LAGS,
    INPUT_LEFT,
    INPUT_MOST_COLUMNS,
    INPUT_MOST_JUMPS,
    INPUT_PREDICTABLE,
    INPUT_SETTLED,
    INPUT_SPREAD,
    OPTIONAL_RIDGE,
)
from kinemill.draft.optional_columns import held_out_errors
from kinemill.draft.table import Table
from kinemill.ingest.clock import Floats
from kinemill.ingest.name_heuristics import (
    CURRENT,
    DRIVE,
    EFFORT,
    EXPLICIT,
    READ,
    Guess,
    guess,
    split_words,
)
from kinemill.runtime.window_metrics import nonzero_std

ACTS_AT_ONCE = "it acts within one row, so a row holds its next value"


def infer_inputs(columns: list[Column]) -> tuple[list[Column], str]:
    """Return columns in which inputs among unnamed states are actions, and why none was found.

    Next to an action by name, they stay states with a question. Columns are unchanged if all names
    show a role. The reason is "" in these cases and if inputs were found.
    """
    columns = _with_leading_velocities(columns)
    states = [at for at, column in enumerate(columns) if column.role == "state"]
    if any(column.role == "action" for column in columns):
        return _questioned(columns), ""
    is_named = all(columns[at].guess.what != "unknown" for at in states)
    if is_named or not 2 <= len(states) <= INPUT_MOST_COLUMNS:
        return columns, ""
    inputs, why = _inputs([columns[at] for at in states])
    result = list(columns)
    for at, is_immediate in inputs.items():
        column = columns[states[at]]
        note = "inferred an action: its past predicts others, and theirs does not predict it"
        notes = [*column.notes, note, *([ACTS_AT_ONCE] if is_immediate else [])]
        action = replace(column.guess, role="action", rule="response")
        result[states[at]] = replace(column, guess=action, lead=int(is_immediate), notes=notes)
    return result, why


def _with_leading_velocities(columns: list[Column]) -> list[Column]:
    """Return columns in which a velocity that drives another one of its axis is the command of it.

    A `geometry_msgs/Twist` on `/vel` has the names of the odometry that follows it. It is an action
    if it is held, and stays a state with a question otherwise: a filter follows its input as well.
    """
    learned = [column for column in columns if column.guess.what in {"velocity", "action"}]
    followers = [
        [of for of, other in enumerate(learned) if of != at and _share_axis(column, other)]
        for at, column in enumerate(learned)
    ]
    is_compared = any(followers) and len(learned) <= INPUT_MOST_COLUMNS
    recordings = _recordings(learned) if is_compared else []
    gains = [gain for rows in recordings for gain in [_gains(rows)] if gain.any()]
    if not gains:
        return columns
    gain = np.median(gains, axis=0)
    still = [np.mean(np.diff(rows, axis=0) == 0.0, axis=0) for rows in recordings]
    repeats = np.mean(still, axis=0)
    commands = dict[str, Column]()
    for at, column in enumerate(learned):
        driven = [of for of in followers[at] if gain[at, of] >= INPUT_DRIVES]
        if not driven or gain[at, at] > INPUT_INDEPENDENT:
            continue
        follower = learned[driven[0]].guess.name
        is_held = repeats[at] >= INPUT_HELD > repeats[driven[0]]
        note = f"inferred a command: it is held, and {follower} follows it"
        note = note if is_held else f"an action? {follower} follows it"
        role = replace(column.guess, role="action", what="action", rule="response")
        meaning = role if is_held else column.guess
        commands[column.guess.name] = replace(column, guess=meaning, notes=[*column.notes, note])
    return [commands.get(column.guess.name, column) for column in columns]


def _share_axis(first: Column, second: Column) -> bool:
    """Return whether two columns are velocities along or around the same axis by name."""
    words = [split_words(column.guess.name) for column in (first, second)]
    if {first.guess.what, second.guess.what} != {"velocity"} or words[0][-1] != words[1][-1]:
        return False
    return words[0][-2:] == words[1][-2:] or len(words[0][-1]) > 1


def controller_outputs(table: Table) -> set[str]:
    """Return the columns without a descriptive name that jump together with a set point.

    A controller answers a step of its set point in the same row or the next one; what it controls
    needs time.
    """
    guesses = {name: guess(name, table.labels.get(name, "")) for name in table.values}
    references = [name for name, meaning in guesses.items() if meaning.what == "reference"]
    return {
        name
        for reference in references
        for name, meaning in guesses.items()
        if meaning.role and _may_be_output(meaning)
        if _jumps_with(table.values[reference][1], table.values[name][1])
    }


def find_set_points(table: Table) -> dict[str, tuple[str, str]]:
    """Return the set points of loops by the data alone: each with its output, and why.

    A set point is held, another column settles at it, and a controller's output jumps with it.
    """
    guesses = {name: guess(name, table.labels.get(name, "")) for name in table.values}
    candidates = [
        name
        for name, meaning in guesses.items()
        if meaning.role == "action" or (meaning.role and _may_be_output(meaning))
    ]
    set_points = dict[str, tuple[str, str]]()
    for name, (_, reference) in table.values.items():
        is_command = bool({*split_words(name)} & EXPLICIT)
        if not (guesses[name].role == "state" or is_command) or not len(_jumps_of(reference)):
            continue
        settled = [column for column, (_, v) in table.values.items() if _settles(reference, v)]
        jumping = [
            column
            for column in candidates
            if column != name and _jumps_with(reference, table.values[column][1])
            if not is_command or _is_inner(name, column)
        ]
        # Commands that change together jump with each other: none is the set point of another.
        jumping = [
            column for column in jumping if not _jumps_with(table.values[column][1], reference)
        ]
        if settled and jumping and {*settled} != {*jumping}:
            why = f"the set point: {settled[0]} settles at it, {jumping[0]} jumps with it"
            set_points[name] = (jumping[0], why)
    return set_points


def gain_of_command(
    table: Table, name: str, states: list[str], actions: list[str]
) -> tuple[float, str]:
    """Return how much a command reduces what other actions leave of a state, and that state.

    The next change of each state is predicted from the past of all, and from the actions in the
    predicted row. The set point of a loop whose output is among the actions reduces nothing.

    Returns:
        The largest relative reduction of the squared error of a state, 0 if nothing is left, and
        the state; "" if the columns cannot be compared.
    """
    names = [*states, *actions, name]
    series = [table.values[column][1][:COMPARED_ROWS] for column in names]
    if len(names) > INPUT_MOST_COLUMNS or len({len(values) for values in series}) > 1:
        return 0.0, ""
    scaled = _standard(np.stack(series, axis=1))
    rows = len(scaled) - INPUT_LAGS
    if rows < 20 * INPUT_LAGS:
        return 0.0, ""
    past = [_past(column, rows) for column in scaled.T]
    present = scaled[INPUT_LAGS:, len(states) : -1]
    changes = (scaled[INPUT_LAGS:] - scaled[INPUT_LAGS - 1 : -1])[:, : len(states)]
    without = np.column_stack([*past[:-1], present, np.ones(rows)])
    errors = [held_out_errors(x, changes) for x in (without, np.column_stack([without, past[-1]]))]
    is_left = errors[0] ** 2 > INPUT_LEFT * changes.var(axis=0)
    gains = np.where(is_left, 1.0 - (errors[1] / np.maximum(errors[0], 1e-12)) ** 2, 0.0)
    return float(gains.max()), states[int(gains.argmax())]


def _may_be_output(meaning: Guess) -> bool:
    """Return whether a column may be the output of a controller by name: `y2`, `pump_speed`."""
    if {*split_words(meaning.name)} & READ:
        return False
    if meaning.what == "velocity":
        return bool({*split_words(meaning.name)} & DRIVE)
    return meaning.what in {"unknown", "position"} and meaning.unit in {None, "percent"}


def _is_inner(outer: str, inner: str) -> bool:
    """Return whether a command may be the output of the controller of another: no effort, a drive.

    A measured current or torque jumps with the command of a speed as well.
    """
    words = {*split_words(inner)}
    efforts = EFFORT & {*split_words(outer)}
    return not efforts and bool(words & EXPLICIT or (words & DRIVE and not words & CURRENT))


def _jumps_of(values: Floats) -> NDArray[np.intp]:
    """Return the rows (k,) before the jumps of a held column (n,); none if it is not held."""
    jumps = np.flatnonzero(np.diff(values) != 0.0)
    is_held = INPUT_FEWEST_JUMPS <= len(jumps) <= INPUT_MOST_JUMPS * len(values)
    return jumps if is_held else jumps[:0]


def is_held(values: Floats) -> bool:
    """Return whether a column (n,) changes by jumps only, and not by the last digit of its text."""
    steps = np.abs(np.diff(values))
    jumps = steps[_jumps_of(values)]
    return len(jumps) > 0 and bool(np.median(jumps) > INPUT_SPREAD * np.nanstd(values))


def _settles(reference: Floats, values: Floats) -> bool:
    """Return whether a column (n,) comes close to the reference (n,) before each of its jumps."""
    if len(reference) != len(values) or np.array_equal(reference, values):
        return False
    rows = np.append(_jumps_of(reference), len(reference) - 1)
    distance = float(np.nanmean(np.abs(values[rows] - reference[rows])))
    return distance < INPUT_SETTLED * float(np.std(reference[rows]))


def _jumps_with(reference: Floats, values: Floats) -> bool:
    """Return whether a column (n,) makes its largest steps where the reference (n,) does."""
    if len(reference) != len(values) or len(values) < 2:
        return False
    steps = np.abs(np.diff(np.where(np.isfinite(values), values, np.nan)))
    steps = np.fmax(steps, np.append(steps[1:], 0.0))
    jumps = np.abs(np.diff(reference)) > 0.0
    if not len(_jumps_of(reference)):
        return False
    near = jumps | np.append(jumps[1:], False)
    usual = float(np.nanquantile(steps[~near], 0.95))
    return float(np.nanmedian(steps[jumps])) > INPUT_JUMP * usual


def _questioned(columns: list[Column]) -> list[Column]:
    """Return columns with a question at unnamed states that drive others and that nothing drives.

    A state whose kind only its unit shows is unnamed too.
    """
    learned = [column for column in columns if column.role in {"state", "action"}]
    recordings = _recordings(learned) if len(learned) <= INPUT_MOST_COLUMNS else []
    gains = [_gains(rows) for rows in recordings]
    if not gains:
        return columns
    gain = np.median(gains, axis=0)
    questioned = dict[str, Column]()
    for at, (column, drives) in enumerate(zip(learned, gain, strict=True)):
        is_unnamed = column.role == "state" and column.guess.rule != "name"
        if is_unnamed and drives[at] <= INPUT_INDEPENDENT and drives.max() >= INPUT_DRIVES:
            driven = learned[int(drives.argmax())].guess.name
            note = f"an action? it drives {driven}, and nothing logged drives it"
            questioned[column.guess.name] = replace(column, notes=[*column.notes, note])
    return [questioned.get(column.guess.name, column) for column in columns]


def _gains(scaled: Floats) -> Floats:
    """Return how much the past of column i reduces the error of j next to the past of all others.

    On the diagonal: how much that of all others reduces the error of j next to its own
    (conditional causality; Geweke 1984). Standardized rows (n, columns) -> (columns, columns).
    """
    count = scaled.shape[1]
    gains = np.zeros((count, count))
    for horizon in INPUT_HORIZONS if len(scaled) >= 20 * INPUT_LAGS * count else ():
        rows = len(scaled) - INPUT_LAGS - horizon + 1
        past = np.column_stack([*(_past(column, rows) for column in scaled.T), np.ones(rows)])
        changes = scaled[INPUT_LAGS - 1 + horizon :] - scaled[INPUT_LAGS - 1 :][:rows]
        errors_with = _left_out_errors(past, changes)
        least = np.maximum(errors_with(np.arange(count)), INPUT_PREDICTABLE)
        for at in range(count):
            without = errors_with(np.delete(np.arange(count), at))
            without[at] = errors_with(np.array([at]))[at]
            gains[at] = np.maximum(gains[at], 1.0 - least / np.maximum(without, INPUT_PREDICTABLE))
    return gains


def _left_out_errors(past: Floats, changes: Floats) -> Callable[[NDArray[np.intp]], Floats]:
    """Return a function: columns whose past is used -> squared error of each change.

    Every other hundred rows are left out of the fits. Products of all columns are computed once.

    Args:
        past: past values of each column, and ones, (n, columns LAGS + 1).
        changes: (n, columns).
    """
    learned = (np.arange(len(past)) // 100) % 2 == 0
    parts = [(past[rows], changes[rows]) for rows in (learned, ~learned)]
    (gram, product), (left_out, shared) = [(x.T @ x, x.T @ y) for x, y in parts]
    gram += OPTIONAL_RIDGE * np.count_nonzero(learned) * np.eye(len(gram))
    squares = np.sum(parts[1][1] ** 2, axis=0)

    def errors(used: NDArray[np.intp]) -> Floats:
        at = np.append((used[:, np.newaxis] * INPUT_LAGS + np.arange(INPUT_LAGS)), len(gram) - 1)
        weights = np.linalg.solve(gram[np.ix_(at, at)], product[at])
        fitted = weights * (left_out[np.ix_(at, at)] @ weights - 2.0 * shared[at])
        return np.asarray((squares + fitted.sum(axis=0)) / len(parts[1][1]), np.float64)

    return errors


def _recordings(columns: list[Column]) -> list[Floats]:
    """Return standardized rows (n, columns) of logs, on the clock of most rows; others are held."""
    logs = [log for log in columns[0].samples if all(log in column.samples for column in columns)]
    recordings = list[Floats]()
    for log in logs[:COMPARED_LOGS]:
        samples = [column.samples[log] for column in columns]
        clock = max((seconds for seconds, _ in samples), key=len)
        if all(len(seconds) == len(clock) for seconds, _ in samples):
            values = [value for _, value in samples]
        elif all(len(seconds) and np.all(np.diff(seconds) >= 0.0) for seconds, _ in samples):
            values = [
                _hold(value, np.searchsorted(seconds, clock, "right") - 1)
                for seconds, value in samples
            ]
        else:
            continue
        recordings.append(_standard(np.stack(values, axis=1)[:COMPARED_ROWS]))
    return recordings


def _hold(values: Floats, at: NDArray[np.intp]) -> Floats:
    """Return the values (k,) at rows (n,), NaN before the first one."""
    return np.where(at < 0, np.nan, values[np.maximum(at, 0)])


def _inputs(columns: list[Column]) -> tuple[dict[int, bool], str]:
    """Return the inputs by position and whether they act within one row, or why there are none."""
    recordings = _recordings(columns)
    if not recordings:
        return {}, "the columns share no clock"
    gain = np.median([_gains(rows) for rows in recordings], axis=0)
    driven = gain.diagonal().copy()
    np.fill_diagonal(gain, 0.0)
    unnamed = np.array([column.guess.what == "unknown" for column in columns])
    inputs = np.flatnonzero(
        unnamed & (driven <= INPUT_INDEPENDENT) & (gain.max(axis=1) >= INPUT_DRIVES)
    )
    if not len(inputs):
        return {}, "no column drives another without being driven"
    states = np.setdiff1d(np.arange(len(columns)), inputs)
    if np.any(driven[states] < INPUT_DRIVES):
        names = ", ".join(columns[at].guess.name for at in states[driven[states] < INPUT_DRIVES])
        return {}, f"it is unclear what drives {names}"
    gains = {
        int(at): [max(_gain_of_present(rows, at, state) for state in states) for rows in recordings]
        for at in inputs
    }
    return {at: bool(np.median(gains[at]) >= INPUT_AT_ONCE) for at in gains}, ""


def _standard(rows: Floats) -> Floats:
    """Return finite rows (n, columns) with mean 0 and variance 1 of each column."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    return (rows - rows.mean(axis=0)) / nonzero_std(rows.std(axis=0)) if len(rows) else rows


def _gain_of_present(scaled: Floats, driver: np.intp, driven: np.intp) -> float:
    """Return how much the value of an input in the predicted row reduces the squared error.

    Inputs have been found to depend on no other column, so the value cannot follow from the output.
    """
    rows = len(scaled) - INPUT_LAGS
    if rows < 20 * INPUT_LAGS:
        return 0.0
    change = scaled[INPUT_LAGS:, driven] - scaled[INPUT_LAGS - 1 : -1, driven]
    inputs = [_past(scaled[:, driven], rows), _past(scaled[:, driver], rows), np.ones(rows)]
    with_present = [*inputs, scaled[INPUT_LAGS:, driver]]
    errors = [held_out_errors(np.column_stack(x), change) ** 2 for x in (inputs, with_present)]
    is_predictable = errors[0] < INPUT_PREDICTABLE * np.var(change)
    return 0.0 if is_predictable else float(1.0 - errors[1] / errors[0])


def _past(values: Floats, rows: int) -> Floats:
    """Return the newest `INPUT_LAGS` values at each row, (rows, LAGS)."""
    return np.column_stack([values[INPUT_LAGS - 1 - lag :][:rows] for lag in range(INPUT_LAGS)])
