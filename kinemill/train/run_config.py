"""Configuration of a run: summary line, stored file, parameters for trackers, and curves."""

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from kinemill.store import Json
from kinemill.store.provenance import git_commit
from kinemill.task.document import Task
from kinemill.task.learn import Learn

CONFIG = "config.yaml"
_PACKAGES = ("kinemill", "torch", "numpy", "pydantic", "safetensors")
_BROUGHT = ("return", "success", "length")  # what an episode comes to, as curves are named


def config_text(task: Task, device: object) -> str:
    """Return YAML with the resolved task, versions, device and platform."""
    learn = task.learn
    run = {
        "device": _named(device),
        "threads": learn.threads,
        "seed": learn.seed,
        "deterministic": learn.deterministic,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    whole = {"run": run, "task": task.model_dump(mode="json", by_alias=True)}
    return yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def in_short(learn: Learn) -> str:
    """Return the main settings of a training in one line."""
    batch, algorithm = f"batch {learn.batch_size}", getattr(learn, "algorithm", None)
    parts = [
        f"{learn.type}{_model_in(learn)}",
        *([algorithm.type] if algorithm is not None else []),
        f"{learn.optimizer.type} at {learn.optimizer.lr:g}, {learn.schedule.type}",
        f"{batch} x {learn.accumulate}" if learn.accumulate > 1 else batch,
        f"{learn.steps} steps",
        *([f"ema {learn.ema:g}"] if learn.ema is not None else []),
        *([f"amp {learn.amp}"] if learn.amp != "off" else []),
        *(["deterministic"] if learn.deterministic else []),
        f"seed {learn.seed}",
    ]
    return ", ".join(parts)


def _model_in(learn: Any) -> str:
    if not hasattr(learn, "model"):
        return ""
    return f" with {learn.model.type}" if learn.model else f", portfolio of {learn.budget:g} s"


def _named(device: Any) -> str:
    import torch

    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def dotted(value: object, prefix: str = "") -> Json:
    """Return nested settings as dotted keys, as MLflow lists them."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= dotted(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def plot_curves(history: Json, best_step: int, path: Path) -> None:
    """Plot errors and returns of a training; equal curves give equal bytes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curves = ("train/", "validation/", "evaluation/")
    curves_shown = [name for name in history if name.startswith(curves)]
    brought = [name for name in curves_shown if name.rpartition("/")[2] in _BROUGHT]
    panels = [(names, label) for names, label in _panels(curves_shown, brought) if names]
    size, count = (7, 3.5 * max(1, len(panels))), max(1, len(panels))
    figure, all_axes = plt.subplots(count, figsize=size, layout="constrained", squeeze=False)
    for axes, (names, label) in zip(all_axes[:, 0], panels, strict=False):
        draw = axes.plot if names is brought else axes.semilogy
        for name in names:
            steps, values = zip(*history[name], strict=True)
            draw(steps, [math.nan if v is None else v for v in values], label=name, lw=1.4)
        axes.axvline(best_step, color="0.6", lw=1, ls="--", label=f"best, step {best_step}")
        axes.set(xlabel="step", ylabel=label)
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.2)
    # No creation date in the file, so that equal curves are equal bytes.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _panels(curves_shown: list[str], brought: list[str]) -> list[tuple[list[str], str]]:
    errors = [name for name in curves_shown if name not in brought]
    return [(errors, "error, in spreads of the channel"), (brought, "of an episode")]
