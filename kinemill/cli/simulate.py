"""`kinemill model simulate`: simulate with a learned model, from a log or from one state."""

from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import ModelFolder, ModelName, Output, Table, notify
from kinemill.errors import BadInput

_PRINTED_ROWS = 8  # printed rows of a long simulation


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
Target = Annotated[Path | None, typer.Option("--to", help="File to write, .csv or .parquet.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Plot to write, .png or .html.")]


def simulate(
    model: ModelName,
    source: Source = None,
    row: Row = None,
    actions: Actions = None,
    state: Initial = None,
    steps: Steps = None,
    to: Target = None,
    plot: Plot = None,
    folder: ModelFolder = None,
) -> Output:
    """Simulate with a learned model.

    Needs --from with an episode or a log, or --actions with a file.

    Example: kinemill model simulate my_robot --from run1.csv --to out.csv
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
