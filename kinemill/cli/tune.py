"""`kinemill model tune`: search for better settings of a task."""

import json
from pathlib import Path
from typing import Annotated

import typer

from kinemill.cli.output import (
    Output,
    Overrides,
    Presets,
    Table,
    TaskName,
    changes,
    logs_path,
    notify,
    quantity,
)
from kinemill.store import Json

_REFUSED = 1


def tune(
    task: TaskName,
    trials: Annotated[int | None, typer.Option(min=1)] = None,
    logs: Path | None = None,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    timeout: Annotated[float | None, typer.Option(min=1.0)] = None,
    register: bool = True,
    space: bool = False,
    overrides: Overrides = None,
    presets: Presets = None,
) -> Output:
    """Search for better settings.

    Trials are compared on validation data only. A killed search resumes on the next run.

    Example: kinemill model tune my_robot --trials 30 --workers 2

    Args:
        trials: Total, with earlier trials; default: tune.trials.
        logs: Log or folder of logs; default: the drop folder.
        workers: Parallel trials, one process each.
        timeout: Seconds until the search ends.
        register: Run the pipeline with the best settings.
        space: Print the search space and exit.
    """
    from kinemill.api.progress import StderrProgress
    from kinemill.api.project import project
    from kinemill.selection.tune.defaults import default_space
    from kinemill.store.database import check_database
    from kinemill.task import load_task

    logs = logs_path(logs, "--logs") if logs else None
    changed = changes(task, presets, overrides)
    loaded = load_task(task, changed)
    notify(*loaded.notes)
    if space:
        search_space = loaded.tune.space or default_space(loaded)
        part = {**loaded.part("tune")["tune"], "space": search_space}
        return Output({"task": loaded.name, "space": search_space}, lambda: _print_space(part))
    check_database()  # before imports that take 5 s
    pipeline = project("pipelines.tune")
    options = pipeline.TuneRequest(trials, workers, timeout, register, logs)
    summary = pipeline.tune_task(task, changed, options, StderrProgress(), show_progress=True)
    return _output(summary)


def _print_space(part: Json) -> None:
    """Print the part `tune` of a task file."""
    import yaml

    whole = {"tune": part}
    typer.echo(yaml.safe_dump(whole, sort_keys=False, default_flow_style=None, width=100), nl=False)


def _output(summary: Json) -> Output:
    best = summary["best"]
    task_error = summary["own"]
    against = (
        f"; {quantity(task_error)} with the task's own settings" if task_error is not None else ""
    )
    value = f"{summary['objective']} {quantity(best['value'])} {summary['unit']}".rstrip()
    parts: list[str | Table] = []
    if best["settings"]:
        rows = [[key, json.dumps(value)] for key, value in best["settings"].items()]
        parts.append(Table("settings of the best trial", ["key", "value"], rows))
        parts.append(f"kinemill run {summary['task']} --set @{summary['settings']}")
    if summary.get("version") is not None:
        parts.append(f"version {summary['version']}  {summary['alias'] or ''}  {summary['status']}")
    return Output(
        summary,
        f"{summary['study']}: {summary['trials']} trials, {summary['pruned']} pruned, "
        f"{summary['failed']} failed",
        f"best: trial {best['number']}, {value}{against}",
        *parts,
        f"study  {summary['folder']}",
        exit_code=_REFUSED if summary.get("status") == "refused" else 0,
    )
