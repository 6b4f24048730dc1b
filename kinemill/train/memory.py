"""Memory of a training: peaks, a warning before the limit, and errors when it runs out.

The memory of a batch is compared with the free memory before the first step. A step keeps
intermediate values of its forward pass for the backward pass. Their size is measured with two and
with four windows. The difference is the memory of two windows and grows with the batch. The rest,
such as weights, does not.
"""

import math
import resource
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from kinemill.errors import BadInput, TrainingFailed
from kinemill.store import publish_json
from kinemill.store.machine import GIB, Memory, host_memory
from kinemill.task.learn import Learn
from kinemill.task.protocols import Progress
from kinemill.tracking.memory_warning import FILE, MemoryWarning
from kinemill.train.ddp import process_group
from kinemill.train.objective import Objective

_SIGNS = ("can't allocate memory", "out of memory", "alloc_failed", "not enough memory")

_LIMIT = 0.9  # share in use above which a training warns
INTERVAL = 2.0  # s between two samples

_SMALL = 2
_LARGE = 4  # windows of the two measurements
_ROOM = 0.8  # share of the free memory that the suggested batch uses


def peaks(device: torch.device) -> dict[str, float]:
    """Return the peak memory of this process, GiB: of the host, and of its GPU."""
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB on Linux
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    memory = {"memory/host_peak_gib": host / GIB}
    if device.type == "cuda":
        memory["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    return memory


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out; torch has several messages for it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def gpu_memory(device: torch.device) -> Memory:
    """Return the memory of a GPU, bytes; torch's unused cache of this process counts as free."""
    free, whole = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    index = torch.cuda.current_device() if str(device) == "cuda" else device.index
    return Memory(f"GPU {index}", whole - free - reserved, whole)


def free_now(device: torch.device) -> str:
    """Return a text with the free memory of the device, for messages."""
    return str(gpu_memory(device) if device.type == "cuda" else host_memory())


def out_of_memory(
    where: str, module: torch.nn.Module, learn: object, windows: int
) -> TrainingFailed:
    """Return the error with the sizes that did not fit, and a fix.

    Args:
        where: location of the error, such as `step 3`.
        module: module to train.
        learn: settings of the training.
        windows: number of windows of the micro-batch.
    """
    device = next(module.parameters()).device
    parameters = sum(value.numel() for value in module.parameters())
    rows = " + ".join(
        f"{name} {getattr(learn, name)}" for name in ("history", "horizon") if hasattr(learn, name)
    )
    return TrainingFailed(
        where,
        f"out of memory with {windows} windows per micro-batch{f' ({rows})' if rows else ''}, "
        f"{parameters} parameters on {device}; {free_now(device)}",
        expected="a step that fits into memory",
        fix="halve learn.batch_size and double learn.accumulate (same gradient); or shorten "
        "learn.horizon, choose a smaller model, or stop other programs on this device",
    )


def _memories_of(device: torch.device) -> list[Memory]:
    """Return the memory of the host, then of the GPU if the training uses one."""
    return [host_memory(), *([gpu_memory(device)] if device.type == "cuda" else [])]


def warn_if_full(folder: Path, progress: Progress, memories: Sequence[Memory]) -> bool:
    """Report the fullest memory if its share in use reaches `_LIMIT`; return whether it does.

    Args:
        folder: folder of the training; the warning is a file in it, for the alert sensor.
        progress: receives the message.
        memories: memory in use.
    """
    fullest = max(memories, key=lambda memory: memory.share)
    if fullest.share < _LIMIT:
        return False
    warning = MemoryWarning(str(fullest), fullest.share, time.time())
    publish_json(folder / FILE, asdict(warning))
    progress.log_message(f"warning: {warning.text}")
    return True


@contextmanager
def watch_memory(folder: Path, progress: Progress, device: torch.device) -> Generator[None]:
    """Sample the memory every 2 s in the context, and report the first sample above `_LIMIT`."""
    (folder / FILE).unlink(missing_ok=True)
    is_over = threading.Event()

    def watch() -> None:
        while not warn_if_full(folder, progress, _memories_of(device)):
            if is_over.wait(INTERVAL):
                return

    thread = threading.Thread(target=watch, name="memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def check_batch(learn: Learn, objective: Objective, device: torch.device) -> None:
    """Check that the training data and the free memory suffice for `learn.batch_size` windows.

    A batch up to the default size may exceed the number of training windows: it holds all of them.

    Raises:
        BadInput: There are fewer windows, or a batch takes more memory than is free.
    """
    most = max(objective.windows, int(type(learn).model_fields["batch_size"].default))
    where = f"learn.batch_size: {learn.batch_size}"
    if learn.batch_size > most:
        raise BadInput(
            where,
            f"is more than the {objective.windows} windows of the training set",
            expected=f"at most {objective.windows}",
            fix=f"set learn.batch_size to {objective.windows} or less, or add logs",
        )
    on_gpu = device.type == "cuda"
    window_bytes = bytes_per_window(objective, device) * (1.0 if learn.amp == "off" else 0.5)
    if not window_bytes:
        return
    memory = gpu_memory(device) if on_gpu else host_memory()
    windows = min(learn.batch_size, math.ceil(objective.windows / learn.accumulate))
    needed = window_bytes * windows / process_group().size
    if needed > memory.free:
        raise _too_large(where, learn, windows, (window_bytes, needed), memory)


def _too_large(
    where: str, learn: Learn, windows: int, bytes_needed: tuple[float, float], memory: Memory
) -> BadInput:
    window_bytes, needed = bytes_needed
    fits = int(_ROOM * memory.free * process_group().size / window_bytes)
    fix = "shorten learn.horizon, or choose a smaller model"
    if fits:
        pieces = learn.accumulate * math.ceil(windows / fits)
        size = math.ceil(windows * learn.accumulate / pieces)
        fix = f"set learn.batch_size to {size} and learn.accumulate to {pieces} (same gradient)"
    return BadInput(
        where,
        f"a step takes about {needed / GIB:.3g} GiB, and {memory}",
        expected=f"at most {fits} windows per micro-batch",
        fix=fix,
    )


def bytes_per_window(objective: Objective, device: torch.device) -> float:
    """Return the memory that a step keeps for each window, bytes; 0 with fewer than 4 windows."""
    if objective.windows < _LARGE:
        return 0.0
    small, large = (_kept_bytes(objective, device, count) for count in (_SMALL, _LARGE))
    return max(0, large - small) / (_LARGE - _SMALL)


def _kept_bytes(objective: Objective, device: torch.device, windows: int) -> int:
    """Return the bytes that the loss of the first windows keeps for the backward pass."""
    sizes = dict[int, int]()

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()  # itself, an output would keep its graph alive in a cycle

    which = torch.arange(windows, device=device).expand(objective.members, -1)
    random = [device] if device.type == "cuda" else []
    # Dropout draws from the generator. The fork keeps the training independent of this call.
    with torch.random.fork_rng(random), torch.autograd.graph.saved_tensors_hooks(note, _same):
        loss = objective.loss(which, 0)  # bound to a name: a freed address would be counted once
    del loss
    return sum(sizes.values())


def _same(tensor: Tensor) -> Tensor:
    return tensor
