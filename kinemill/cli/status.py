"""`kinemill runs list`, `show` and `metrics`: runs on a kinemill server and their metrics."""

import itertools
import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from kinemill.cli.output import Output, Table, document, notify, quantity
from kinemill.cli.rest_client import Server, find_server
from kinemill.cli.start import RunName
from kinemill.interrupts import message_on_interrupt
from kinemill.rest_documents import NewPoints, RunDocument, RunList, RunMetrics
from kinemill.store import Json

_LISTED = 10
_SHORT = 8  # displayed characters of an id
_APART = {"step", "time"}
_ASIDE = "memory/"  # metrics in MLflow and --json only
_EVENTS = {"status": RunDocument, "points": NewPoints, "end": RunDocument}


def list_runs() -> Output:
    """List the latest runs.

    They come from the server of `kinemill ui`, or the one at KINEMILL_URL.

    Example: kinemill runs list
    """
    runs = find_server().get("runs", RunList, limit=_LISTED)
    rows = [
        run.model_dump()
        | {
            "run": run.id[:_SHORT],
            "step": _steps(run),
            "version": (run.model or "").rpartition("/")[2],
            "created": run.created_at[5:16].replace("T", " "),
        }
        for run in runs.runs
    ]
    columns = ["run", "task", "status", "step", "loss", "version", "owner", "created"]
    return Output(runs.model_dump(), Table("runs", columns, rows))


def show_run(run: RunName) -> Output:
    """Show one run: status, progress, settings and error.

    Example: kinemill runs show 1ee64d1c
    """
    summary = find_server().get(f"runs/{run}", RunDocument)
    rows = [
        [name, value]
        for name, value in {**summary.model_dump(), "step": _steps(summary)}.items()
        if name not in {"total_steps", "parameters"} and value not in (None, "")
    ]
    rows += [[key, json.dumps(value)] for key, value in summary.parameters.items()]
    return Output(summary.model_dump(), Table("", ["", ""], rows))


def _steps(summary: RunDocument) -> str:
    if summary.step is None:
        return ""
    return f"{summary.step}/{summary.total_steps}" if summary.total_steps else f"{summary.step}"


def metrics(
    run: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print the metrics of a run.

    Example: kinemill runs metrics 1ee64d1c --follow

    Args:
        follow: Print new metrics until the run ends.
        as_json: One JSON document; with --follow one a line.
    """
    from kinemill.tracking.jsonl import as_series

    server = find_server()
    if follow:
        _follow(server, run, as_json=as_json)
        return
    metrics = server.get(f"runs/{run}/metrics", RunMetrics)
    if as_json:
        document(as_series(metrics.points))
        return
    for point in _merge_steps(metrics.points):
        typer.echo(_line(point, metrics.total_steps))
    if not metrics.points:
        notify(f"run {metrics.run[:_SHORT]} is {metrics.status} and has no metrics")


def _follow(server: Server, run: str, *, as_json: bool) -> None:
    """Print points as they arrive until the run ends, then its status on stderr."""
    whole = server.get(f"runs/{run}", RunDocument).id
    short = whole[:_SHORT]
    with (
        message_on_interrupt(
            lambda: f"run {short} continues; to end it, run: kinemill runs cancel {short}"
        ),
        _bar(enabled=not as_json) as show_point,
    ):
        for event, data in server.events(f"runs/{whole}/metrics/stream", _EVENTS):
            if isinstance(data, NewPoints):
                for point in data.points if as_json else _merge_steps(data.points):
                    typer.echo(json.dumps(point) if as_json else _line(point, data.total_steps))
                    show_point(point, data.total_steps)
            elif event == "end":
                _print_end(data)
            else:
                notify(f"run {short} of {data.task} is {data.status}")


def _print_end(run: RunDocument) -> None:
    if run.resumed_by:
        resumed_by = run.resumed_by[:_SHORT]
        notify(f"another attempt resumed it: kinemill runs metrics {resumed_by} --follow")
    more = run.error or run.model
    notify(f"run {run.id[:_SHORT]} is {run.status}" + (f": {more}" if more else ""))


@contextmanager
def _bar(*, enabled: bool) -> Generator[Callable[[Json, int | None], None]]:
    """Show a progress bar with rate and remaining time on a terminal."""
    if not (enabled and sys.stdout.isatty()):
        yield lambda _point, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from kinemill.tracking.throughput import Pace, format_pace

    pace = Pace()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, transient=True) as progress:
        bar = progress.add_task("", total=None, pace="")

        def show(point: Json, total: int | None) -> None:
            pace.note(point["step"], point["time"])
            how = format_pace(pace, total)
            progress.update(bar, completed=point["step"], total=total, pace=how)

        yield show


def _merge_steps(points: Sequence[Mapping[str, object]]) -> Iterator[Json]:
    """Merge consecutive points of the same step."""
    for _, same in itertools.groupby(points, key=lambda point: point["step"]):
        whole: dict[str, Any] = {}
        for point in same:
            whole |= {name: v for name, v in point.items() if not name.startswith(_ASIDE)}
        if len(whole) > len(_APART):
            yield whole


def _line(point: Json, total: int | None) -> str:
    """Return a point as text: `step   50/500  train/loss 0.1234  lr 0.001`."""
    width = len(str(total)) if total else 6
    of = f"/{total}" if total else ""
    values = [f"{name} {quantity(value)}" for name, value in point.items() if name not in _APART]
    return "  ".join([f"step {point['step']:>{width}}{of}", *values])
