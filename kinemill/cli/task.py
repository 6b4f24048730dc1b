"""Task commands: list tasks, show one with all defaults, print the schema of task files."""

from typing import Annotated, Any

import typer

from kinemill.cli.output import JsonOption, Overrides, Presets, TaskName, changes, document, table
from kinemill.errors import KinemillError


def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks and the errors of invalid ones.

    Example: kinemill task list
    """
    from kinemill.task import list_tasks as task_files
    from kinemill.task import load_task

    rows: list[dict[str, Any]] = []
    for name, path in task_files().items():
        row: dict[str, Any] = {"task": name, "file": str(path), "error": None}
        try:
            task = load_task(path)
        except KinemillError as error:
            row["error"] = str(error)
        else:
            row |= {"dt": task.dt, "states": task.states, "actions": task.actions}
            row["description"] = task.description
        rows.append(row)
    if as_json:
        document({"tasks": rows})
        return
    table(
        "tasks",
        ["task", "dt, s", "states", "actions", "description"],
        [
            [
                row["task"],
                row.get("dt"),
                ", ".join(row.get("states", [])),
                ", ".join(row.get("actions", [])),
                row["error"] or row.get("description"),
            ]
            for row in rows
        ],
    )


def show_task(
    task: TaskName,
    overrides: Overrides = None,
    presets: Presets = None,
    launchpad: Annotated[
        bool, typer.Option("--launchpad", help="Print the run config for Dagster's launchpad.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a task with all defaults and overrides.

    Example: kinemill task show double_pendulum --set learn.history=12
    """
    from kinemill.task import load_task
    from kinemill.task.yaml import dump_yaml

    loaded = load_task(task, changes(presets, overrides))
    value: dict[str, Any] = loaded.model_dump(mode="json", by_alias=True)
    if launchpad:
        del value["task"]
        value = {"resources": {loaded.name: {"config": value}}}
    document(value) if as_json else typer.echo(dump_yaml(value), nl=False)


def print_schema() -> None:
    """Print the JSON schema of task files, for editors.

    Example: kinemill task schema > tasks/.kinemill.schema.json
    """
    from kinemill.task.schema import task_schema

    document(task_schema())
