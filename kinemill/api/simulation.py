"""Simulate with a dynamics model, from a log, a frame, or one state."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinemill.api.arguments import require
from kinemill.api.evaluation import read_data
from kinemill.api.frames import FrameLogs
from kinemill.api.html import Plotted
from kinemill.api.models import LoadedModel, ModelLike, displayed_model, load_simulator_of
from kinemill.errors import BadInput
from kinemill.runtime import Simulator, load_simulator
from kinemill.runtime.session import Execution
from kinemill.store import Json
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.dataset import PackedEpisode
    from kinemill.reports.picture import Picture
    from kinemill.runtime.window_metrics import Floats
    from kinemill.verify.logs import Logs
    from kinemill.verify.simulation import Start

    Actions = str | Path | pl.DataFrame | Mapping[str, Floats]
else:
    Actions = object


@dataclass(frozen=True, eq=False, repr=False)
class Simulation(Plotted):
    """A simulated trajectory.

    Attributes:
        model: the model.
        frame: `time_s` in s, states, actions and outputs in task units by row;
            `<state>_measured` if known.
        start: description of the initial state.
        notes: remarks, such as states without a value and values beyond limits.
    """

    model: LoadedModel[Simulator]
    frame: "pl.DataFrame"
    start: str
    notes: list[str] = field(default_factory=list[str])

    @property
    def steps(self) -> int:
        """Number of simulated steps."""
        return self.frame.height - 1

    @property
    def seconds(self) -> float:
        """Simulated time, s."""
        return self.steps * self.model.model.dt

    @property
    def rmse(self) -> dict[str, float]:
        """RMSE against the measured states, by name, in their units; empty if none are known."""
        names = self.model.model.states
        return {name: self._rmse(name) for name in names if f"{name}_measured" in self.frame}

    def _rmse(self, name: str) -> float:
        off = (self.frame[name] - self.frame[f"{name}_measured"])[1:].to_numpy()
        return float(np.sqrt(np.mean(off**2)))

    def to_polars(self) -> "pl.DataFrame":
        """Return the trajectory, `frame`."""
        return self.frame

    def to_numpy(self) -> "NDArray[np.float64]":
        """Return the states, (steps + 1, S), in task units."""
        return self.frame.select(self.model.model.states).to_numpy()

    def to_json(self) -> Json:
        """Return a summary of the simulation, with the final errors if measurements are known."""
        simulator = self.model.model
        last = self.frame.row(-1, named=True)
        ends: Json = {
            name: {"unit": simulator.units[name], "value": last[name]} for name in simulator.states
        }
        for name, error in self.rmse.items():
            ends[name] |= {"measured": last[f"{name}_measured"], "rmse": error}
        return {
            "task": self.model.task.name,
            "model": self.model.to_json(),
            "from": self.start,
            "dt": simulator.dt,
            "steps": self.steps,
            "seconds": self.seconds,
            "end": ends,
        }

    def write(self, path: str | Path) -> None:
        """Write the trajectory, .csv or .parquet, or the plot, .png.

        Raises:
            BadInput: The file has another ending.
        """
        from kinemill.verify.simulation import PLOTS, write_table

        path = Path(path)
        if path.suffix in PLOTS:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.plot().png())
        else:
            write_table(self.frame, path)

    def plot(self) -> "Picture":
        """Draw states, actions and outputs over seconds, with the measured states."""
        from kinemill.verify.plots import draw_simulation

        return draw_simulation(self.frame, self.model.model.interface, self.start)

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        units = self.model.model.units
        errors = {f"RMSE {name}, {units[name]}": error for name, error in self.rmse.items()}
        title = f"{displayed_model(self.model.task.name, self.model.name)}: {self.start}"
        notes = "; ".join(self.notes) or None
        facts = {"steps": self.steps, "seconds": self.seconds, **errors, "notes": notes}
        return title, facts


def simulate(
    model: ModelLike,
    source: FrameLogs | str | Path | None = None,
    *,
    row: int | None = None,
    actions: Actions | None = None,
    states: Mapping[str, float] | None = None,
    steps: int | None = None,
    task: Task | None = None,
    execution: Execution | None = None,
) -> Simulation:
    """Simulate with a dynamics model from measured rows, or from rest with given actions.

    `simulate_batch` simulates many trajectories.

    Args:
        model: TASK, TASK@alias, TASK:version, a training, or the folder of an exported model.
        source: frames, a log, or the id of an episode, with history and actions.
        row: first simulated row of `source`; default: the first possible.
        actions: actions instead of `source`, in task units: a CSV or Parquet file, a frame, or
            arrays (T,) by name.
        states: initial values of states, in task units; others are measured, or 0 without
            `source`.
        steps: number of steps; default: all actions.
        task: task of a model folder.
        execution: threads and provider of ONNX Runtime; default: one thread of the CPU.

    Raises:
        BadInput: There is no such model, both or none of `source` and `actions` are set, or a
            value is invalid.
        CorruptArtifact: The files of the model are damaged.
    """
    from kinemill.verify.simulation import beyond_limits, moved
    from kinemill.verify.simulation import simulate as run

    if (source is None) == (actions is None):
        what = "both are set" if source is not None else "neither is set"
        raise BadInput("a source (--from) and actions", what, expected="one of them")
    loaded = load_simulator_of(model, task)
    initial = dict(states or {})
    notes = list[str]()
    if source is not None:
        start = _start_in_log(loaded, source, row, notes)
    elif row is not None:
        raise BadInput("row", "requires a source (--from)", fix="leave it out")
    else:
        assert actions is not None
        start = start_at_rest(loaded, actions, initial, notes)
        initial = {}
    simulator = strict_simulator(loaded, execution)
    start = moved(simulator, start.first(steps), initial)
    frame = run(simulator, [start])[0]
    notes += beyond_limits(frame, simulator.interface)
    return Simulation(loaded, frame, start.text, notes)


def strict_simulator(
    loaded: LoadedModel[Simulator], execution: Execution | None = None
) -> Simulator:
    """Load the model again, with an error for NaN and infinity in inputs."""
    settings = execution or Execution()
    require("execution", settings, Execution, "km.Execution(threads=4)")
    return load_simulator(loaded.folder, threads=settings.threads, provider=settings.provider)


def start_at_rest(
    loaded: LoadedModel[Simulator], actions: Actions, initial: Mapping[str, float], notes: list[str]
) -> "Start":
    """Return a start with a constant history at the first action.

    Args:
        loaded: the model.
        actions: actions (T, A) in task units, as in `simulate`.
        initial: value by name of state, in task units; others are 0.
        notes: list to which remarks are appended.

    Raises:
        BadInput: A name or a value is invalid, or the actions cannot be read.
    """
    from kinemill.verify.simulation import Start

    simulator = loaded.model
    values, text = _read(actions, simulator)
    first = dict(zip(simulator.actions, values[0].tolist(), strict=True))
    states, past = simulator.hold(initial, first)
    if zeros := [name for name in simulator.states if name not in initial]:
        notes.append(f"not set, so they start at 0: {', '.join(zeros)}")
    if simulator.history > 1:
        notes.append(
            f"the model needs {simulator.history} rows of history: the initial state is repeated "
            f"with the first action"
        )
    return Start(states[0], past[0], values, None, f"actions of {text}")


def _read(actions: Actions, simulator: Simulator) -> "tuple[Floats, str]":
    """Return the actions (T, A), and their description."""
    import polars as pl

    from kinemill.verify.simulation import actions_of, read_actions

    if isinstance(actions, str | Path):
        return read_actions(Path(actions), simulator.actions, simulator.dt), str(actions)
    if isinstance(actions, np.ndarray):
        raise BadInput("actions", "is an array without names", fix="{'torque': values}, by action")
    frame = actions if isinstance(actions, pl.DataFrame) else pl.DataFrame(dict(actions))
    return actions_of(frame, simulator.actions, simulator.dt, "the frame"), "a frame"


def _start_in_log(
    loaded: LoadedModel[Simulator],
    source: FrameLogs | str | Path,
    row: int | None,
    notes: list[str],
) -> "Start":
    logs = matching_logs(loaded, source)
    longest = max(logs.rows.episodes, key=lambda episode: episode.rows)
    if len(logs.rows.episodes) > 1:
        name = "the data" if isinstance(source, FrameLogs) else source
        notes.append(
            f"{name} holds {len(logs.rows.episodes)} episodes; the longest is {longest.id}"
        )
    return measured_start(loaded, logs, longest, row)


def matching_logs(loaded: LoadedModel[Simulator], source: FrameLogs | str | Path) -> "Logs":
    """Return the episodes of frames or of a log, or an episode of the home.

    Raises:
        BadInput: No episode is accepted, or the model is of another task.
    """
    from kinemill.verify.files import unlike
    from kinemill.verify.logs import read_episode

    if isinstance(source, FrameLogs) or Path(source).is_file():
        logs = read_data(loaded.task, loaded.home, source)
    else:
        logs = read_episode(loaded.task, loaded.home, str(source))
    if differing := unlike(loaded.model.interface, logs.rows):
        raise BadInput("the model", f"does not match this task: {'; '.join(differing)}")
    return logs


def measured_start(
    loaded: LoadedModel[Simulator], logs: "Logs", episode: "PackedEpisode", row: int | None = None
) -> "Start":
    """Return the start at a row of an episode, by default the first with enough history."""
    from kinemill.verify.simulation import start_of_rows

    rows = logs.rows.rows(episode).astype("float64")
    at = loaded.model.history - 1 if row is None else row
    return start_of_rows(rows, loaded.model.interface, at, f"{episode.name}, episode {episode.id}")
