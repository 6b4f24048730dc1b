"""Simulate from measured rows, for `kinemill model simulate`, and write tables and plots.

Actions may come from a CSV or Parquet file with one column per action and one row per time step.

Symbols: H history, T steps, S states, A actions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.runtime import Floats, Interface, Simulator, wrapped
from kinemill.runtime.input_checks import Array

TABLES = (".csv", ".parquet")
PLOTS = (".png",)
_BATCH = 4096  # most trajectories in one batch

_TIME = ("time_s", "time", "t")  # columns that may hold the time, s
_OFF = 0.01  # tolerance of a time stamp, as a share of the time step


@dataclass(frozen=True)
class Start:
    """Start of a simulation, and the actions.

    Attributes:
        states: known rows, (H, S), in units; the last is the current row.
        past_actions: actions between the known rows, (H-1, A), in units.
        actions: actions to simulate, (T, A), in units; the first acts from the current row on.
        measured: states measured at the current row and after each of `actions`, (T + 1, S), in
            units; None if unknown.
        text: description of the source.
    """

    states: Floats
    past_actions: Floats
    actions: Floats
    measured: Floats | None
    text: str

    def first(self, steps: int | None) -> "Start":
        """Return the same start with only the first `steps` actions; None keeps all.

        Raises:
            BadInput: There are fewer actions, or `steps` is less than 1.
        """
        if steps is None:
            return self
        available = len(self.actions)
        if not 1 <= steps <= available:
            problem = f"there are actions for only {available} steps"
            raise BadInput(f"--steps {steps}", problem, expected=f"1 to {available}")
        measured = None if self.measured is None else self.measured[: steps + 1]
        return Start(self.states, self.past_actions, self.actions[:steps], measured, self.text)


def start_of_rows(rows: Floats, interface: Interface, at: int, text: str) -> Start:
    """Return a start with the current row `at` of measured rows (N, S + A), in units.

    Raises:
        BadInput: There are fewer than H rows up to row `at`, or no row after it.
    """
    history = interface.history
    states = len(interface.states)
    first = history - 1
    last = len(rows) - 2
    if not first <= at <= last:
        raise BadInput(
            f"row {at} of {text}",
            f"cannot be the current row: there are {len(rows)} rows",
            expected=f"{first} to {last}, because the model needs {history} rows"
            if first <= last
            else f"at least {history + 1} rows",
        )
    states_rows, action_rows = np.split(rows, [states], axis=1)
    return Start(
        states=states_rows[at - history + 1 : at + 1],
        past_actions=action_rows[at - history + 1 : at],
        actions=action_rows[at:-1],
        measured=states_rows[at:],
        text=f"{text}, from row {at}",
    )


def moved(simulator: Simulator, start: Start, initial: Mapping[str, float]) -> Start:
    """Return a start with other values of some states in the current row: (H, S) -> (H, S).

    `initial` holds the new values by name of the state, in its unit.

    Raises:
        BadInput: A name or value in `initial` is not valid.
    """
    if not initial:
        return start
    return replace(start, states=np.asarray(simulator.move(start.states[None], initial))[0])


def simulate(simulator: Simulator, starts: Sequence[Start]) -> list[pl.DataFrame]:
    """Simulate each start and return its table, with the current row and one row per action.

    Trajectories with the same number of steps are one batch. The columns are `time_s`, the states,
    the actions and the outputs (null in the last row, because nothing acts after it), and
    `<state>_measured` if it is known, all in units.

    Raises:
        BadInput: A value in a start is not valid.
    """
    by_steps: dict[int, list[int]] = {}
    for index, start in enumerate(starts):
        by_steps.setdefault(len(start.actions), []).append(index)
    frames: dict[int, pl.DataFrame] = {}
    for indices in by_steps.values():
        for first in range(0, len(indices), _BATCH):
            batch = indices[first : first + _BATCH]
            parts = _roll(simulator, [starts[index] for index in batch])
            for index, predicted, outputs in zip(batch, *parts, strict=True):
                frames[index] = _table(simulator.interface, starts[index], predicted, outputs)
    return [frames[index] for index in range(len(starts))]


def beyond_limits(frame: pl.DataFrame, interface: Interface) -> list[str]:
    """Return a remark for each channel of a simulation that leaves its limits.

    Validation cuts such rows out of the logs, so the model did not learn from them.
    """
    remarks = list[str]()
    for name, (low, high) in interface.limits.items():
        values = frame[name].drop_nulls().to_numpy().astype(np.float32)
        least, most = values.min(), values.max()
        if least < np.float32(low) or most > np.float32(high):
            remarks.append(
                f"{name} is {least:g} to {most:g}, beyond its limits of {low:g} to {high:g}: "
                f"no training data are there"
            )
    return remarks


def _roll(simulator: Simulator, starts: Sequence[Start]) -> tuple[Array, Array]:
    """Return the states (B, T, S) and the outputs (B, T, Y) of trajectories of T steps."""
    feed = (
        np.stack([start.states for start in starts]),
        np.stack([start.past_actions for start in starts]),
        np.stack([start.actions for start in starts]),
    )
    if simulator.outputs:
        return simulator.rollout_outputs(*feed)
    return simulator.rollout(*feed), np.empty((*feed[2].shape[:2], 0))


def _table(interface: Interface, start: Start, predicted: Array, outputs: Array) -> pl.DataFrame:
    """Return one trajectory as a table."""
    states = np.concatenate([start.states[-1:], predicted]).astype(np.float64)
    columns = {"time_s": np.arange(len(states)) * interface.dt}
    columns |= {name: states[:, index] for index, name in enumerate(interface.states)}
    for names, values in ((interface.actions, start.actions), (interface.outputs, outputs)):
        # Action k acts from row k, so the last row has neither an action nor an output.
        rows = np.concatenate([values, np.full((1, len(names)), np.nan)]).astype(np.float64)
        columns |= {name: rows[:, index] for index, name in enumerate(names)}
    if start.measured is not None:
        # Measured angles within half a turn of simulated ones, so that the curves can be compared.
        truth = states - wrapped(states - start.measured, interface.is_angle)
        columns |= {f"{n}_measured": truth[:, index] for index, n in enumerate(interface.states)}
    return pl.DataFrame(columns).with_columns(
        pl.col([*interface.actions, *interface.outputs]).fill_nan(None)
    )


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Write a simulation as CSV or Parquet, according to the extension of `path`."""
    check_ending(path, TABLES)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        frame.write_parquet(path)
    else:
        frame.write_csv(path)


