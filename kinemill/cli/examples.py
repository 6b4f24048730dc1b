"""Commands of the examples: list them, copy one."""

from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.output import JsonOption, document, table
from kinemill.store.project import tasks_folder


def list_examples(as_json: JsonOption = False) -> None:
    """List the example tasks of kinemill.

    Example: kinemill examples list
    """
    from kinemill.task.examples import example_tasks
    from kinemill.task.yaml import read_yaml

    rows: list[dict[str, Any]] = []
    for name, path in example_tasks().items():
        value: Any = read_yaml(path).value
        rows.append(
            {
                "example": name,
                "learns": value["learn"]["type"],
                "description": value["description"],
                "file": str(path),
            }
        )
    if as_json:
        document({"examples": rows})
        return
    columns = ["example", "learns", "description"]
    table("examples", columns, [[row[column] for column in columns] for row in rows])


def copy(
    name: Annotated[str, typer.Argument(help="Name of the example.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder; default: the tasks of the project.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy an example to the tasks of the project.

    Example: kinemill examples copy pendulum
    """
    from kinemill.task.examples import copy_example

    file = copy_example(name, to or tasks_folder())
    if as_json:
        document({"example": name, "file": str(file)})
    else:
        typer.echo(f"written to {file}; next: kinemill task show {file if to else name}")
