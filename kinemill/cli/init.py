"""Setting up: what tasks there are, what they say, and whether this machine is ready."""

from typing import Annotated, Any

import typer

from kinemill.cli.output import Json, Overrides, Presets, TaskName, changes, document, table


def tasks(as_json: Json = False) -> None:
    """List the tasks, and what is wrong with those that cannot be used."""
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
    """Look at versions, GPU, home, disk, tasks and registry; say what to do about it."""
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
    task: TaskName,
    overrides: Overrides = None,
    presets: Presets = None,
    launchpad: Annotated[
        bool, typer.Option("--launchpad", help="As the run config of Dagster's launchpad.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print a task with every default filled in and overrides applied."""
    import yaml

    from kinemill.task import load_task

    loaded = load_task(task, changes(presets, overrides))
    value: dict[str, Any] = loaded.model_dump(mode="json", by_alias=True)
    if launchpad:
        del value["task"]
        value = {"resources": {loaded.name: {"config": value}}}
    if as_json:
        document(value)
    else:
        typer.echo(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), nl=False)


COMMANDS = [tasks, doctor, config]
