"""The project: a folder with `tasks/` and `workspace.yaml`, in which commands and Dagster work."""

import os
import re
from pathlib import Path

from kinemill.errors import BadInput

TASKS = "tasks"
WORKSPACE = "workspace.yaml"
DEFS = "defs"  # folder of a project with its components
COMPONENT = "kinemill_dagster.KinemillTask"  # type of a component that holds a task
COMPONENT_FILE = "defs.yaml"
_TYPE = re.compile(rf"^type:\s*['\"]?{re.escape(COMPONENT)}\b", re.MULTILINE)
_PROJECT = "KINEMILL_PROJECT"
_TASKS = "KINEMILL_TASKS"


def is_project(folder: Path) -> bool:
    """Return whether a folder holds a project."""
    return (folder / TASKS).is_dir() and (folder / WORKSPACE).is_file()


def project_root() -> Path | None:
    """Find the project: `KINEMILL_PROJECT`, else the current folder or the nearest above it."""
    if named := os.environ.get(_PROJECT):
        folders = [Path(named).expanduser().resolve()]
    else:
        folders = [Path.cwd(), *Path.cwd().parents]
    return next(filter(is_project, folders), None)


def require_project() -> Path:
    """Return the folder of the project.

    Raises:
        BadInput: `KINEMILL_PROJECT` is not one, or none is here or above.
    """
    root = project_root()
    if root is None:
        named = os.environ.get(_PROJECT)
        raise BadInput(
            f"{_PROJECT}={named}" if named else Path.cwd(),
            "is not a kinemill project",
            expected=f"a folder with {TASKS}/ and {WORKSPACE}, or one inside it",
            fix="kinemill init FOLDER creates one",
        )
    return root


def tasks_folder() -> Path:
    """Return the folder of task files: `KINEMILL_TASKS`, or `tasks/` of the project.

    Raises:
        BadInput: The variable is not set and there is no project.
    """
    named = os.environ.get(_TASKS)
    return Path(named).expanduser().resolve() if named else require_project() / TASKS


def component_files(root: Path) -> list[Path]:
    """Return the files of a project that hold a task as a component, sorted."""
    files = sorted((root / DEFS).rglob(COMPONENT_FILE))
    return [path for path in files if _TYPE.search(path.read_text(errors="replace"))]
