"""Resolution of `learn.start_from`: the registered version or folder that training starts from."""

from pathlib import Path

from kinemill.dataset import find_dataset
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.versions import Version, all_aliases, find_version, parse_address
from kinemill.registry import nearest
from kinemill.store import ArtifactRef, Home, open_ref
from kinemill.task import Task, WarmStart
from kinemill.task.learn import DATASETS
from kinemill.train import start_in
from kinemill.train.kept_checkpoint import publish_checkpoint
from kinemill.train.warm_start import is_checkpoint


def start_of(task: Task, home: Home) -> WarmStart | None:
    """Return the model that `learn.start_from` currently refers to; None: start from scratch.

    An alias is resolved, so that the trained model records the version.

    Raises:
        BadInput: The version or folder does not exist.
        CorruptArtifact: The version's weights are missing or damaged, also in MLflow, or the
            recorded path is outside of the home.
    """
    address = task.learn.start_from
    if address is None:
        return None
    if address.startswith(DATASETS):
        return _dataset(task, address, home)
    if not address.startswith("models:/"):
        return _folder(task, address, home)
    where = f"learn.start_from: {address}"
    name, which = parse_address(address, where)
    models = list(all_aliases(home))
    if not models:
        raise BadInput(where, "nothing is registered yet", fix=f"kinemill run {name}")
    if name not in models:
        raise BadInput(where, f"no model is called {name!r}", fix=nearest(name, models))
    version = find_version(home, name, which)
    _require_inside(version, home)
    try:
        return start_in_version(version, home)
    except (KeyError, CorruptArtifact) as error:
        what = "its weights are missing, or of an earlier kinemill"
        fix = f"kinemill run {name} with the same logs and settings makes them again"
        raise CorruptArtifact(where, f"{what} ({error})", fix=fix) from error


def _folder(task: Task, address: str, home: Home) -> WarmStart:
    """Return the model or checkpoint in a folder, relative to the current folder or the task file.

    Raises:
        BadInput: It does not exist, or has no model.
    """
    path = Path(address).expanduser()
    folders = [path.resolve(), ((task.path.parent if task.path else Path()) / path).resolve()]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        searched = " and ".join(dict.fromkeys(str(folder) for folder in folders))
        raise BadInput(
            f"learn.start_from: {address}",
            f"no such folder: {searched}",
            expected="the folder of a trained model or of a checkpoint, or models:/TASK@champion",
        )
    is_continued = (
        task.learn.type == "reinforcement" and getattr(task.learn, "pretrain", None) is None
    )
    if is_checkpoint(folder) and not is_continued:
        folder = open_ref(home, publish_checkpoint(home, folder).ref)
    return start_in(folder)


def _dataset(task: Task, address: str, home: Home) -> WarmStart:
    """Return a dataset version of a task: the latest, or `datasets:/TASK/3`.

    Raises:
        BadInput: The version does not exist, or the learn type starts from models only.
        CorruptArtifact: Its files are missing or damaged.
    """
    if task.learn.type != "reinforcement":
        expected = f"a trained model, as learn.type is {task.learn.type}"
        raise BadInput(f"learn.start_from: {address}", "is a dataset", expected=expected)
    version = find_dataset(home, address)
    folder = open_ref(home, version.ref)
    name = f"{DATASETS}{version.task}/{version.number}"
    return WarmStart(name, version.ref.digest, str(folder))


def start_in_version(version: Version, home: Home) -> WarmStart:
    """Return the networks that were trained for a version.

    Raises:
        KeyError: The version has no model in its tags.
        CorruptArtifact: They are missing or damaged, or outside of the home.
    """
    _require_inside(version, home)
    ref = trained_in(version)
    return WarmStart(version.name, ref.digest, str(open_ref(home, ref)), _note(version))


def _require_inside(version: Version, home: Home) -> None:
    for tag in (tags.MODEL_FOLDER, tags.TRAINED_FOLDER):
        home.in_store(version.tags.get(tag, ""), version.name)


def trained_in(version: Version) -> ArtifactRef:
    """Return the trained model of a version, also if the version itself is a reference.

    Raises:
        KeyError: The version has no model in its tags.
    """
    stamped = version.tags
    if tags.REFERENCE not in stamped:
        return ArtifactRef(stamped[tags.MODEL_FOLDER], stamped[tags.MODEL])
    return ArtifactRef(stamped[tags.TRAINED_FOLDER], stamped[tags.TRAINED])


def _note(version: Version) -> str:
    reference = version.tags.get(tags.REFERENCE)
    # A network cannot start from a closed-form fit; it starts from the network of the same run.
    if reference is None:
        return ""
    return (
        f"{version.name} is the reference {reference!r}; training starts from the model that was "
        "trained in the same run"
    )
