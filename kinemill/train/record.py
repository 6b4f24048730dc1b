"""What a run was: its whole configuration, printed in short, stored, and shown by trackers."""

import math
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

import kinemill
from kinemill.spec.task import Task

CONFIG = "config.yaml"
_PACKAGES = ("kinemill", "torch", "numpy", "pydantic", "safetensors")


def config_text(task: Task, device: Any) -> str:
    """Return YAML: the whole task as this run took it, with defaults and overrides, and on what."""
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


def in_short(learn: Any) -> str:
    """Say in one line how a training is set."""
    batch = f"batch {learn.batch_size}"
    parts = [
        f"{learn.type} with {learn.model.type}" if hasattr(learn, "model") else learn.type,
        f"{learn.optimizer.type} at {learn.optimizer.lr:g}, {learn.schedule.type}",
        f"{batch} x {learn.accumulate}" if learn.accumulate > 1 else batch,
        f"{learn.steps} steps",
        *([f"ema {learn.ema:g}"] if learn.ema is not None else []),
        *([f"amp {learn.amp}"] if learn.amp != "off" else []),
        *(["deterministic"] if learn.deterministic else []),
        f"seed {learn.seed}",
    ]
    return ", ".join(parts)


def git_commit() -> str | None:
    """Return the commit of the checkout that this kinemill is in, `-dirty` if changed; or None."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=Path(kinemill.__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:  # there is no git
        return None
    return done.stdout.strip() or None


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


def dotted(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings as dotted keys, as MLflow lists them."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= dotted(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def plot_curves(history: dict[str, Any], best_step: int, path: Path) -> None:
    """Draw the curves of a training; equal curves are equal bytes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for name, series in history.items():
        if name.startswith(("train/", "validation/")):
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