def check_ending(path: Path, endings: tuple[str, ...]) -> None:
    """Reject a file with an unsupported extension, before the simulation.

    Raises:
        BadInput: The extension is not in `endings`.
    """
    if path.suffix not in endings:
        raise BadInput(path, f"ends in {path.suffix!r}", expected=" or ".join(endings))


def read_actions(path: Path, names: Sequence[str], dt: float) -> Floats:
    """Read the actions (T, A) of a file, in the units of the task; ignore all other columns.

    A time column, if the file has one, must have the step `dt`, s.

    Raises:
        BadInput: The file does not exist, a column is missing or is not numeric, a value is not
            finite, or the time steps differ from `dt`.
    """
    return actions_of(_read(path), names, dt, path)


def actions_of(frame: pl.DataFrame, names: Sequence[str], dt: float, path: object) -> Floats:
    """Return the actions (T, A) of a frame, in its units; see `read_actions`.

    `path` identifies the frame in errors.
    """
    if missing := [name for name in names if name not in frame.columns]:
        fix = nearest(missing[0], frame.columns)
        raise BadInput(path, f"has no column {', '.join(map(repr, missing))}", fix=fix)
    if not frame.height:
        raise BadInput(path, "has no rows", expected="one row for each time step")
    actions = np.stack([_numbers(path, frame, name) for name in names], axis=1) if names else None
    stamps = next((name for name in _TIME if name in frame.columns and name not in names), None)
    if stamps:
        _check_time(path, _numbers(path, frame, stamps), dt)
    return np.zeros((frame.height, 0)) if actions is None else actions


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise BadInput(path, "does not exist", expected=f"a file, {' or '.join(TABLES)}")
    check_ending(path, TABLES)
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path, glob=False)
        return pl.read_csv(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise BadInput(path, f"cannot be read: {str(error).splitlines()[0]}") from error


def _numbers(path: object, frame: pl.DataFrame, name: str) -> Floats:
    """Return a column as numbers, (T,); raise `BadInput` for the first row that is not one."""
    column = frame[name]
    if column.dtype == pl.String:  # polars reads a column as text if one cell is not a number
        parsed = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric():
        parsed = column.cast(pl.Float64)
    else:
        raise BadInput(f"{path}, {name}", f"holds {column.dtype}", expected="numbers")
    values = parsed.to_numpy().astype(np.float64)  # null becomes NaN
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        value = column[int(bad[0])]
        more = f" ({len(bad)} such rows)" if len(bad) > 1 else ""
        text = "empty" if value is None else repr(value)
        where = f"{path}, row {bad[0] + 1}, {name}"
        raise BadInput(where, f"is {text}{more}", expected="a finite number")
    return values


def _check_time(path: object, stamps: Floats, dt: float) -> None:
    steps = np.diff(stamps)
    off = np.flatnonzero(~(np.abs(steps - dt) <= _OFF * dt))
    if len(off):
        raise BadInput(
            f"{path}, rows {off[0] + 1} and {off[0] + 2}",
            f"are {steps[off[0]]:.6g} s apart",
            expected=f"the model's time step of {dt:g} s",
            fix="resample the actions, or remove the time column",
        )
