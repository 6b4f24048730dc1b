"""Task commands: list tasks, show one with all defaults, print the schema of task files."""

import json
from dataclasses import asdict

import typer

from kinemill.cli.output import Output, Overrides, Presets, Table, TaskName, changes, document
from kinemill.errors import KinemillError
from kinemill.store import Json


def list_tasks() -> Output:
    """List the tasks and the errors of invalid ones.

    Example: kinemill task list
    """
    from kinemill.task import list_tasks as task_files
    from kinemill.task import load_task

    rows: list[Json] = []
    for name, path in task_files().items():
        row: dict[str, object] = {"task": name, "file": str(path), "error": None}
        try:
            task = load_task(path)
        except KinemillError as error:
            row["error"] = str(error)
        else:
            row |= {"dt": task.dt, "states": task.states, "actions": task.actions}
            row["description"] = task.description
        rows.append(row)
    lines = [
        [
            row["task"],
            row.get("dt"),
            ", ".join(row.get("states", [])),
            ", ".join(row.get("actions", [])),
            row["error"] or row.get("description"),
        ]
        for row in rows
    ]
    columns = ["task", "dt, s", "states", "actions", "description"]
    return Output({"tasks": rows}, Table("tasks", columns, lines))


def show_task(
    task: TaskName,
    overrides: Overrides = None,
    presets: Presets = None,
    launchpad: bool = False,
) -> Output:
    """Print a task with all defaults and overrides.

    Example: kinemill task show double_pendulum --set learn.history=12

    Args:
        launchpad: Print the run config for Dagster's launchpad.
    """
    from kinemill.task import load_task
    from kinemill.task.yaml import dump_yaml

    loaded = load_task(task, changes(task, presets, overrides))
    value = loaded.model_dump(mode="json", by_alias=True)
    if launchpad:
        del value["task"]
        value = {"resources": {loaded.name: {"config": value}}}
    return Output(value, lambda: typer.echo(dump_yaml(value), nl=False))


def print_schema() -> None:
    """Print the JSON schema of task files, for editors.

    Example: kinemill task schema > tasks/.kinemill.schema.json
    """
    from kinemill.task.schema import task_schema

    document(task_schema())


def config(task: TaskName, overrides: Overrides = None, presets: Presets = None) -> Output:
    """Print all settings of a run with their origin.

    Each line has a dotted key, its value, and its origin: a line of the task file, a preset, an
    override, or `default`.

    Example: kinemill config gym:CartPole-v1 --with algorithm=a2c
    """
    from kinemill.task import parse_overrides
    from kinemill.task.origins import settings_with_origin

    settings = settings_with_origin(task, presets or [], parse_overrides(overrides or []))
    lines = [f"{setting.key}: {json.dumps(setting.value)}" for setting in settings]
    width = min(72, max(map(len, lines)))
    return Output(
        {"task": task, "settings": [asdict(setting) for setting in settings]},
        *(
            f"{line:<{width}}  # {setting.origin}"
            for line, setting in zip(lines, settings, strict=True)
        ),
    )
