"""Memory of a batch in a training step, compared with free memory before the first step.

A step keeps intermediate values of its forward pass for the backward pass. Their size is measured
with two and with four windows. The difference is the memory of two windows and grows with the
batch. The rest, such as weights, does not.
"""

import math

import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.store.machine import GIB, Memory, host_memory
from kinemill.task.learn import Learn
from kinemill.train.ddp import process_group
from kinemill.train.memory import gpu_memory
from kinemill.train.objective import Objective

_SMALL = 2
_LARGE = 4  # windows of the two measurements
_ROOM = 0.8  # share of the free memory that the suggested batch uses


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
