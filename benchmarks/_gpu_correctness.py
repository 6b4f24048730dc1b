"""Section `correctness`: resume, mixed precision, process groups and memory on the device.

`python -m benchmarks._gpu_correctness FOLDER SETTINGS` is a training in a separate process, which a
check kills or joins. With `WORLD_SIZE` in the environment it is one of several processes; with
GROUP_OF_ONE it creates its own process group.
"""

import gc
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks import ROOT
from benchmarks._gpu_cases import MLP, QUIET, WIDE, fitted, pendulums, task_of
from benchmarks._gpu_rows import Bench, NotRun
from benchmarks._servers import free_port
from kinemill.errors import TrainingFailed
from kinemill.task.protocols import NullReporter
from kinemill.train.checkpoint import checkpoints
from kinemill.train.ddp import joined
from kinemill.train.devices import determined
from kinemill.train.loop import fit

CLOSE = 0.05  # relative deviation of the mean loss of a training in low precision
NEAR = 2e-4  # deviation of weights between one process and two: sums in another order
LEAK = 2.0  # MiB of device memory that may stay
PATIENCE = 40.0  # s for one process
RESULT = "result.safetensors"
GROUP_OF_ONE = "GROUP_OF_ONE"


def measure(bench: Bench) -> None:
    """Run every check; each is a case of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _check_cancel(bench, folder)
        _check_out_of_memory(bench, folder)
        _check_groups(bench, folder)
        _check_kill(bench, folder)
        _check_resume(bench, folder)
        _check_precision(bench, folder)


def _device(bench: Bench) -> str:
    return bench.device.type


def _size(bench: Bench) -> tuple[int, int]:
    return bench.size((64, 256), (4, 60))


# --- resume -------------------------------------------------------------------------------------


def _check_resume(bench: Bench, folder: Path) -> None:
    """SIGKILL in the middle of deterministic trainings, and compare the resumed weights."""
    steps = bench.size(200, 60)
    common = {"deterministic": True, "steps": steps, "batch_size": 32}
    common |= {"save_every": 10, "log_every": 5, "eval_every": 20, "ema": 0.9}
    common |= {"device": _device(bench), "size": _size(bench)}
    started = dict[str, tuple[Any, ...]]()
    # Processes need seconds to start, so all start together.
    for name, more in {"float32": {}, "CUDA graph, AMP bf16, dropout": _DROPPED}.items():
        settings, where = common | more, (folder / f"{name}-whole", folder / f"{name}-cut")
        started[name] = settings, where, [_start(one, settings) for one in where]
    with ThreadPoolExecutor() as pool:
        kills = {
            name: pool.submit(_kill_at, one[2][1], steps // 3) for name, one in started.items()
        }
    for name, (settings, (whole, cut), (other, _)) in started.items():
        work = f"resume after SIGKILL, {name}: same weights, bit by bit"
        with bench.case(work):
            reached = kills[name].result()
            written = len(checkpoints(cut))
            resumed = _finish(_start(cut, settings))
            _finish(other)
            one, two = load_file(whole / RESULT), load_file(cut / RESULT)
            apart = max(float((one[key] - two[key]).abs().max()) for key in one)
            same = all(torch.equal(one[key], two[key]) for key in one)
            went_on = written > 0 and resumed and resumed[0] > reached - 10
            note = f"killed at step {reached}, went on at {resumed[0] if resumed else '-'}"
            goal = "difference 0"
            reached_goal = same and bool(went_on)
            bench.row(work, apart, "weights", goal=goal, is_reached=reached_goal, note=note)


_DROPPED = {"cuda_graph": "on", "amp": "bf16", "model": MLP | {"dropout": 0.1}}


class _Loud(NullReporter):
    """Prints each step."""

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Print the step."""
        del stage, total, note
        print(done, flush=True)


def main(folder: Path, settings: dict[str, Any]) -> None:
    """Train with these settings of `learn`, and write the weights; `size` is that of the data."""
    folder.mkdir(parents=True, exist_ok=True)
    data = pendulums(*settings.pop("size"))
    task = task_of(**settings)
    learn: Any = task.learn
    torch.set_num_threads(1)
    if GROUP_OF_ONE in os.environ:
        torch.distributed.init_process_group("nccl" if learn.device == "cuda" else "gloo")
    with determined(on=learn.deterministic), joined(learn.device) as own:
        device = torch.device(learn.device)
        module, objective = learn.prepare(task, data, data, device)
        if torch.distributed.is_initialized():  # also a group of one: its communicator has to work
            one = torch.ones(8, device=device)
            torch.distributed.all_reduce(one)
            assert float(one.sum()) == 8.0 * own.size
        fit(module, objective, learn, folder, (NullReporter(), _Loud()))
        weights = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
        if own.is_rank_zero:
            save_file(weights, str(folder / RESULT))


