"""`kinemill data drift`: compare the champion's errors on new logs with those at training time."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from kinemill.cli.output import JsonOption, TaskName, document, logs_path, quantity, table
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.validate import stage as validate
from kinemill.validate.drift import find_drift
from kinemill.validate.drift.documents import DriftReport


def drift(
    task: TaskName,
    logs: Annotated[
        Path | None,
        typer.Option("--logs", help="Log or folder of logs to compare; nothing is stored."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List new episodes with large errors of the champion.

    The errors are compared with those at training time.

    Example: kinemill data drift my_robot --logs path/to/logs
    """
    loaded, home = load_task(task), Home.resolve()
    report = (
        _measure_home(loaded, home)
        if logs is None
        else _measure_logs(loaded, home, logs_path(logs, "--logs"))
    )
    if as_json:
        document(report)
    else:
        _print(report)


def _measure_home(task: Task, home: Home) -> DriftReport:
    """Evaluate the recordings of a task, ingested and validated under its current rules."""
    with TemporaryDirectory(prefix="kinemill-nothing-new-") as empty:
        return _measure(task, home, Path(empty), home)


def _measure_logs(task: Task, home: Home, logs: Path) -> DriftReport:
    """Evaluate logs with the champion of `home` in a temporary home."""
    with TemporaryDirectory(prefix="kinemill-drift-") as scratch:
        return _measure(task, Home(Path(scratch)), logs, home)


def _measure(task: Task, home: Home, logs: Path, registry: Home) -> DriftReport:
    from kinemill.api.progress import StderrProgress
    from kinemill.ingest import stage as ingest
    from kinemill.register.champion import load_champion

    recordings = ingest.run(task, home, logs, StderrProgress()).artifact.ref
    episodes = validate.run(task, home, recordings, StderrProgress()).ref
    return find_drift(
        task, home, episodes, lambda: load_champion(registry, task.name), StderrProgress()
    )


def _print(report: DriftReport) -> None:
    champion, counts, rule = report.champion, report.counts, report.rule
    if champion is None:
        typer.echo(f"{report.task}: nothing was evaluated, {report.status}: {report.why}")
        return
    rows = [
        [
            *(one.episode, one.name, one.verdict, one.worst, one.ratio),
            max(each.psi for each in one.coverage.values()),
            max(each.ks for each in one.coverage.values()),
        ]
        for one in report.episodes
    ]
    columns = ["episode", "name", "verdict", "worst", "ratio", "PSI", "KS"]
    table(f"new episodes of {report.task}", columns, rows)
    usual = champion.held_out.rmse
    typer.echo(
        f"{counts.drift} of {counts.episodes} new episodes drift from champion version "
        f"{champion.version}: an error over {rule.factor:g} times the usual, "
        f"{rule.horizon} steps ({rule.seconds:g} s) ahead\n"
        "held-out error: "
        + ", ".join(
            f"{key} {quantity(usual[key], 3)} {unit}" for key, unit in champion.units.items()
        )
    )
    for one in report.drifting:
        typer.echo(f"{one.name}: {one.message}")
