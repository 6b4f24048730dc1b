"""Section `models`: each type of model and head trained on the device, against the CPU."""

import math
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks._gpu_cases import MLP, fitted, pendulums, task_of
from benchmarks._gpu_pixels import packed_pushes, pushing_task
from benchmarks._gpu_rows import Bench, NotRun
from kinemill.errors import BadInput
from kinemill.task.document import Task
from kinemill.train.demonstrations import Demonstrations

STEPS = 30
SAME = 1e-2  # relative deviation of the loss after STEPS: other kernels sum in another order
TINY = 1e-7  # deviation where the loss itself is rounding
_ACCELERATION = {"relation": "derivative", "of": "velocity"}
DYNAMICS = {
    **{name: {"model": {"type": name}} for name in ("mlp", "gru", "lstm", "rnn", "transformer")},
    **{name: {"model": {"type": name}} for name in ("polynomial", "latent", "linear", "narx")},
    **{name: {"model": {"type": name}} for name in ("arx", "pnlss")},
    "rigid_body": {"model": {"type": "rigid_body"}, "outputs": {"a": _ACCELERATION}},
    "ensemble of 4": {"model": MLP, "ensemble": 4},
    "rollouts of 8 with noise": {"model": MLP, "horizon": 8, "noise": {"angle": 0.01}},
}
HEADS = ("deterministic", "gaussian_mixture", "diffusion", "flow")
WAYS = {"": {"cuda_graph": "off"}, ", CUDA graph": {"cuda_graph": "on"}}


def measure(bench: Bench) -> None:
    """Train heads of policies, then types of dynamics models."""
    common: dict[str, Any] = {"steps": STEPS, "eval_every": STEPS, "save_every": 10 * STEPS}
    common["log_every"] = 10
    pushes = Demonstrations(packed_pushes(*bench.size((16, 128), (4, 30))))
    for head in HEADS:
        task = partial(pushing_task, bench, {}, **common, head={"type": head})
        _compare(bench, f"policy with a {head} head", pushes, task)
    data = pendulums(*bench.size((16, 128), (4, 60)))
    for name, own in DYNAMICS.items():
        task = partial(task_of, **{"history": 8, "batch_size": 64, **common, **own})
        _compare(bench, name, data, task)


def _compare(bench: Bench, name: str, data: Any, task: Any) -> None:
    """Compare the last loss on the device, with separate steps and a CUDA graph, with the CPU.

    Args:
        bench: where rows go.
        name: of the model.
        data: to learn from.
        task: function of settings of `learn` that returns the task.
    """
    exact = math.nan
    with bench.case(f"{name} on the CPU"):
        exact = _last_loss(data, torch.device("cpu"), task(device="cpu"))
    for way, more in WAYS.items():
        work = f"{name}{way}: loss of {STEPS} steps against the CPU"
        with bench.case(work):
            try:
                loss = _last_loss(data, bench.device, task(device=bench.device.type, **more))
            except BadInput as error:
                if "a CUDA graph cannot hold" not in str(error):
                    raise
                raise NotRun(str(error)) from None
            off = abs(loss / exact - 1.0)
            is_reached = off <= SAME or abs(loss - exact) < TINY
            goal = f"within {SAME:.0%}, or within {TINY:g} of loss"
            bench.row(work, off, "relative", goal=goal, is_reached=is_reached)


def _last_loss(data: Any, device: torch.device, task: Task) -> float:
    with tempfile.TemporaryDirectory() as folder:
        state = fitted(data, device, Path(folder), task)
    return state.history["train/loss"][-1][1]