def _start(folder: Path, settings: dict[str, Any], **world: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "benchmarks._gpu_correctness",
        str(folder),
        json.dumps(settings),
    ]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | world,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str], seconds: float = PATIENCE) -> list[int]:
    """Wait for a process, and return the steps that it printed.

    Raises:
        RuntimeError: It failed or takes too long; the message is its last line.
    """
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        raise RuntimeError((err.strip().splitlines() or [""])[-1])
    return [int(line) for line in out.split() if line.isdigit()]


def _kill_at(
    process: subprocess.Popen[str], step: int, look: Callable[[], object] = lambda: None
) -> int:
    """Send SIGKILL at the first step from `step` on; return the step that was reached.

    Args:
        process: a training.
        step: at which to send the signal.
        look: called just before.
    """
    assert process.stdout is not None
    reached = 0
    for line in process.stdout:
        reached = int(line) if line.strip().isdigit() else reached
        if reached >= step:
            break
    look()
    process.kill()
    process.communicate()
    return reached


# --- precision ----------------------------------------------------------------------------------


def _check_precision(bench: Bench, folder: Path) -> None:
    """Compare the losses of low precision with float32, over a whole training."""
    data = pendulums(*_size(bench))
    steps = bench.size(400, 20)
    common = {"steps": steps, "eval_every": steps, "save_every": 10 * steps, "batch_size": 64}
    common |= _DIRECT
    products = {f"matmul {way}": {"matmul": way} for way in ("high", "medium")}
    for name, own, ways in (
        ("MLP 3x64", {"model": MLP}, _LOWERED | _GRAPHS),
        ("MLP 3x64, SGD", _SGD, {"CUDA graph": _GRAPH}),
        ("MLP 2x512", {"model": WIDE}, products),
    ):
        exact = math.nan
        with bench.case(f"{name}, float32: mean loss"):
            exact = _mean_loss(bench, data, folder / f"{name}-exact", **own, **common)
            bench.row(f"{name}, float32: mean loss", exact, "loss")
        for way, settings in ways.items():
            work = f"{name}, {way}: mean loss against float32"
            with bench.case(work):
                more = {**own, **common, **settings}
                loss = _mean_loss(bench, data, folder / work.replace("/", "-"), **more)
                off = abs(loss / exact - 1.0)
                goal = f"within {CLOSE:.0%}"
                bench.row(work, off, "relative", goal=goal, is_reached=off <= CLOSE)


_DIRECT, _GRAPH = {"cuda_graph": "off"}, {"cuda_graph": "on"}
_LOWERED = {f"AMP {way}": {"amp": way} for way in ("bf16", "fp16")}
_GRAPHS = {"CUDA graph": _GRAPH, "CUDA graph, AMP fp16": _GRAPH | {"amp": "fp16"}}
_SGD = {"model": MLP, "optimizer": {"type": "sgd"}}


def _mean_loss(bench: Bench, data: Any, folder: Path, **settings: Any) -> float:
    state = fitted(data, bench.device, folder, task_of(device=_device(bench), **settings))
    losses = [value for _, value in state.history["train/loss"]]
    return sum(losses) / len(losses)


# --- process groups -----------------------------------------------------------------------------


def _check_groups(bench: Bench, folder: Path) -> None:
    """Train in process groups of one, with NCCL on a GPU, and of two on one device."""
    backend = "gloo" if bench.is_toy else "NCCL"
    settings = {"steps": bench.size(200, 20), "batch_size": 33, "device": _device(bench)}
    settings |= {"log_every": 5, "save_every": 1000, "size": _size(bench)}
    alone = folder / "alone"
    with bench.case(f"{backend}, one process"):
        world = {GROUP_OF_ONE: "1"}
        _finish(_start(alone, dict(settings), **_world(1, 0, free_port()), **world))
        bench.row(f"{backend}, one process", None, "", goal="trains", is_reached=True)
    work = "gloo, two processes on one device: weights against one process"
    with bench.case(work):
        port = free_port()
        started = [
            _start(folder / f"rank{rank}", dict(settings), **_world(2, rank, port))
            for rank in range(2)
        ]
        if first := _first_error(started):
            raise RuntimeError(first)
        one, two = load_file(alone / RESULT), load_file(folder / "rank0" / RESULT)
        apart = max(float((one[key] - two[key]).abs().max()) for key in one)
        goal = f"at most {NEAR:g}"
        bench.row(work, apart, "weights", goal=goal, is_reached=apart <= NEAR)


