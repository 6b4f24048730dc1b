"""Tasks as Dagster components: `defs/NAME/defs.yaml` holds a task, or the path of its file.

    type: kinemill_dagster.KinemillTask
    attributes:
      task: arm
      dt: 0.01

A path (`attributes: {file: tasks/arm.yaml}`) is relative to the project. A task in a `defs.yaml`
has the name of its folder. Such a file holds one component.
"""

from pathlib import Path
from typing import cast

from kinemill.errors import TaskError
from kinemill.store import Json
from kinemill.store.project import COMPONENT, COMPONENT_FILE, component_files
from kinemill.task.yaml import Document, dump_yaml, read_yaml


def name_of(path: Path) -> str:
    """Return the name that a task in this file must have."""
    return path.parent.name if path.name == COMPONENT_FILE else path.stem


def place_of(path: Path) -> str:
    """Describe the folder or file that names a task, for errors."""
    if path.name == COMPONENT_FILE:
        return f"a folder called {path.parent.name}"
    return f"a file called {path.name}"


def sibling(path: Path, name: str) -> Path:
    """Return the file of another task, next to a task file or to the folder of a component."""
    if path.name == COMPONENT_FILE:
        return path.parent.with_name(name) / path.name
    return path.with_name(f"{name}{path.suffix}")


def read_task_file(path: Path) -> Document:
    """Read a task file, or the attributes of a component with their lines.

    Raises:
        TaskError: The file cannot be read, or holds no task component.
    """
    document = read_yaml(path)
    if path.name != COMPONENT_FILE:
        return document
    component: Json = document.value if isinstance(document.value, dict) else {}
    if component.get("type") != COMPONENT or not isinstance(component.get("attributes"), dict):
        raise TaskError([f"{path}: is not a component of type {COMPONENT} with `attributes`"])
    lines = {at[1:]: line for at, line in document.lines.items() if at[:1] == ("attributes",)}
    return Document(path, component["attributes"], lines)


def task_bytes(path: Path) -> bytes:
    """Return the content of a task file; a component is converted to one."""
    if path.name != COMPONENT_FILE:
        return path.read_bytes()
    return dump_yaml(read_task_file(path).value).encode()


def component_tasks(root: Path) -> dict[str, Path]:
    """Return the files of the tasks that a project defines as components, by name."""
    paths = [_task_file(root, path) for path in component_files(root)]
    return {name_of(path): path for path in paths}


def _task_file(root: Path, path: Path) -> Path:
    """Return the task file that a component names, or the file of the component."""
    try:
        attributes = cast("dict[str, object]", read_task_file(path).value)
    except TaskError:
        return path  # `load_task` reports the error
    return (root / str(attributes["file"])).resolve() if "file" in attributes else path
