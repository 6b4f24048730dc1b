"""`kinemill init` and `kinemill examples`: create a project folder, copy example tasks."""

import shlex
from pathlib import Path

from kinemill.cli.output import Output, Table, notify
from kinemill.store.project import tasks_folder


def init(
    folder: Path,
    example: str | None = None,
) -> Output:
    """Create a project folder, or the missing files of one.

    Existing files do not change. Run it again after git clone: it writes .env with the folder of
    Dagster on this machine.

    Example: kinemill init my_mill --example cart_pole

    Args:
        folder: Folder of the project; it may exist.
        example: Example task to copy, such as cart_pole.
    """
    from kinemill.api.project import project

    scaffold = project("pipelines.project_files").make_project(folder, example)
    step = f"kinemill task show {example}" if example else "kinemill new my_robot --from LOGS"
    enter = "" if scaffold.root == Path.cwd() else f"cd {shlex.quote(str(folder))} && "
    return Output(
        {"project": str(scaffold.root), "created": scaffold.created},
        *(f"created {name}" for name in scaffold.created),
        lambda: notify(*scaffold.notes),
        *(() if scaffold.created else ("the project is complete",)),
        f"next  {enter}{step}",
    )


def list_examples() -> Output:
    """List the example tasks of kinemill.

    Example: kinemill examples list
    """
    from kinemill.task.examples import example_tasks
    from kinemill.task.yaml import read_yaml

    rows: list[dict[str, object]] = []
    for name, path in example_tasks().items():
        value = read_yaml(path).value
        about = {"learns": value["learn"]["type"], "description": value["description"]}
        rows.append({"example": name, **about, "file": str(path)})
    return Output({"examples": rows}, Table("examples", ["example", "learns", "description"], rows))


def copy(
    name: str,
    to: Path | None = None,
) -> Output:
    """Copy an example to the tasks of the project.

    Example: kinemill examples copy pendulum

    Args:
        name: Name of the example.
        to: Folder; default: the tasks of the project.
    """
    from kinemill.task.examples import copy_example

    file = copy_example(name, to or tasks_folder())
    text = f"written to {file}; next: kinemill task show {file if to else name}"
    return Output({"example": name, "file": str(file)}, text)
