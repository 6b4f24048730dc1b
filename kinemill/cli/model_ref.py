"""Model references on the command line: TASK, TASK@alias, TASK:version, or a model folder."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from kinemill.cli.completion import complete_model
from kinemill.register.versions import Version
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task.document import Task

_ADDRESS = re.compile(r"(?P<task>[^@:]+)(?P<which>[@:][\w-]+)?\Z")

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="TASK[@ALIAS|:VERSION]",
        help="Default: the champion, else the newest version.",
        autocompletion=complete_model,
    ),
]
ModelFolder = Annotated[
    Path | None,
    typer.Option("--model", help="Exported model folder, instead of a registered version."),
]


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model.

    Attributes:
        task: a `Task`; for a registered model the one it was trained with.
        home: a `Home`.
        simulator: a `Simulator`; NaN and infinity pass through it.
        folder: folder of its files.
        name: shown to the user: `@champion`, `:3`, or its folder.
        version: in the registry, or None for a folder.
    """

    task: Any
    home: Any
    simulator: Any
    folder: Path
    name: str
    version: int | None

    def to_json(self) -> Json:
        """Return the identity of the model as a JSON object."""
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.folder),
            "dataset": self.simulator.interface.dataset,
        }


def address_of(model: str) -> tuple[Task, str]:
    """Split TASK, TASK@alias or TASK:version into the task and the rest.

    Raises:
        BadInput: there is no such task, or the address is invalid.
    """
    from kinemill.task import load_task

    task, which = _parts(model)
    return load_task(task), which


def load_model(model: str, folder: Path | None, changed: Json | None = None) -> LoadedModel:
    """Load the model that a command line names.

    Raises:
        BadInput: there is no such task, version or folder.
        CorruptArtifact: its files are damaged.
    """
    from kinemill.runtime import load_simulator

    return _load(model, folder, changed, load_simulator)


def load_policy_model(model: str, folder: Path | None, changed: Json | None = None) -> LoadedModel:
    """Load the policy that a command line names; `LoadedModel.simulator` is the policy.

    Raises:
        BadInput: there is no such task, version or folder, or it is no policy.
        CorruptArtifact: its files are damaged.
    """
    from kinemill.runtime import load_policy

    return _load(model, folder, changed, load_policy)


def _load(
    model: str, folder: Path | None, changed: Json | None, load: Callable[..., object]
) -> LoadedModel:
    from kinemill.errors import BadInput
    from kinemill.register.saved_task import reading_task, task_of
    from kinemill.store.home import Home
    from kinemill.task import load_task

    task_name, which = _parts(model)
    home = Home.resolve()
    task = load_task(task_name, None if folder is None else changed)
    if folder is None:
        version, where = _load_registered(task.name, home, which)
        task = reading_task(task_of(home, task, version, changed), task)
        name, number = f":{version.number}", version.number
        name += "".join(f" @{alias}" for alias in version.aliases)
    elif which:
        raise BadInput(model, f"names a version, and --model {folder} another", fix="name one")
    else:
        where, name, number = folder, str(folder), None
    simulator = load(where, non_finite="pass")
    return LoadedModel(task, home, simulator, Path(where), name, number)


def _parts(model: str) -> tuple[str, str]:
    """Split TASK@alias into its parts; the path of a task file may contain any character."""
    from kinemill.errors import BadInput

    if Path(model).is_file():
        return model, ""
    address = _ADDRESS.match(model)
    if address is None:
        raise BadInput(model, "names no model", expected="TASK, TASK@alias or TASK:version")
    return address["task"], address["which"] or ""


def _load_registered(task: str, home: Home, which: str) -> tuple[Version, Path]:
    from kinemill.register.consistency import require_registry
    from kinemill.register.versions import bundle_folder, find_version

    require_registry(home, task)
    version = find_version(home, task, which)
    return version, bundle_folder(home, version)
