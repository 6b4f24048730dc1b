"""The training stage: from a dataset and its training set to published weights."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

from kinemill.errors import BadInput
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Json,
    get_or_build,
    publish_file,
    publish_json,
    to_json_value,
)
from kinemill.store.disk_space import warn
from kinemill.store.home import Home
from kinemill.store.machine import check_processes
from kinemill.store.remote_sync import bring_checkpoint
from kinemill.task import Task, WarmStart
from kinemill.task.own_module import own_code_errors
from kinemill.tracking.metric_logger import logged
from kinemill.train.checkpoint import INDEX, clear
from kinemill.train.context import PORTFOLIO, Listeners, Trained, TrainingContext
from kinemill.train.devices import determined, pick_device
from kinemill.train.resume import key_of, note_inputs
from kinemill.train.run_config import CONFIG, config_text, in_short
from kinemill.train.summary import ModelSummary, StartModel
from kinemill.train.warm_start import CURVES, DESCRIPTION, description_of, write_trained

VERSION = 16
_UNHASHED_KEYS = (  # settings of `learn` that change the weights by rounding at most
    *("log_every", "save_every", "keep", "eval_callback"),
    *("device", "threads", "cuda_graph"),
)


def inputs(
    task: Task, dataset: ArtifactRef, training_set: ArtifactRef, start: WarmStart | None
) -> Json:
    """Return the inputs of the model; they include the digest of a warm start.

    Raises:
        BadInput: `learn.start_from` is set and `start` is not.
    """
    learn = task.part("learn")["learn"]
    if learn["start_from"] is not None and start is None:
        where = f"learn.start_from: {learn['start_from']}"
        raise BadInput(where, "was not resolved", fix="pass the resolved `WarmStart`")
    learn["start_from"] = start.digest if start is not None else None
    learn = {key: value for key, value in learn.items() if key not in _UNHASHED_KEYS}
    return {
        "version": [VERSION, task.learn.version],
        "dataset": dataset.digest,
        "training_set": training_set.digest,
        "task": {**task.part(*task.learn.parts), "learn": learn},
    }


def run(
    task: Task,
    home: Home,
    dataset: ArtifactRef,
    training_set: ArtifactRef,
    listeners: Listeners,
    start: WarmStart | None = None,
) -> Artifact:
    """Train in this process and publish the best weights; resume from a checkpoint if there is one.

    Args:
        task: task with the `learn` part.
        home: home of the artifacts, and of checkpoints under `runs/`.
        dataset: dataset with the validation split and the statistics.
        training_set: training data.
        listeners: tracker and progress.
        start: the model of `learn.start_from`, if it is set.

    Raises:
        TrainingFailed: The loss or a gradient is not finite, memory does not suffice, or a
            checkpoint cannot be written.
        BadInput: No episode is long enough, the start model belongs to another robot, or the
            settings need more cores or memory than this machine has.
    """
    check_processes("learn.threads", task.learn.threads)
    key = inputs(task, dataset, training_set, start)
    folder, progress = home.runs / task.name / key_of(key), listeners[1]
    folder.mkdir(parents=True, exist_ok=True)
    warn(home.root, progress.log_message)
    if start is not None and start.note:
        progress.log_message(start.note)
    note_inputs(folder, key)
    if checkpoint := bring_checkpoint(folder, INDEX):
        progress.log_message(f"fetched {checkpoint} from another machine")
    is_built = False

    def build(staging: Path) -> Json:
        nonlocal is_built
        is_built = True
        _broadcast(b"train")
        data = task.learn.open(home, dataset, training_set)
        if getattr(task.learn, "model", None) is not None:
            publish_json(folder / DESCRIPTION, description_of(task, data, dataset.digest))
        deterministic = determined(on=task.learn.deterministic)
        with logged(task, folder, listeners) as logging, deterministic:
            context = TrainingContext(folder, logging, None, start, (home, dataset))
            trained = _train(task, data, context)
        trained_task = (
            task if trained.learn is None else task.model_copy(update={"learn": trained.learn})
        )
        description = description_of(trained_task, data, dataset.digest)
        write_trained(staging, description, trained.weights)
        return _publish_into(staging, trained, start)

    artifact = get_or_build(home, "model", task.name, key, build)
    if not is_built:
        _broadcast(b"")
    rmtree(folder / PORTFOLIO, ignore_errors=True)
    clear(folder, task.learn.keep)
    return artifact


def _broadcast(message: bytes) -> None:
    """Broadcast whether to train to the other processes of the group; empty: a cache hit."""
    from kinemill.train.ddp import process_group

    process_group().broadcast(message)


def _train(task: Task, data: object, context: TrainingContext) -> Trained:
    import torch

    from kinemill.train.memory import peaks, watch_memory

    torch.set_num_threads(task.learn.threads)
    device = pick_device(task.learn.device)
    folder = context.folder
    tracker, progress = context.listeners
    text = config_text(task, device)
    publish_file(folder / CONFIG, text.encode())
    tracker.log_text("config", text)
    progress.log_message(f"{task.name}: {in_short(task.learn)}; all settings: {folder / CONFIG}")
    with watch_memory(folder, progress, device), own_code_errors():
        trained = task.learn.train(task, data, replace(context, device=device))
    memory = ", ".join(f"{name} {value:.2f}" for name, value in peaks(device).items())
    progress.log_message(f"peak memory: {memory}")
    return trained


def _publish_into(staging: Path, trained: Trained, start: WarmStart | None) -> Json:
    from kinemill.train.curves import draw_curves

    (staging / CURVES).write_text(json.dumps(trained.history, allow_nan=False) + "\n")
    curves = draw_curves(trained.history, trained.best_step)
    (staging / "loss.png").write_bytes(curves.png())
    for name, content in trained.files.items():
        (staging / name).write_bytes(content)
    summary = ModelSummary(
        **vars(trained.facts),
        monitor=trained.monitor,
        best=trained.best,
        steps=trained.step,
        best_step=trained.best_step,
        started_from=StartModel.of(start),
    )
    return to_json_value(summary)