def _first_error(processes: list[subprocess.Popen[str]]) -> str:
    """Wait for processes that need each other; return the error of the first that fails."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE and all(one.poll() is None for one in processes):
        time.sleep(0.1)
    try:
        for process in sorted(processes, key=lambda one: one.returncode is None):
            _finish(process, PATIENCE - (time.monotonic() - began))
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        for process in processes:
            process.kill()
    return ""


def _world(size: int, rank: int, port: int) -> dict[str, str]:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {"WORLD_SIZE": str(size), "RANK": str(rank), "LOCAL_RANK": str(rank), **address}


# --- memory -------------------------------------------------------------------------------------


def _check_cancel(bench: Bench, folder: Path) -> None:
    """Cancel a training in this process, and look at what torch still holds.

    cuBLAS keeps its workspace after the first training, so the second is measured.
    """
    work = "device memory after a canceled training"
    with bench.case(work):
        _canceled(bench, folder / "first")
        allocated_before = _allocated_mib(bench)
        _canceled(bench, folder / "canceled")
        leaked = _allocated_mib(bench) - allocated_before
        bench.row(work, leaked, "MiB", goal=f"at most {LEAK:g}", is_reached=leaked <= LEAK)


def _canceled(bench: Bench, folder: Path) -> None:
    class Canceling(NullReporter):
        def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
            del stage, total, note
            if done >= 20:
                raise KeyboardInterrupt

    data = pendulums(*_size(bench))
    task = task_of(steps=100, log_every=10, batch_size=64, device=_device(bench))
    learn: Any = task.learn
    module, objective = learn.prepare(task, data, data, bench.device)
    try:
        fit(module, objective, task.learn, folder, (NullReporter(), Canceling()))
    except KeyboardInterrupt:
        return
    message = "the training was not canceled"
    raise RuntimeError(message)


def _allocated_mib(bench: Bench) -> float:
    """Return the MiB of device memory that tensors of this process hold; 0 on a CPU."""
    gc.collect()
    if bench.is_toy:
        return 0.0
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    return torch.cuda.memory_allocated() / 2**20


def _check_kill(bench: Bench, folder: Path) -> None:
    """SIGKILL a training in another process, and look at the free memory of the card."""
    work = "device memory after SIGKILL of a training"
    with bench.case(work):
        if bench.is_toy:
            message = "a CPU has no memory of its own"
            raise NotRun(message)
        free_before, _ = torch.cuda.mem_get_info()
        used = list[float]()

        def look() -> None:
            used.append((free_before - torch.cuda.mem_get_info()[0]) / 2**20)

        settings = {"steps": 100_000, "log_every": 5, "device": "cuda", "size": _size(bench)}
        _kill_at(_start(folder / "killed", settings), 10, look)
        began = time.monotonic()
        look()
        # The driver frees it after the process has ended.
        while used[-1] > 32.0 and time.monotonic() - began < 10.0:
            time.sleep(0.1)
            look()
        leaked = used[-1]
        note = f"{used[0]:.0f} MiB at the signal, {time.monotonic() - began:.1f} s until free"
        bench.row(work, leaked, "MiB", goal="at most 32", is_reached=leaked <= 32.0, note=note)


def _check_out_of_memory(bench: Bench, folder: Path) -> None:
    """Run out of memory.

    The first time is not measured, as in `_check_cancel`.
    """
    with bench.case("out of memory, first time"):
        _out_of_memory(bench, folder / "memory")
    work = "out of memory"
    with bench.case(work):
        allocated_before = _allocated_mib(bench)
        failure = _out_of_memory(bench, folder / work)
        leaked = _allocated_mib(bench) - allocated_before
        is_right = "out of memory with" in failure and "windows per micro-batch" in failure
        goal = f"a message with sizes, at most {LEAK:g} MiB left"
        bench.row(
            work,
            leaked,
            "MiB",
            goal=goal,
            is_reached=is_right and leaked <= LEAK,
            note=failure[:200],
        )


def _out_of_memory(bench: Bench, folder: Path) -> str:
    """Train where only an eighth of the batch fits; return the error."""
    size = bench.size(65_536, 64)
    data = pendulums(*bench.size((512, 256), (4, 60)))
    task = task_of(device=_device(bench), eval_every=4, batch_size=size, steps=4, horizon=16)
    learn: Any = task.learn
    module, objective = learn.prepare(task, data, data, bench.device)
    with _limited(bench, objective, size // 8) as limited:
        try:
            fit(module, limited, task.learn, folder, QUIET)
        except TrainingFailed as error:
            return str(error)
    return ""


@contextmanager
def _limited(bench: Bench, objective: Any, windows: int) -> Any:
    """Limit the memory: of the card to what `windows` windows take; on a CPU by a fault."""
    if bench.is_toy:

        def loss(which: Any, *rest: Any) -> Any:
            if which.shape[1] > windows:
                raise torch.OutOfMemoryError
            return objective.loss(which, *rest)

        yield replace(objective, loss=loss)
        return
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    which = torch.arange(windows, device=bench.device).expand(1, -1)
    objective.loss(which, 0).backward()
    peak = torch.cuda.max_memory_allocated()
    torch.cuda.empty_cache()
    share = 1.1 * peak / torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        yield objective
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
