"""Find a training's model or checkpoints by its inputs, or join its process group."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, digest, find
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter, WarmStart
from kinemill.train import stage
from kinemill.train.devices import determined, pick_device
from kinemill.train.resume import key_of, latest_unfinished, refuse_changes


def job_folder(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None = None,
) -> Path:
    """Return the folder of the checkpoints of a training with these inputs."""
    return home.runs / task.name / key_of(stage.inputs(task, dataset, training_set, start))


def find_model(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None = None,
) -> Artifact | None:
    """Return the cached model of a training with these inputs, or None."""
    return find(home, "model", task.name, digest(stage.inputs(task, dataset, training_set, start)))


def check_resume(
    task: Task,
    home: Home,
    data: tuple[ArtifactRef, ArtifactRef],
    start: WarmStart | None = None,
    among: Collection[str] | None = None,
) -> None:
    """Check that a training would resume the task's latest unfinished one, or has a cached model.

    Args:
        task: with the `learn` part.
        home: where checkpoints are kept.
        data: the dataset and the training set.
        start: the model of `learn.start_from`, if it is set.
        among: names of the folders of trainings to consider; None: all.

    Raises:
        BadInput: The unfinished training had other settings or data (the error names them), or
            there is neither an unfinished training nor a model.
    """
    inputs = stage.inputs(task, *data, start)
    folder = latest_unfinished(home, task.name, among)
    if folder is not None:
        refuse_changes(folder, inputs)
    elif find_model(task, home, *data, start) is None:
        raise BadInput(
            "resume",
            f"no training of {task.name} was interrupted after a checkpoint",
            fix="leave --resume out to start a new training",
        )


def join_training(
    task: Task, home: Home, data: tuple[ArtifactRef, ArtifactRef], start: WarmStart | None = None
) -> None:
    """Train as a process of rank 1 or higher, see `kinemill.train.ddp`.

    Args:
        task: with the `learn` part.
        home: home with the data.
        data: the dataset and the training set.
        start: the model of `learn.start_from`, if it is set.
    """
    import torch

    from kinemill.train.ddp import process_group
    from kinemill.train.loop import fit

    learn: Any = task.learn  # a learn type that trains on a dataset, so it has `prepare`
    if not process_group().broadcast():
        return  # rank 0 found the model in the cache
    torch.set_num_threads(learn.threads)
    opened = learn.open(home, *data)
    with determined(on=learn.deterministic):
        module, objective = learn.prepare(task, *opened, pick_device(learn.device), start)
        silent = (NullReporter(), NullReporter())
        fit(module, objective, learn, job_folder(task, home, *data, start), silent)
