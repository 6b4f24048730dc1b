"""Setup commands: list tasks, check the machine, print a task and the version."""

from typing import Annotated, Any

import typer

from kinemill.cli.output import Json, Overrides, Presets, changes, document, table

_REPORTED = ("kinemill", "torch", "dagster", "mlflow", "onnxruntime")


def tasks(as_json: Json = False) -> None:
    """List the tasks and the errors of invalid ones.

    Example: kinemill tasks
    """
    from kinemill.errors import KinemillError
    from kinemill.task import list_tasks, load_task

    rows: list[dict[str, Any]] = []
    for name, path in list_tasks().items():
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


def doctor(as_json: Json = False) -> None:
    """Check versions, GPU, home, disk, tasks and registry.

    Each failed check is shown with its fix. The exit code is 1 if a check fails.

    Example: kinemill doctor
    """
    from kinemill.cli.health import examine

    found = examine()
    if as_json:
        document({"checks": [finding.to_json() for finding in found]})
    else:
        table(
            "doctor",
            ["", "what", "found", "what to do"],
            [[_mark(item.ok), item.name, item.found, item.fix] for item in found],
        )
    if any(item.ok is False for item in found):
        raise typer.Exit(1)


def _mark(ok: bool | None) -> str:
    return {True: "ok", False: "MISSING", None: "-"}[ok]


def config(
    task: Annotated[str | None, typer.Argument(help="Task name, or path of a task file.")] = None,
    overrides: Overrides = None,
    presets: Presets = None,
    launchpad: Annotated[
        bool, typer.Option("--launchpad", help="Print the run config for Dagster's launchpad.")
    ] = False,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of task files, for editors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a task with all defaults and overrides.

    With --schema and no task, prints the JSON schema of task files.

    Example: kinemill config double_pendulum --set learn.history=12
    """
    import yaml

    from kinemill.errors import BadInput
    from kinemill.task import load_task

    if schema:
        _print_schema(task)
        return
    if task is None:
        fix = "kinemill config TASK, or kinemill config --schema"
        raise BadInput("config", "no task is named", fix=fix)
    loaded = load_task(task, changes(presets, overrides))
    value: dict[str, Any] = loaded.model_dump(mode="json", by_alias=True)
    if launchpad:
        del value["task"]
        value = {"resources": {loaded.name: {"config": value}}}
    if as_json:
        document(value)
    else:
        typer.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


def _print_schema(task: str | None) -> None:
    from kinemill.errors import BadInput
    from kinemill.task.schema import task_schema

    if task is not None:
        raise BadInput(
            f"config {task} --schema",
            "the schema is the same for every task",
            fix="leave the task out: kinemill config --schema",
        )
    document(task_schema())


def version(as_json: Json = False) -> None:
    """Print the version of kinemill.

    With --json, also prints the versions of Python and of the main libraries.

    Example: kinemill version
    """
    if as_json:
        document(versions())
        return
    typer.echo(f"kinemill {installed('kinemill')}")


def versions() -> dict[str, str | None]:
    """Return the versions that a bug report needs; None for a library that is not installed."""
    import platform

    return {"python": platform.python_version(), **{name: installed(name) for name in _REPORTED}}


def installed(name: str) -> str | None:
    """Return the version of an installed distribution, or None if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


COMMANDS = [tasks, doctor, config, version]
