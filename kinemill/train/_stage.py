"""The training stage: from a dataset and its training set to published weights."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

from kinemill.dataset import PackedDataset, load_dataset
from kinemill.errors import BadInput
from kinemill.home import Home
from kinemill.spec.ports import Progress, Tracker
from kinemill.spec.task import Task
from kinemill.store import Json, Outcome, Ref, digest, find, once

VERSION = 1
STAGE = "model"
WEIGHTS, DESCRIPTION, CURVES = "weights.safetensors", "model.json", "history.json"


def _inputs(task: Task, dataset: Ref, training_set: Ref) -> Json:
    """Return what the model depends on; how often to log or save is not part of it."""
    learn = task.part("learn")["learn"]
    for bystander in ("log_every", "save_every", "device", "threads"):
        learn.pop(bystander)
    return {
        "version": VERSION,
        "dataset": dataset.digest,
        "training_set": training_set.digest,
        "task": {**task.part("dt", "channels"), "learn": learn},
    }


def job_folder(task: Task, home: Home, dataset: Ref, training_set: Ref) -> Path:
    """Return the folder of this training's checkpoints, which a rerun goes on from."""
    return home.runs / task.name / digest(_inputs(task, dataset, training_set))[:32]


def find_model(task: Task, home: Home, dataset: Ref, training_set: Ref) -> Outcome | None:
    """Return the model already trained from just this, or None."""
    return find(home, STAGE, task.name, digest(_inputs(task, dataset, training_set)))


def train(
    task: Task,
    home: Home,
    dataset: Ref,
    training_set: Ref,
    listeners: tuple[Tracker, Progress],
) -> Outcome:
    """Train in this process and publish the best weights; go on from a checkpoint if there is one.

    Args:
        task: what to learn and how.
        home: where refs are kept, and checkpoints under `runs/`.
        dataset: with the validation split and the statistics.
        training_set: what is learned from.
        listeners: who records metrics, and who watches.

    Raises:
        TrainingFailed: loss or gradient is not finite.
        BadInput: no episode is long enough.
    """
    folder = job_folder(task, home, dataset, training_set)
    folder.mkdir(parents=True, exist_ok=True)

    def build(aside: Path) -> Json:
        data = load_dataset(home, dataset), load_dataset(home, training_set)
        return _train_into(aside, task, data, folder, listeners, dataset.digest)

    outcome = once(home, STAGE, task.name, _inputs(task, dataset, training_set), build)
    shutil.rmtree(folder)
    return outcome


def _train_into(
    aside: Path,
    task: Task,
    data: tuple[PackedDataset, PackedDataset],
    folder: Path,
    listeners: tuple[Tracker, Progress],
    dataset_digest: str,
) -> Json:
    import torch
    from safetensors.torch import save_file

    from kinemill.train.loop import fit

    learn: Any = task.learn
    torch.set_num_threads(learn.threads)
    device = pick_device(learn.device)
    module, objective = learn.prepare(task, *data, device)
    parameters = sum(value.numel() for value in module.parameters())
    listeners[0].log_params(_flat(task.part("learn")) | {"parameters": parameters})
    listeners[1].say(f"{parameters} parameters, {objective.windows} windows, {device}")
    state, best = fit(module, objective, learn, folder, listeners)
    save_file({name: value.cpu().contiguous() for name, value in best.items()}, aside / WEIGHTS)
    description = _describe(task, module.layout, data[0], dataset_digest)
    (aside / DESCRIPTION).write_text(json.dumps(description, indent=1, allow_nan=False) + "\n")
    (aside / CURVES).write_text(json.dumps(state.history, allow_nan=False) + "\n")
    _plot(state.history, state.best_step, aside / "loss.png")
    return {
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


def _describe(task: Task, layout: Any, dataset: PackedDataset, dataset_digest: str) -> Json:
    return {
        "format": 1,
        "task": task.name,
        "dataset": dataset_digest,
        "units": {name: task.channels[name].unit for name in task.columns},
        "limits": {name: task.channels[name].limits for name in task.columns},
        "train_std": dict(zip(dataset.columns, dataset.std.tolist(), strict=True)),
        "learn": task.part("learn")["learn"],
        "layout": {
            **{name: list(getattr(layout, name)) for name in ("states", "actions", "angles")},
            "outputs": [[name, output.model_dump()] for name, output in layout.outputs],
            "history": layout.history,
            "dt": layout.dt,
            "drift": layout.drift.tolist(),
            "gain": layout.gain.tolist(),
        },
    }


def load_model(folder: Path) -> Any:
    """Rebuild the trained step from its folder, on the CPU, in evaluation mode.

    Returns:
        A `kinemill.train.step.Step`.
    """
    import numpy as np
    from safetensors.torch import load_file

    from kinemill.spec.plugins import MODELS
    from kinemill.store import read_json
    from kinemill.train.layout import Layout, Output
    from kinemill.train.step import SCALES, Step

    description = read_json(folder / DESCRIPTION)
    raw = description["layout"]
    layout = Layout(
        states=tuple(raw["states"]),
        actions=tuple(raw["actions"]),
        angles=tuple(raw["angles"]),
        outputs=tuple((name, Output(**output)) for name, output in raw["outputs"]),
        history=raw["history"],
        dt=raw["dt"],
        drift=np.array(raw["drift"]),
        gain=np.array(raw["gain"]),
    )
    settings: Any = MODELS[description["learn"]["model"]["type"]]
    settings = settings.model_validate(description["learn"]["model"])
    network = settings.build(layout.features, len(layout.outputs), layout.history)
    weights = load_file(folder / WEIGHTS)
    module = Step(layout, network, {name: weights[name] for name in SCALES})
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
