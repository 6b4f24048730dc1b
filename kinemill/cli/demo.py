"""`kinemill demo`: run the pipeline on simulated logs, in a temporary project or a kept one."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from kinemill.cli.output import Output, notify
from kinemill.store.home import Home

_TASK = "cart_pole"
# A temporary project must not reach a home, a database or an object store of the user.
_SHARED = ("KINEMILL_HOME", "KINEMILL_DATABASE", "KINEMILL_REMOTE", "KINEMILL_PRESETS")


def demo(keep: Annotated[Path | None, typer.Option(metavar="FOLDER")] = None) -> Output:
    """Run the pipeline on logs of a simulated cart-pole.

    Without --keep, the demo runs in a temporary project, which is removed.

    Example: kinemill demo --keep my_mill

    Args:
        keep: Project to run in; created if missing.
    """
    if keep is not None:
        return _demonstrate(keep)
    with TemporaryDirectory(prefix="kinemill-demo-") as folder, _without(*_SHARED):
        return _demonstrate(Path(folder) / "demo", is_kept=False)


def _demonstrate(folder: Path, *, is_kept: bool = True) -> Output:
    """Run the demo in a project; create the project if needed."""
    from kinemill.api.project import project
    from kinemill.cli.run_command import run_task

    root = project("pipelines.project_files").make_project(folder, _TASK).root
    with _without("KINEMILL_TASKS", "KINEMILL_PROJECT"):
        os.environ["KINEMILL_PROJECT"] = str(root)
        home = Home.resolve()
        if write(_TASK, home):
            notify(f"logs of a simulated cart-pole are in {home.logs(_TASK)}")
        output = run_task(_TASK, None, {}, is_kept=is_kept)
    note = f"the project is {root}; work there, for example: kinemill model why {_TASK}"
    if not is_kept:
        note = "this project is temporary; kinemill demo --keep FOLDER keeps it"
    if root != Path.cwd():
        output.parts += (lambda: notify(note),)
    return output


@contextmanager
def _without(*names: str) -> Generator[None]:
    """Remove environment variables; restore all at the end."""
    environment = dict(os.environ)
    for name in names:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)


def write(task: str, home: Home) -> bool:
    """Write the demo's logs unless they exist; return whether it wrote any."""
    from kinemill.control.sim import write_logs

    folder = home.logs(task)
    if folder.is_dir() and any(folder.iterdir()):
        return False
    write_logs(folder, task)
    return True
