"""Shell completion of task names and version names, without heavy imports."""

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
    """Return the versions in the audit log of a task: MLflow takes seconds to import."""
    from kinemill.register.audit_log import read_events
    from kinemill.store.home import Home

    try:
        numbers = {event.version for event in read_events(Home.find(), task) if event.version}
    except KinemillError:
        return []
    aliases = [f"{task}@champion", f"{task}@challenger"] if numbers else []
    return aliases + [f"{task}:{number}" for number in sorted(numbers)]
