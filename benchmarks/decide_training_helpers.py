"""Compare our EMA, checkpoints and training step with Lightning Fabric and torch's own helpers.

    python -m benchmarks.decide_training_helpers

Lightning Fabric is not a dependency; install `lightning-fabric` into the environment to measure it.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kinemill.train.checkpoint import read_checkpoint, write_checkpoint
from kinemill.train.ema import Average

STEPS, ROUNDS, KILLS = 300, 7, 20
HAS_FABRIC = find_spec("lightning_fabric") is not None


def make_net() -> nn.Module:
    torch.manual_seed(0)
    layers = [nn.Linear(60, 128), nn.Tanh(), nn.Linear(128, 128), nn.Tanh(), nn.Linear(128, 4)]
    return nn.Sequential(*layers)


def batch_of(step: int) -> Tensor:
    return torch.randn(256, 60, generator=torch.Generator().manual_seed(step))


def make_fabric() -> Any:
    from lightning_fabric import Fabric

    return Fabric(accelerator="cpu", devices=1)


def make_step(kind: str) -> Callable[[int, Tensor], None]:
    """Return one training step, with the helper named."""
    net = make_net()
    optimizer: Any = torch.optim.AdamW(net.parameters(), fused=True)
    fabric = make_fabric() if kind == "fabric" else None
    if fabric is not None:
        net, optimizer = fabric.setup(net, optimizer)
    average = Average(net, 0.999) if kind == "our EMA" else None
    averaged = None
    if kind == "torch EMA":
        averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def step(number: int, batch: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = net(batch).square().mean()
        fabric.backward(loss) if fabric is not None else loss.backward()
        optimizer.step()
        if average is not None:
            average.update(number + 1)
        if averaged is not None:
            averaged.update_parameters(net)

    return step


def step_times() -> None:
    """Print the median CPU time of a training step for each helper."""
    kinds = ["plain torch", "our EMA", "torch EMA", *(["fabric"] if HAS_FABRIC else [])]
    steps = {kind: make_step(kind) for kind in kinds}
    batches = [batch_of(number) for number in range(STEPS)]
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(ROUNDS):  # alternating, so that other load of the machine is shared
        for kind, step in steps.items():
            began = time.thread_time()
            for number, batch in enumerate(batches):
                step(number, batch)
            times[kind].append((time.thread_time() - began) / STEPS)
    for kind, values in times.items():
        print(f"step time, {kind}: {median(values) * 1e6:.0f} us")


def bias_of_ema() -> None:
    """Print the error of both averages for a weight that converges to 1 within 50 steps."""
    net = nn.Linear(1, 1, bias=False)
    average = Average(net, 0.999)
    averaged = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.999))
    for step in range(1, 501):
        net.weight.data.fill_(1.0 + 0.9**step)
        average.update(step)
        averaged.update_parameters(net)
    ours, theirs = average.values["weight"], averaged.module.weight
    print(f"EMA error after 500 steps: ours {ours.item() - 1:.4f}, torch {theirs.item() - 1:.4f}")


def save_forever(folder: Path, kind: str) -> None:
    """Train and save a checkpoint at every step until killed."""
    net = make_net()
    optimizer = torch.optim.AdamW(net.parameters())
    fabric = make_fabric() if kind == "fabric" else None
    print("ready", flush=True)
    for step in range(1_000_000):
        net(batch_of(step % 7)).square().mean().backward()
        optimizer.step()
        if kind == "ours":
            write_checkpoint(folder, {"weights": dict(net.state_dict())}, {"step": step})
        elif fabric is not None:
            fabric.save(folder / "last.ckpt", {"net": net, "optimizer": optimizer, "step": step})
        else:
            state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
            torch.save(state, folder / "last.ckpt")


def is_readable(folder: Path, kind: str) -> bool:
    if kind == "ours":
        return read_checkpoint(folder) is not None
    try:
        with ZipFile(folder / "last.ckpt") as file:  # the container of torch.save
            return file.testzip() is None
    except (OSError, BadZipFile):
        return False


def kills(kind: str) -> None:
    """Print after how many of KILLS SIGKILLs the last checkpoint is readable."""
    readable = 0
    for number in range(KILLS):
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, "-m", "benchmarks.decide_training_helpers", kind, name]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                time.sleep(0.3 + 0.0131 * number)
                os.kill(process.pid, signal.SIGKILL)
            readable += is_readable(Path(name), kind)
    print(f"readable after SIGKILL, {kind}: {readable} of {KILLS}")


def main() -> None:
    torch.set_num_threads(1)
    if len(sys.argv) > 2:
        save_forever(Path(sys.argv[2]), sys.argv[1])
        return
    step_times()
    bias_of_ema()
    for kind in ("ours", "torch", *(["fabric"] if HAS_FABRIC else [])):
        kills(kind)


if __name__ == "__main__":
    main()
