"""Configuration of a run: summary line, stored file, and parameters for trackers."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kinemill.store import Json, digest
from kinemill.store.provenance import git_commit
from kinemill.task import Learn, Task
from kinemill.task.settings import leaves
from kinemill.task.yaml import dump_yaml

CONFIG = "config.yaml"
_PACKAGES = ("kinemill", "torch", "numpy", "pydantic", "safetensors")


def config_text(task: Task, device: object) -> str:
    """Return the content of `config.yaml`: the resolved task, versions, device and platform."""
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
    return dump_yaml(whole)


def in_short(learn: Learn) -> str:
    """Return the main settings of a training in one line."""
    batch = f"batch {learn.batch_size}"
    algorithm = getattr(learn, "algorithm", None)
    parts = [
        f"{learn.type}{_model_in(learn)}",
        *([algorithm.type] if algorithm is not None else []),
        f"{learn.optimizer.type} at {learn.optimizer.lr:g}, {learn.schedule.type}",
        f"{batch} x {learn.accumulate}" if learn.accumulate > 1 else batch,
        f"{learn.steps} steps" if learn.epochs is None else f"{learn.epochs} epochs",
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


def dotted(settings: Json) -> Json:
    """Return nested settings as dotted keys for MLflow; custom code is replaced by its digest."""
    return {
        key: digest(value) if key.endswith(".source") and isinstance(value, str) else value
        for key, value in leaves(settings)
    }
