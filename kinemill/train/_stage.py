"""The training stage: from a dataset and its training set to published weights."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, Json, digest, find, get_or_build, publish_file
from kinemill.store.disk_space import warn
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring_checkpoint
from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter, WarmStart
from kinemill.tracking.metric_logger import logged
from kinemill.train.checkpoint import INDEX, Kept, clear
from kinemill.train.context import Listeners, TrainingContext
from kinemill.train.devices import determined, pick_device
from kinemill.train.resume import key_of, latest_unfinished, note_inputs, refuse_changes
from kinemill.train.run_config import CONFIG, config_text, in_short, plot_curves
from kinemill.train.warm_start import CURVES, DESCRIPTION, WEIGHTS, description_of

STAGE = "model"
_GO, _KNOWN = b"go", b"known"  # what the first of several processes tells the others
UNHASHED_KEYS = (  # what of `learn` no weights depend on, but for how a machine rounds
    *("log_every", "save_every", "keep", "evaluate_with"),
    *("device", "threads", "halve_batch"),
)


def _inputs(
    task: Task, dataset: ArtifactRef, training_set: ArtifactRef, start: WarmStart | None
) -> Json:
    """Return what the model depends on; how often to log or save is not part of it.

    Of a model to start from it is what it is, not how it was named.
    """
    learn = task.part("learn")["learn"]
    if learn["start_from"] is not None and start is None:
        where = f"learn.start_from: {learn['start_from']}"
        raise BadInput(
            where, "was not looked up", fix="hand the `WarmStart` that it stands for over"
        )
    learn["start_from"] = start.digest if start is not None else None
    for bystander in UNHASHED_KEYS:
        learn.pop(bystander)
    return {
        "version": task.learn.version,
        "dataset": dataset.digest,
        "training_set": training_set.digest,
        "task": {**task.part(*task.learn.parts), "learn": learn},
    }


def job_folder(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None = None,
) -> Path:
    """Return the folder of this training's checkpoints, which a rerun goes on from."""
    return home.runs / task.name / key_of(_inputs(task, dataset, training_set, start))


def refuse_other(
    task: Task,
    home: Home,
    data: tuple[ArtifactRef, ArtifactRef],
    start: WarmStart | None = None,
    among: Collection[str] | None = None,
) -> None:
    """Pass if training now goes on with the task's latest unfinished training, or that is over.

    Args:
        task: what to learn and how.
        home: where checkpoints are kept.
        data: the dataset and the training set.
        start: the model that `learn.start_from` stands for, if it is set.
        among: names of folders of trainings that count; None: all.

    Raises:
        BadInput: that had other settings or data, each of which is named; or there is none, and no
            model of these settings and data either.
    """
    inputs = _inputs(task, *data, start)
    folder = latest_unfinished(home, task.name, among)
    if folder is not None:
        refuse_changes(folder, inputs)
    elif find_model(task, home, *data, start) is None:
        raise BadInput(
            "resume",
            f"no training of {task.name} was interrupted after a checkpoint",
            fix="leave --resume out: training starts at its beginning",
        )


def find_model(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    start: WarmStart | None = None,
) -> Artifact | None:
    """Return the model already trained from just this, or None."""
    return find(home, STAGE, task.name, digest(_inputs(task, dataset, training_set, start)))


