"""The training stage: from a dataset and its training set to published weights."""

import json
import math
import shutil
from pathlib import Path
from typing import Any, cast

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.spec.ports import Progress, Start, Tracker
from kinemill.spec.task import Task
from kinemill.store import Json, Outcome, Ref, digest, find, once
from kinemill.train.start import DESCRIPTION, FORMAT, WEIGHTS, described

VERSION = 3
STAGE = "model"
CURVES = "history.json"


def _inputs(task: Task, dataset: Ref, training_set: Ref, start: Start | None) -> Json:
    """Return what the model depends on; how often to log or save is not part of it.

    Of a model to start from it is what it is, not how it was named.
    """
    learn = task.part("learn")["learn"]
    if learn["start_from"] is not None and start is None:
        where = f"learn.start_from: {learn['start_from']}"
        raise BadInput(where, "was not looked up", fix="hand the `Start` that it stands for over")
    learn["start_from"] = start.digest if start is not None else None
    for bystander in ("log_every", "save_every", "device", "threads"):
        learn.pop(bystander)
    return {
        "version": VERSION,
        "dataset": dataset.digest,
        "training_set": training_set.digest,
        "task": {**task.part("dt", "channels"), "learn": learn},
    }


def job_folder(
    task: Task, home: Home, dataset: Ref, training_set: Ref, start: Start | None = None
) -> Path:
    """Return the folder of this training's checkpoints, which a rerun goes on from."""
    return home.runs / task.name / digest(_inputs(task, dataset, training_set, start))[:32]


def find_model(
    task: Task, home: Home, dataset: Ref, training_set: Ref, start: Start | None = None
) -> Outcome | None:
    """Return the model already trained from just this, or None."""
    return find(home, STAGE, task.name, digest(_inputs(task, dataset, training_set, start)))


def train(
    task: Task,
    home: Home,
    dataset: Ref,
    training_set: Ref,
    listeners: tuple[Tracker, Progress],
    start: Start | None = None,
) -> Outcome:
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

    def build(aside: Path) -> Json:
        data = load_dataset(home, dataset), load_dataset(home, training_set)
        description = _describe(task, data, dataset.digest)
        text = json.dumps(description, indent=1, allow_nan=False)
        (aside / DESCRIPTION).write_text(f"{text}\n")
        return _train_into(aside, task, data, folder, listeners, start)

    outcome = once(home, STAGE, task.name, _inputs(task, dataset, training_set, start), build)
    shutil.rmtree(folder)
    return outcome


def _train_into(
    aside: Path,
    task: Task,
    data: tuple[PackedDataset, PackedDataset],
    folder: Path,
    listeners: tuple[Tracker, Progress],
    start: Start | None,
) -> Json:
    import torch
    from safetensors.torch import save_file

    from kinemill.train.loop import fit

    learn: Any = task.learn
    torch.set_num_threads(learn.threads)
    device = pick_device(learn.device)
    module, objective = learn.prepare(task, *data, device, start)
    parameters = sum(value.numel() for value in module.parameters())
    listeners[0].log_params(_flat(task.part("learn")) | {"parameters": parameters})
    listeners[1].say(f"{parameters} parameters, {objective.windows} windows, {device}")
    state, best = fit(module, objective, learn, folder, listeners)
    save_file({name: value.cpu().contiguous() for name, value in best.items()}, aside / WEIGHTS)
    (aside / CURVES).write_text(json.dumps(state.history, allow_nan=False) + "\n")
    _plot(state.history, state.best_step, aside / "loss.png")
    return {
        "started_from": {"address": start.address, "digest": start.digest} if start else None,
        "parameters": parameters,
        "windows": objective.windows,
        "steps": state.step,
        "best_step": state.best_step,
        "best": state.best,
        "watched": objective.watched,
        "train_loss": state.history["train/loss"][-1][1],
    }


def pick_device(wanted: str) -> Any:
    """Return the torch device: the one wanted, or for `auto` a CUDA GPU if there is one.

    Raises:
        BadInput: the one wanted is not there.
    """
    import torch

    found = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        wanted = "cuda" if found["cuda"] else "cpu"
    if not found[wanted]:
        raise BadInput(
            "learn.device",
            f"{wanted}, which torch {torch.__version__} does not find on this machine",
            expected=" or ".join(["auto", *(name for name, there in found.items() if there)]),
            fix="`kinemill doctor` says which torch and which GPU there are",
        )
    return torch.device(wanted)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted keys, as MLflow lists them."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _describe(task: Task, data: tuple[PackedDataset, PackedDataset], dataset_digest: str) -> Json:
    """Return what `load_model` needs beside the weights, and what an exported model says."""
    from kinemill.train.layout import layout_of

    dataset, learn = data[0], cast(Any, task.learn)
    about: Json = {
        "task": task.name,
        "dataset": dataset_digest,
        "units": {name: task.channels[name].unit for name in task.columns},
        "limits": {name: task.channels[name].limits for name in task.columns},
        "train_std": dict(zip(dataset.columns, dataset.std.tolist(), strict=True)),
        "learn": task.part("learn")["learn"],
        "layout": layout_of(task).to_json(),
        "robots": list(learn.robots_in(data[1])),
    }
    return FORMAT.stamp(about)


def load_model(folder: Path) -> Any:
    """Rebuild the trained step from its folder, on the CPU, in evaluation mode.

    Returns:
        A `kinemill.train.step.Step`, or a `kinemill.train.ensemble.Ensemble` of some.
    """
    from safetensors.torch import load_file

    from kinemill.spec.plugins import OBJECTIVES
    from kinemill.train.assembling import assemble, scale_in
    from kinemill.train.layout import Layout

    description = described(folder)
    layout = Layout.from_json(description["layout"])
    learn = OBJECTIVES[description["learn"]["type"]].model_validate(description["learn"])
    weights = load_file(folder / WEIGHTS)
    module = assemble(learn, layout, scale_in(weights), len(description["robots"]))
    module.load_state_dict(weights)
    return module.eval()


def _plot(history: dict[str, Any], best_step: int, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name, series in history.items():
        if name != "lr":
            steps, values = zip(*series, strict=True)
            shown = [math.nan if value is None else value for value in values]
            axes.semilogy(steps, shown, label=name, lw=1.4)
    axes.axvline(best_step, color="0.6", lw=1, ls="--", label=f"best, step {best_step}")
    axes.set(xlabel="step", ylabel="error, in spreads of the channel")
    axes.legend(frameon=False, fontsize=8)
    axes.grid(alpha=0.2)
    # No creation date in the file, so that equal curves are equal bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def summary_line(summary: Json) -> str:
    """Say in one line how a training ended."""
    return (
        f"{summary['steps']} steps, best {summary['watched']} {summary['best']:.4g} "
        f"at step {summary['best_step']}, {summary['parameters']} parameters"
    )
