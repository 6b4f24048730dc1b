"""Models by address, folder or result: TASK, TASK@alias, TASK:version, a model folder, a training.

A registered model is loaded with the task of its training.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from kinemill.errors import BadInput
from kinemill.runtime import Policy, Simulator, load_policy, load_simulator
from kinemill.store import Home, Json, open_ref
from kinemill.task import Task, load_task
from kinemill.train.warm_start import is_checkpoint

if TYPE_CHECKING:
    from kinemill.register.versions import Version

_ADDRESS = re.compile(r"(?P<task>[^@:]+)(?P<which>[@:][\w-]+)?\Z")
_GYM_ADDRESS = re.compile(r"(?P<task>gym:.+?)(?P<which>@[\w-]+|:[0-9]+)?\Z")

M = TypeVar("M", Simulator, Policy)


class ModelResult(Protocol):
    """A result of an earlier call with a model, such as a training."""

    @property
    def task(self) -> Task:
        """The task of the model."""
        ...

    @property
    def folder(self) -> Path:
        """Folder of the exported model."""
        ...


ModelLike = str | Path | ModelResult


@dataclass(frozen=True)
class LoadedModel(Generic[M]):
    """A loaded model.

    Attributes:
        task: task of the model; for a registered model that of its training.
        home: home of the registry.
        model: the simulator or policy, which accepts NaN and infinity.
        folder: folder of the model files.
        name: displayed name: `@champion`, `:3`, or the folder.
        version: version in the registry; None for a folder.
    """

    task: Task
    home: Home
    model: M
    folder: Path
    name: str
    version: int | None

    def to_json(self) -> Json:
        """Return the identity of the model as a JSON object."""
        return {
            "name": self.name,
            "version": self.version,
            "folder": str(self.folder),
            "dataset": self.model.interface.dataset,
        }


def address_of(model: str) -> tuple[Task, str]:
    """Split TASK, TASK@alias or TASK:version into the task and the rest.

    Raises:
        BadInput: There is no such task, or the address is invalid.
    """
    task, which = split_address(model)
    return load_task(task), which


def load_simulator_of(
    model: ModelLike, task: Task | None = None, changed: Mapping[str, object] | None = None
) -> LoadedModel[Simulator]:
    """Load a dynamics model.

    Args:
        model: an address, the folder of an exported model, or a training.
        task: task of a model folder; a registered model and a training include theirs.
        changed: overrides of a registered model's task.

    Raises:
        BadInput: There is no such task, version or folder, a folder has no `task`, or the model is
            a policy.
        CorruptArtifact: Its files are damaged.
    """
    return _load(model, task, changed, load_simulator)


def load_policy_of(
    model: ModelLike, task: Task | None = None, changed: Mapping[str, object] | None = None
) -> LoadedModel[Policy]:
    """Load a policy; arguments as in `load_simulator_of`.

    Raises:
        BadInput: The model is not a policy, or as in `load_simulator_of`.
        CorruptArtifact: Its files are damaged.
    """
    return _load(model, task, changed, load_policy)


def _folder_of(model: Path | ModelResult, task: Task | None) -> tuple[Task, Path]:
    if not isinstance(model, Path):
        if not hasattr(model, "folder"):
            expected = "TASK, TASK@alias, TASK:version, a training, or the path of a model folder"
            raise BadInput("model", f"is a {type(model).__name__}", expected=expected)
        return model.task, model.folder
    if task is None:
        raise BadInput(model, "is a folder", expected="a folder and its task", fix="pass task=")
    return task, model


def _load(
    model: ModelLike,
    task: Task | None,
    changed: Mapping[str, object] | None,
    load: Callable[..., M],
) -> LoadedModel[M]:
    home = Home.resolve()
    if isinstance(model, str) and "/" in model and Path(model).is_dir():
        model = Path(model)
    if not isinstance(model, str):
        model_task, folder = _folder_of(model, task)
        loaded = load(folder, non_finite="pass")
        return LoadedModel(model_task, home, loaded, folder, str(folder), None)
    task, version, folder = registered_model(model, home, changed)
    name = f":{version.number}" + "".join(f" @{alias}" for alias in version.aliases)
    loaded = load(folder, non_finite="pass")
    return LoadedModel(task, home, loaded, folder, name, version.number)


def displayed_model(task: str, name: str) -> str:
    """Return a task with the name of its version or folder: `arm:3 @champion`, `arm, my_folder`."""
    return f"{task}{name}" if name.startswith((":", "@")) else f"{task}, {name}"


def registered_model(
    model: str, home: Home, changed: Mapping[str, object] | None = None
) -> "tuple[Task, Version, Path]":
    """Return the task, the version and the folder of a registered model.

    Raises:
        BadInput: There is no such task or version.
    """
    from kinemill.register.saved_task import reading_task, task_of
    from kinemill.register.versions import bundle_folder, find_version

    task_name, which = split_address(model)
    task = load_task(task_name)
    version = find_version(home, task.name, which)
    model_task = reading_task(task_of(home, task, version, changed), task)
    return model_task, version, bundle_folder(home, version)


def split_address(model: str) -> tuple[str, str]:
    """Split TASK@alias into its parts; the path of a task file can contain any character.

    `gym:ENV` is replaced by the path of its drafted task.

    Raises:
        BadInput: The address has another form.
    """
    if Path(model).is_file():
        return model, ""
    address = (_GYM_ADDRESS if model.startswith("gym:") else _ADDRESS).match(model)
    task, _, number = model.partition("/")
    if number.isdecimal():
        fix = f"write {task}:{number}"
        raise BadInput(
            model, "is not a model", expected="TASK, TASK@alias or TASK:version", fix=fix
        )
    if address is None:
        raise BadInput(model, "is not a model", expected="TASK, TASK@alias or TASK:version")
    task = address["task"]
    which = address["which"] or ""
    if task.startswith("gym:"):
        from kinemill.draft.environment_tasks import drafted_task

        task = str(drafted_task(task, Home.resolve()))
    return task, which


def named_model(
    model: str, folder: Path | None, changed: Mapping[str, object] | None = None
) -> tuple[str | Path, Task | None]:
    """Return the model of a command line: an address, or a folder with its task.

    The folder is that of an exported model, or of a checkpoint, which is exported.

    Raises:
        BadInput: The task does not exist, both a version and a folder are set, or the checkpoint
            cannot be exported, see `publish_checkpoint`.
    """
    if folder is None:
        return model, None
    task, which = split_address(model)
    if which:
        raise BadInput(model, f"names a version, and --model {folder} another", fix="name one")
    loaded = load_task(task, changed)
    return exported_folder(folder, loaded), loaded


def exported_folder(folder: Path, task: Task) -> Path:
    """Return the folder of an exported model; a checkpoint of the task is exported first.

    Raises:
        BadInput: The checkpoint cannot be exported, see `publish_checkpoint`.
    """
    from kinemill.export import stage
    from kinemill.train.kept_checkpoint import publish_checkpoint

    if not is_checkpoint(folder):
        return folder
    home = Home.resolve()
    trained = publish_checkpoint(home, folder)
    return open_ref(home, stage.run(task, home, trained.ref).ref)