def train(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    listeners: Listeners,
    start: WarmStart | None = None,
) -> Artifact:
    """Train in this process and publish the best weights; go on from a checkpoint if there is one.

    Args:
        task: what to learn and how.
        home: where refs are kept, and checkpoints under `runs/`.
        dataset: with the validation split and the statistics.
        training_set: what is learned from.
        listeners: who records metrics, and who watches.
        start: the model that `learn.start_from` stands for, if it is set.

    Raises:
        TrainingFailed: loss or gradient is not finite.
        BadInput: no episode is long enough, or the model to start from is of another robot.
    """
    folder = job_folder(task, home, dataset, training_set, start)
    folder.mkdir(parents=True, exist_ok=True)
    warn(home.root, listeners[1].say)
    if start is not None and start.note:
        listeners[1].say(start.note)
    note_inputs(folder, _inputs(task, dataset, training_set, start))
    if fetched := bring_checkpoint(folder, INDEX):
        listeners[1].say(f"{fetched} of another machine was fetched")

    built = False

    def build(aside: Path) -> Json:
        nonlocal built
        built = True
        _tell_crew(_GO)
        data = task.learn.open(home, dataset, training_set)
        description = description_of(task, data, dataset.digest)
        text = json.dumps(description, indent=1, allow_nan=False)
        (aside / DESCRIPTION).write_text(f"{text}\n")
        deterministic = determined(on=task.learn.deterministic)
        with logged(task, folder, listeners) as heard, deterministic:
            return _train_into(aside, task, data, folder, heard, start)

    outcome = get_or_build(
        home, STAGE, task.name, _inputs(task, dataset, training_set, start), build
    )
    _tell_crew(_KNOWN) if not built else None
    clear(folder, Kept.of(task.learn))
    return outcome


def follow(
    task: Task, home: Home, data: tuple[ArtifactRef, ArtifactRef], start: WarmStart | None = None
) -> None:
    """Take part in a training that another process leads, see `kinemill.train.ddp`.

    Args:
        task: what to learn and how.
        home: where the data are kept.
        data: the dataset and the training set.
        start: the model that `learn.start_from` stands for, if it is set.
    """
    import torch

    from kinemill.train.ddp import process_group
    from kinemill.train.loop import fit

    learn: Any = task.learn
    if process_group().broadcast() == _KNOWN:
        return
    torch.set_num_threads(learn.threads)
    opened = learn.open(home, *data)
    with determined(on=learn.deterministic):
        module, objective = learn.prepare(task, *opened, pick_device(learn.device), start)
        fit(
            module,
            objective,
            learn,
            job_folder(task, home, *data, start),
            (NullReporter(), NullReporter()),
        )


def _tell_crew(word: bytes) -> None:
    """Tell the processes that follow this one whether there is anything to do."""
    from kinemill.train.ddp import process_group

    process_group().broadcast(word)


def _train_into(
    aside: Path, task: Task, data: Any, folder: Path, listeners: Listeners, start: WarmStart | None
) -> Json:
    import torch
    from safetensors.torch import save_file

    from kinemill.train.memory import peaks

    torch.set_num_threads(task.learn.threads)
    device = pick_device(task.learn.device)
    _tell(task, device, folder, listeners)
    found = task.learn.train(task, data, TrainingContext(folder, listeners, device, start))
    most = ", ".join(f"{name} {value:.2f}" for name, value in peaks(device).items())
    listeners[1].say(f"most memory taken: {most}")
    weights = {name: value.cpu().contiguous() for name, value in found.weights.items()}
    save_file(weights, aside / WEIGHTS)
    (aside / CURVES).write_text(json.dumps(found.history, allow_nan=False) + "\n")
    plot_curves(found.history, found.best_step, aside / "loss.png")
    for name, content in found.files.items():
        (aside / name).write_bytes(content)
    return {
        "started_from": {"address": start.address, "digest": start.digest} if start else None,
        "steps": found.step,
        "best_step": found.best_step,
        "best": found.best,
        "watched": found.watched,
        **found.summary,
    }


def _tell(task: Task, device: Any, folder: Path, listeners: Listeners) -> None:
    """Say in short how a training is set, and keep the whole of it in its folder and tracker."""
    text = config_text(task, device)
    publish_file(folder / CONFIG, text.encode())
    listeners[0].log_text("config", text)
    listeners[1].say(f"{task.name}: {in_short(task.learn)}; the whole of it: {folder / CONFIG}")


def summary_line(summary: Json) -> str:
    """Say in one line how a training ended."""
    return (
        f"{summary['steps']} steps, best {summary['watched']} {summary['best']:.4g} "
        f"at step {summary['best_step']}, {summary['parameters']} parameters"
    )
