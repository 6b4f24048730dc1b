"""`kinemill model evaluate --shadow`: compare champion and challenger on new logs."""

import time
from pathlib import Path

import typer

from kinemill.cli.output import document, notify, quantity, table
from kinemill.errors import BadInput
from kinemill.interrupts import Interrupted, resume
from kinemill.store import Home, Json

_EVERY = 5.0  # s between scans for new logs


def run_shadow(
    model: str, logs: Path | None, overrides: list[str], *, watch: bool, as_json: bool
) -> None:
    """Measure both versions on the new logs, and with --watch on each arriving log."""
    from kinemill.api.models import address_of
    from kinemill.register.shadow_evaluation import shadow
    from kinemill.task import parse_overrides

    (named, which), home = address_of(model), Home.resolve()
    evaluation = shadow(named, home, which or "@challenger", parse_overrides(overrides))
    task = evaluation.task
    folder = (logs or Path(task.ingest.watch or home.logs(task.name))).resolve()
    if not folder.is_dir():
        raise BadInput(folder, "is not there", expected="a folder with new logs")
    stopped: KeyboardInterrupt | None = None
    try:
        while True:
            for line in evaluation.look(folder):
                _print_line(line)
            if not watch:
                break
            time.sleep(_EVERY)
    except KeyboardInterrupt as error:
        stopped = error
    summary = evaluation.summary()
    document(summary | {"lines": evaluation.lines()}) if as_json else _summarize(summary)
    if stopped is not None:
        raise Interrupted(f"the record is stored; {resume()}") from stopped


def _print_line(line: Json) -> None:
    if line["right"] is None:
        notify(f"{line['name']}: left out, {line['why']}")
        return
    ratio = quantity(line["ratio"], 3)
    notify(f"{line['name']}: {line['right']} was right, challenger / champion {ratio}")


def _summarize(summary: Json) -> None:
    right = summary["right"]
    title = (
        f"{summary['task']}: champion version {summary['champion']}, challenger version "
        f"{summary['challenger']}, {summary['logs']} logs that are new to both"
    )
    rows = [[who, count] for who, count in right.items()]
    table(title, ["would have been right", "logs"], rows)
    lines = [
        [name, one["unit"], one["champion"], one["challenger"]]
        for name, one in summary["rmse"].items()
    ]
    if lines:
        heads = ["channel", "unit", "champion", "challenger"]
        table("RMSE of a log, median", heads, lines)
    ratio = summary["ratio"]
    typer.echo(f"median of challenger / champion: {'none' if ratio is None else f'{ratio:.4g}'}")
    typer.echo(f"left out: {summary['left_out']}\nrecord  {summary['record']}")
