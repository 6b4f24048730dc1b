"""`kinemill model simulate`: simulate with a learned model, from a log or from one state."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import ModelFolder, ModelName, Output, Table, notify
from kinemill.errors import BadInput

_PRINTED_ROWS = 8  # printed rows of a long simulation


Initial = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="NAME=VALUE", help="Initial value of a state; repeatable."),
]
Plot = Annotated[Path | None, typer.Option("--plot", help="Plot to write, .png.")]


def simulate(
    model: ModelName,
    source: Annotated[str | None, typer.Option("--from", metavar="EPISODE|LOG")] = None,
    row: Annotated[int | None, typer.Option(min=0)] = None,
    actions: Path | None = None,
    state: Initial = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    to: Path | None = None,
    plot: Plot = None,
    folder: ModelFolder = None,
) -> Output:
    """Simulate with a learned model.

    Needs --from with an episode or a log, or --actions with a file.

    Example: kinemill model simulate my_robot --from run1.csv --to out.csv

    Args:
        source: Episode or log with the history and the actions.
        row: With --from: first row to simulate; default: the first possible.
        actions: CSV or Parquet file: one column per action, one row per step.
        steps: Number of steps; default: all.
        to: File to write, .csv or .parquet.
    """
    from kinemill.api.models import named_model
    from kinemill.api.simulation import simulate as run
    from kinemill.verify.simulation import PLOTS, TABLES, check_ending

    for path, endings in ((to, TABLES), (plot, PLOTS)):
        if path is not None:
            check_ending(path, endings)
    named, task = named_model(model, folder)
    initial = _states(state or [])
    simulation = run(
        named, source, row=row, actions=actions, states=initial, steps=steps, task=task
    )
    notify(*simulation.notes)
    for path in filter(None, (to, plot)):
        simulation.write(path)
    summary = simulation.to_json()
    summary |= {"to": str(to) if to else None, "plot": str(plot) if plot else None}
    columns = ["value", "measured", "rmse"]
    ends = [
        [name, end["unit"], *(end.get(column) for column in columns)]
        for name, end in summary["end"].items()
    ]
    parts = [
        Table(f"after {summary['seconds']:.4g} s", ["state", "unit", *columns], ends),
        *(f"{key:<6} {summary[key]}" for key in ("to", "plot") if summary[key]),
    ]
    if to:
        return Output(summary, *parts)
    stride = max(1, simulation.frame.height // _PRINTED_ROWS)
    names = [name for name in simulation.frame.columns if not name.endswith("_measured")]
    printed = simulation.frame.select(names).gather_every(stride).rows()
    title = f"{summary['task']}{summary['model']['name']}: {summary['from']}"
    rows = {"rows": simulation.frame.to_dicts()}
    return Output(summary | rows, Table(title, names, printed), *parts)


def _states(spelled: list[str]) -> dict[str, float]:
    """Parse NAME=VALUE."""
    values = dict[str, float]()
    for text in spelled:
        name, equals, value = text.partition("=")
        try:
            values[name.strip()] = float(value)
        except ValueError as error:
            what = f"{value!r} is no number" if equals else "holds no '='"
            raise BadInput(f"--state {text}", what, expected="NAME=VALUE") from error
    return values
