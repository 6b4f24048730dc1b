"""`kinemill model simulate`: simulate with a learned model, from a log or from one state."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.model_ref import Chosen, ModelFolder, ModelName, choose
from kinemill.cli.output import Json, document, news, table

_SHOWN = 8  # rows of a long simulation that are printed


def simulate(
    model: ModelName,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="EPISODE|LOG", help="Episode or log with the history and the actions."
        ),
    ] = None,
    row: Annotated[
        int | None,
        typer.Option(
            "--row", min=0, help="With --from: first row to simulate; default: the first possible."
        ),
    ] = None,
    actions: Annotated[
        Path | None,
        typer.Option(
            "--actions", help="CSV or Parquet file: one column per action, one row per step."
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="NAME=VALUE", help="Initial value of a state; repeatable."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Number of steps; default: all.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write, .csv or .parquet.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Plot to write, .png or .html.")
    ] = None,
    folder: ModelFolder = None,
    as_json: Json = False,
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
    chosen = choose(model, folder)
    given = _states(state or [])
    start, moved = _start(chosen, source, row, actions, given, steps)
    found = run(_strict(chosen), start, moved)
    if to:
        write_table(found, to)
    if plot:
        draw(found, chosen.simulator, start.text, plot)
    summary = _summary(chosen, start, found)
    summary |= {"to": str(to) if to else None, "plot": str(plot) if plot else None}
    if as_json:
        rows = {} if to else {"rows": found.to_dicts()}
        document({**summary, **rows})
    else:
        _tell(summary, found)


def _strict(chosen: Chosen) -> Any:
    """Return the model such that a NaN in its inputs is an error."""
    from kinemill.runtime import load

    return load(chosen.folder)


def _states(spelled: list[str]) -> dict[str, float]:
    """Read NAME=VALUE.

    Raises:
        BadInput: it is spelled otherwise.
    """
    from kinemill.errors import BadInput

    found = dict[str, float]()
    for text in spelled:
        name, equals, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            what = f"{value!r} is no number" if equals else "holds no '='"
            raise BadInput(f"--state {text}", what, expected="NAME=VALUE") from error
    return found


def _start(
    chosen: Chosen,
    source: str | None,
    row: int | None,
    actions: Path | None,
    given: dict[str, float],
    steps: int | None,
) -> tuple[Any, dict[str, float]]:
    """Return where to start, and the states that are moved from there."""
    from kinemill.errors import BadInput

    if (source is None) == (actions is None):
        what = "both are given" if source else "neither is given"
        raise BadInput("--from and --actions", what, expected="one of them")
    if source is not None:
        return _measured(chosen, source, row).first(steps), given
    if row is not None:
        raise BadInput("--row", "belongs to --from", fix="leave it out")
    return _held(chosen, actions, given).first(steps), {}


def _held(chosen: Chosen, actions: Path | None, given: dict[str, float]) -> Any:
    """Start from a state that stood still under the first action."""
    from kinemill.verify.actions import read_actions
    from kinemill.verify.simulation import Start

    simulator = chosen.simulator
    read = read_actions(actions or Path(), simulator.actions, simulator.dt)
    first = dict(zip(simulator.actions, read[0].tolist(), strict=True))
    states, past = simulator.hold(given, first)
    zeros = [name for name in simulator.states if name not in given]
    if zeros:
        news(f"not given, so they start at 0: {', '.join(zeros)}")
    if simulator.history > 1:
        news(
            f"the model knows {simulator.history} rows before it predicts: the state stands still "
            "there, under the first action"
        )
    return Start(states[0], past[0], read, None, f"actions of {actions}")


def _measured(chosen: Chosen, source: str, row: int | None) -> Any:
    from kinemill.verify.simulation import start_of_rows

    rows, told = _rows(chosen, source)
    at = chosen.simulator.history - 1 if row is None else row
    return start_of_rows(rows, chosen.simulator.interface, at, told)


def _rows(chosen: Chosen, source: str) -> tuple[Any, str]:
    """Return the rows (N, C) of an episode of the home, or of the longest episode of a log."""
    from kinemill.errors import BadInput
    from kinemill.verify.files import unlike
    from kinemill.verify.logs import read_episode, read_logs

    path = Path(source)
    if path.is_file():
        logs = read_logs(chosen.task, chosen.home, path.resolve())
    else:
        logs = read_episode(chosen.task, chosen.home, source)
    if differing := unlike(chosen.simulator.interface, logs.rows):
        raise BadInput("the model", f"is not of this task now: {'; '.join(differing)}")
    longest = max(logs.rows.episodes, key=lambda one: one.rows)
    if len(logs.rows.episodes) > 1:
        news(f"{source} holds {len(logs.rows.episodes)} episodes; the longest is {longest.id}")
    return logs.rows.rows(longest).astype("float64"), f"{longest.name}, episode {longest.id}"


def _summary(chosen: Chosen, start: Any, found: Any) -> dict[str, Any]:
    """Say what was simulated, and how far off it ended where that is known."""
    simulator = chosen.simulator
    last = found.row(-1, named=True)
    ends = {name: {"unit": simulator.units[name], "value": last[name]} for name in simulator.states}
    if start.measured is not None:
        for name, end in ends.items():
            off = found[name] - found[f"{name}_measured"]
            end |= {
                "measured": last[f"{name}_measured"],
                "rmse": float((off[1:] ** 2).mean() ** 0.5),
            }
    return {
        "task": chosen.task.name,
        "model": chosen.to_json(),
        "from": start.text,
        "dt": simulator.dt,
        "steps": found.height - 1,
        "seconds": (found.height - 1) * simulator.dt,
        "end": ends,
    }


def _tell(summary: dict[str, Any], found: Any) -> None:
    title = f"{summary['task']}{summary['model']['name']}: {summary['from']}"
    if not summary["to"]:
        every = max(1, found.height // _SHOWN)
        columns = [name for name in found.columns if not name.endswith("_measured")]
        shown = found.select(columns).gather_every(every)
        table(title, columns, [list(line) for line in shown.iter_rows()])
    columns = ["value", "measured", "rmse"]
    rows = [
        [name, end["unit"], *(end.get(column) for column in columns)]
        for name, end in summary["end"].items()
    ]
    table(f"after {summary['seconds']:.4g} s", ["state", "unit", *columns], rows)
    for key in ("to", "plot"):
        if summary[key]:
            typer.echo(f"{key:<6} {summary[key]}")
