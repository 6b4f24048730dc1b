"""Simulate many named trajectories with a dynamics model, as one batch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kinemill.api.arguments import require
from kinemill.api.frames import FrameLogs
from kinemill.api.html import Plotted
from kinemill.api.models import ModelLike, load_simulator_of
from kinemill.api.simulation import (
    Simulation,
    matching_logs,
    measured_start,
    start_at_rest,
    strict_simulator,
)
from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.runtime.session import Execution
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.api.models import LoadedModel
    from kinemill.api.simulation import Actions
    from kinemill.reports.picture import Picture
    from kinemill.runtime.simulator import Simulator
    from kinemill.verify.simulation import Start

States = Mapping[str, float]  # values by name of state


@dataclass(frozen=True, eq=False, repr=False)
class Trajectories(Plotted, Mapping[str, Simulation]):
    """Simulated trajectories by name.

    Attributes:
        simulations: simulations by name.
        notes: remarks, such as states without a value.
    """

    simulations: dict[str, Simulation]
    notes: list[str] = field(default_factory=list[str])

    def __getitem__(self, name: str) -> Simulation:
        """Return the trajectory with this name."""
        return self.simulations[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.simulations)

    def __len__(self) -> int:
        """Return the number of trajectories."""
        return len(self.simulations)

    @property
    def rmse(self) -> dict[str, float]:
        """RMSE against the measured states over all trajectories, by name, in their units."""
        squares: dict[str, float] = {}
        steps: dict[str, int] = {}
        for simulation in self.simulations.values():
            for name, error in simulation.rmse.items():
                squares[name] = squares.get(name, 0.0) + simulation.steps * error**2
                steps[name] = steps.get(name, 0) + simulation.steps
        return {name: float(np.sqrt(total / steps[name])) for name, total in squares.items()}

    def to_polars(self) -> "pl.DataFrame":
        """Return all rows with the column `trajectory`; other columns are those of `Simulation`."""
        import polars as pl

        parts = [
            simulation.frame.select(pl.lit(name).alias("trajectory"), pl.all())
            for name, simulation in self.simulations.items()
        ]
        return pl.concat(parts, how="diagonal")

    def to_numpy(self) -> "dict[str, NDArray[np.float64]]":
        """Return the states (steps + 1, S) of each trajectory by its name, in task units."""
        return {name: simulation.to_numpy() for name, simulation in self.simulations.items()}

    def plot(self, name: str | None = None) -> "Picture":
        """Draw the trajectory with this name over time; default: the first."""
        return self.simulations[name or next(iter(self))].plot()

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        steps = sum(simulation.steps for simulation in self.simulations.values())
        first = next(iter(self))
        units = self[first].model.model.units
        errors = {f"RMSE {name}, {units[name]}": error for name, error in self.rmse.items()}
        notes = "; ".join(self.notes) or None
        counts = {"trajectories": len(self), "steps": steps}
        facts = {**counts, **errors, "drawn": first, "notes": notes}
        return f"{self[first].model.task.name}: trajectories", facts


def simulate_batch(
    model: ModelLike,
    source: "FrameLogs | Mapping[str, Actions]",
    *,
    states: "Mapping[str, States] | None" = None,
    steps: int | None = None,
    task: Task | None = None,
    execution: Execution | None = None,
) -> Trajectories:
    """Simulate many trajectories; those of the same length are one batch.

    Args:
        model: TASK, TASK@alias, TASK:version, a training, or the folder of an exported model.
        source: frames, with episodes that start from their first measured rows; or actions by name
            of trajectory (a CSV or Parquet file, a frame, or arrays (T,) by name of action, in task
            units), which start at rest.
        states: initial values by name of trajectory and of state, in task units; others are
            measured, or 0 without frames.
        steps: number of steps; default: all actions.
        task: task of a model folder.
        execution: threads and provider of ONNX Runtime; default: one thread of the CPU.

    Returns:
        The trajectories by name of the frame, with `/INDEX` if a frame has several episodes.

    Raises:
        BadInput: There is no such model, no trajectory, one that is too short, or a value that the
            model cannot use.
        CorruptArtifact: The files of the model are damaged.
    """
    from kinemill.verify.simulation import beyond_limits, moved, simulate

    require("source", source, (FrameLogs, Mapping), "frames, or actions by name of trajectory")
    loaded = load_simulator_of(model, task)
    initial = dict(states or {})
    if isinstance(source, FrameLogs):
        starts = _measured(loaded, source)
        notes = list[str]()
    else:
        starts, notes = _at_rest(loaded, source, initial)
    if not starts:
        raise BadInput("simulate_batch", "has no trajectory", expected="at least one")
    if unknown := [name for name in initial if name not in starts]:
        raise BadInput(
            "states", f"no trajectory {unknown[0]!r}", fix=nearest(unknown[0], list(starts))
        )
    simulator = strict_simulator(loaded, execution)
    moved_starts = dict[str, "Start"]()
    for name, start in starts.items():
        values = initial.get(name, {}) if isinstance(source, FrameLogs) else {}
        moved_starts[name] = moved(simulator, start.first(steps), values)
    frames = simulate(simulator, list(moved_starts.values()))
    simulations = dict[str, Simulation]()
    for (name, start), frame in zip(moved_starts.items(), frames, strict=True):
        remarks = beyond_limits(frame, simulator.interface)
        simulations[name] = Simulation(loaded, frame, start.text, remarks)
        notes += [f"{name}: {remark}" for remark in remarks]
    return Trajectories(simulations, notes)


def _measured(loaded: "LoadedModel[Simulator]", source: FrameLogs) -> "dict[str, Start]":
    """Return the start of each episode of frames."""
    logs = matching_logs(loaded, source)
    by_name: dict[str, list[Start]] = {}
    for episode in logs.rows.episodes:
        name = episode.name.rpartition(".")[0] or episode.name
        by_name.setdefault(name, []).append(measured_start(loaded, logs, episode))
    return {
        name if len(starts) == 1 else f"{name}/{index}": start
        for name, starts in by_name.items()
        for index, start in enumerate(starts)
    }


def _at_rest(
    loaded: "LoadedModel[Simulator]", source: "Mapping[str, Actions]", initial: Mapping[str, States]
) -> "tuple[dict[str, Start], list[str]]":
    """Return a start at rest for each trajectory, and unique remarks."""
    starts: dict[str, Start] = {}
    notes: dict[str, None] = {}
    for name, actions in source.items():
        remarks = list[str]()
        starts[name] = start_at_rest(loaded, actions, initial.get(name, {}), remarks)
        notes |= dict.fromkeys(remarks)
    return starts, list(notes)
