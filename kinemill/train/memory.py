"""Memory of a training: peaks, and errors when it runs out."""

import resource
import sys

import torch

from kinemill.errors import TrainingFailed
from kinemill.store.machine import GIB, Memory, host_memory

_SIGNS = ("can't allocate memory", "out of memory", "alloc_failed", "not enough memory")


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
