"""`kinemill model simulate`: simulate with a learned model, from a log or from one state."""

from pathlib import Path
from typing import Annotated

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from kinemill.cli.model_ref import LoadedModel, ModelFolder, ModelName, load_model
from kinemill.cli.output import JsonOption, document, notify, table
from kinemill.runtime.simulator import Simulator
from kinemill.store import Json
from kinemill.verify.simulation import Start

_PRINTED_ROWS = 8  # rows of a long simulation that are printed


Source = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="EPISODE|LOG", help="Episode or log with the history and the actions."
    ),
]
Row = Annotated[
    int | None,
    typer.Option(
        "--row", min=0, help="With --from: first row to simulate; default: the first possible."
    ),
]
Actions = Annotated[
    Path | None,
    typer.Option("--actions", help="CSV or Parquet file: one column per action, one row per step."),
]
Initial = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="NAME=VALUE", help="Initial value of a state; repeatable."),
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Number of steps; default: all.")]
Output = Annotated[Path | None, typer.Option("--to", help="File to write, .csv or .parquet.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Plot to write, .png or .html.")]


def simulate(
    model: ModelName,
    source: Source = None,
    row: Row = None,
    actions: Actions = None,
    state: Initial = None,
    steps: Steps = None,
    to: Output = None,
    plot: Plot = None,
    folder: ModelFolder = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate with a learned model.

    Needs --from with an episode or a log, or --actions with a file.

    Example: kinemill model simulate my_robot --from run1.csv --to out.csv
    """
    from kinemill.verify.simulation import PLOTS, TABLES, check_ending, write_table
    from kinemill.verify.simulation import plot as draw
    from kinemill.verify.simulation import simulate as run

    for path, endings in ((to, TABLES), (plot, PLOTS)):
        if path is not None:
            check_ending(path, endings)
    loaded = load_model(model, folder)
    initial = _states(state or [])
    start, moved = _start(loaded, source, row, actions, initial, steps)
    trajectory = run(_strict(loaded), start, moved)
    if to:
        write_table(trajectory, to)
    if plot:
        draw(trajectory, loaded.simulator, start.text, plot)
    summary = _summary(loaded, start, trajectory)
    summary |= {"to": str(to) if to else None, "plot": str(plot) if plot else None}
    if as_json:
        rows = {} if to else {"rows": trajectory.to_dicts()}
        document({**summary, **rows})
    else:
        _print(summary, trajectory)


def _strict(loaded: LoadedModel) -> Simulator:
    """Load the model so that a NaN in its inputs is an error."""
    from kinemill.runtime import load_simulator

    return load_simulator(loaded.folder)


def _states(spelled: list[str]) -> dict[str, float]:
    """Parse NAME=VALUE.

    Raises:
        BadInput: the text has another form.
    """
    from kinemill.errors import BadInput

    values = dict[str, float]()
    for text in spelled:
        name, equals, value = text.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError as error:
            what = f"{value!r} is no number" if equals else "holds no '='"
            raise BadInput(f"--state {text}", what, expected="NAME=VALUE") from error
    return values


def _start(
    loaded: LoadedModel,
    source: str | None,
    row: int | None,
    actions: Path | None,
    initial: dict[str, float],
    steps: int | None,
) -> tuple[Start, dict[str, float]]:
    """Return the initial rows and actions, and the states to move from there."""
    from kinemill.errors import BadInput

    if (source is None) == (actions is None):
        what = "both are given" if source else "neither is given"
        raise BadInput("--from and --actions", what, expected="one of them")
    if source is not None:
        return _start_in_log(loaded, source, row).first(steps), initial
    if row is not None:
        raise BadInput("--row", "belongs to --from", fix="leave it out")
    return _start_at_rest(loaded, actions, initial).first(steps), {}


def _start_at_rest(loaded: LoadedModel, actions: Path | None, initial: dict[str, float]) -> Start:
    """Start from a state at rest under the first action."""
    from kinemill.verify.actions import read_actions
    from kinemill.verify.simulation import Start

    simulator = loaded.simulator
    read = read_actions(actions or Path(), simulator.actions, simulator.dt)
    first = dict(zip(simulator.actions, read[0].tolist(), strict=True))
    states, past = simulator.hold(initial, first)
    zeros = [name for name in simulator.states if name not in initial]
    if zeros:
        notify(f"not given, so they start at 0: {', '.join(zeros)}")
    if simulator.history > 1:
        notify(
            f"the model knows {simulator.history} rows before it predicts: the state stands still "
            "there, under the first action"
        )
    return Start(states[0], past[0], read, None, f"actions of {actions}")


def _start_in_log(loaded: LoadedModel, source: str, row: int | None) -> Start:
    from kinemill.verify.simulation import start_of_rows

    rows, text = _rows(loaded, source)
    at = loaded.simulator.history - 1 if row is None else row
    return start_of_rows(rows, loaded.simulator.interface, at, text)


def _rows(loaded: LoadedModel, source: str) -> tuple[NDArray[np.float64], str]:
    """Return the rows (N, C) of an episode of the home, or of the longest episode of a log."""
    from kinemill.errors import BadInput
    from kinemill.verify.files import unlike
    from kinemill.verify.logs import read_episode, read_logs

    path = Path(source)
    if path.is_file():
        logs = read_logs(loaded.task, loaded.home, path.resolve())
    else:
        logs = read_episode(loaded.task, loaded.home, source)
    if differing := unlike(loaded.simulator.interface, logs.rows):
        raise BadInput("the model", f"is not of this task now: {'; '.join(differing)}")
    longest = max(logs.rows.episodes, key=lambda one: one.rows)
    if len(logs.rows.episodes) > 1:
        notify(f"{source} holds {len(logs.rows.episodes)} episodes; the longest is {longest.id}")
    return logs.rows.rows(longest).astype("float64"), f"{longest.name}, episode {longest.id}"


def _summary(loaded: LoadedModel, start: Start, trajectory: pl.DataFrame) -> Json:
    """Return what was simulated, and the errors at the end if the truth is known."""
    simulator = loaded.simulator
    last = trajectory.row(-1, named=True)
    ends = {name: {"unit": simulator.units[name], "value": last[name]} for name in simulator.states}
    if start.measured is not None:
        for name, end in ends.items():
            off = trajectory[name] - trajectory[f"{name}_measured"]
            end |= {
                "measured": last[f"{name}_measured"],
                "rmse": float((off[1:] ** 2).mean() ** 0.5),
            }
    return {
        "task": loaded.task.name,
        "model": loaded.to_json(),
        "from": start.text,
        "dt": simulator.dt,
        "steps": trajectory.height - 1,
        "seconds": (trajectory.height - 1) * simulator.dt,
        "end": ends,
    }


def _print(summary: Json, trajectory: pl.DataFrame) -> None:
    title = f"{summary['task']}{summary['model']['name']}: {summary['from']}"
    if not summary["to"]:
        every = max(1, trajectory.height // _PRINTED_ROWS)
        columns = [name for name in trajectory.columns if not name.endswith("_measured")]
        printed = trajectory.select(columns).gather_every(every)
        table(title, columns, [list(line) for line in printed.iter_rows()])
    columns = ["value", "measured", "rmse"]
    rows = [
        [name, end["unit"], *(end.get(column) for column in columns)]
        for name, end in summary["end"].items()
    ]
    table(f"after {summary['seconds']:.4g} s", ["state", "unit", *columns], rows)
    for key in ("to", "plot"):
        if summary[key]:
            typer.echo(f"{key:<6} {summary[key]}")
