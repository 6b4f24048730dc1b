"""Helpers of `kinemill demo`: write the simulated logs, delete the results of earlier demos."""

import shutil

from kinemill.store.home import Home
from kinemill.task import Task


def write(task: Task, home: Home) -> bool:
    """Write the demo's logs unless they exist; return whether any were written."""
    from kinemill.sim import write_logs

    folder = home.logs(task.name)
    if folder.is_dir() and any(folder.iterdir()):
        return False
    write_logs(folder, task.name)
    return True


def forget(home: Home, task: str) -> None:
    """Delete all results of a task: logs, artifacts, trainings, references and versions."""
    folders = [home.logs(task), home.runs / task, home.dagster / "trainings" / task]
    folders += [home.store / "members" / task, home.dagster / "refs" / "latest" / task]
    folders += [home.root / "tune" / task]
    folders += [stage / task for stage in home.store.glob("*") if stage.name != "raw"]
    for folder in folders:
        if folder.is_dir():
            shutil.rmtree(folder)
    if home.has_registry:
        _forget_versions(home, task)


def _forget_versions(home: Home, task: str) -> None:
    from kinemill.register.delete_guard import release
    from kinemill.tracking import open_tracking

    tracking = open_tracking(home)
    client = tracking.client
    if client.search_registered_models(f"name = '{task}'"):
        release(tracking)  # the champion goes, too
        client.delete_registered_model(task)
