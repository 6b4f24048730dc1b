"""Shell completion of task names and version names, without heavy imports."""

import sqlite3
from contextlib import closing
from pathlib import Path

from kinemill.errors import KinemillError


def complete_task(incomplete: str) -> list[str]:
    """Return the task names with the typed prefix."""
    return [name for name in _task_names() if name.startswith(incomplete)]


def complete_model(incomplete: str) -> list[str]:
    """Return the matching task names and addresses `TASK@alias`, `TASK:version`."""
    names = _task_names()
    addresses = [address for name in names for address in (name, *_addresses(name))]
    return [address for address in addresses if address.startswith(incomplete)]


def _task_names() -> list[str]:
    """Return the names of the task files and of the components, like `kinemill.task.list_tasks`.

    That function needs pydantic, which takes 0.3 s to import.
    """
    from kinemill.store.project import component_files, project_root, tasks_folder

    try:
        names = {path.stem for path in tasks_folder().glob("*.yaml")}
    except KinemillError:
        return []
    root = project_root()
    files = component_files(root) if root else []
    return sorted(names | {_component_name(path) for path in files})


def _component_name(path: Path) -> str:
    """Return the task of a component: the name of its task file or of its folder."""
    import yaml

    try:
        file = yaml.safe_load(path.read_bytes())["attributes"]["file"]
    except (yaml.YAMLError, KeyError, TypeError):
        return path.parent.name
    return Path(str(file)).stem


def _addresses(task: str) -> list[str]:
    """Return the versions of a task in the registry of the home.

    Reads the SQLite file directly: MLflow takes seconds to import.
    """
    from kinemill.store.home import Home

    try:
        path = Home.find().mlflow_db
        if not path.is_file():
            return []
        with closing(sqlite3.connect(f"{Path(path).as_uri()}?mode=ro", uri=True)) as database:
            aliases = _select(database, "alias", "registered_model_aliases", task)
            versions = _select(database, "version", "model_versions", task)
    except (KinemillError, sqlite3.Error):
        return []
    return [f"{task}@{alias}" for alias in aliases] + [f"{task}:{number}" for number in versions]


def _select(database: sqlite3.Connection, column: str, table: str, task: str) -> list[str]:
    query = f"SELECT {column} FROM {table} WHERE name = ? ORDER BY {column}"
    return [str(row[0]) for row in database.execute(query, (task,))]
