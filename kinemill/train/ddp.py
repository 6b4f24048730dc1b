"""DDP: distributed data-parallel training, several processes that share each batch.

Every process holds the whole model and processes its part of each batch. The gradients are summed,
so that all processes make the same step. Rank zero evaluates, writes, reports, and broadcasts data
to the others. A single process is a group of size one without overhead.

`torch.nn.parallel.DistributedDataParallel` needs exactly one forward call per step. Rollouts,
ensembles under `vmap` and micro-batches have several. Here it would only sum the gradients (Li et
al. 2020, section 3.1).
"""

import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.train.checkpoint import Groups, pack_tensors, unpack_tensors

# Other ranks wait while rank zero evaluates or writes. A dead process closes its connection, which
# ends the wait earlier.
TIMEOUT = timedelta(minutes=10)
_SEEDS = 7_368_787  # between the seeds of two processes


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process evaluates, writes and reports."""
        return self.rank == 0

    def share(self, batch: Tensor) -> tuple[int, Tensor]:
        """Return the first index and this process's part of window indices (M, B).

        Raises:
            BadInput: There are more processes than windows.
        """
        windows = batch.shape[1]
        if windows < self.size:
            message = f"a step has {windows} windows for {self.size} processes"
            raise BadInput("learn.batch_size", message, fix="raise it, or use fewer processes")
        parts = batch.tensor_split(self.size, dim=1)
        return sum(part.shape[1] for part in parts[: self.rank]), parts[self.rank]

    def seed(self, step: int) -> int:
        """Return this rank's offset of the seed of a step: dropout differs between processes."""
        return self.rank * (_SEEDS + step)

    def add(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> Tensor:
        """Sum the gradients in place and the loss () over all processes; return the summed loss."""
        if self.size == 1:
            return loss
        # One flat tensor: the latency of a collective dominates for small models.
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat(
            [loss.detach().reshape(1), *(gradient.flatten() for gradient in gradients)]
        )
        distributed.all_reduce(flat)
        parts = flat[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[0]

    def broadcast(self, content: bytes = b"") -> bytes:
        """Return the `content` of rank zero on all ranks; the argument of others is ignored."""
        if self.size == 1:
            return content
        device = torch.device("cuda" if distributed.get_backend() == "nccl" else "cpu")
        length = torch.tensor([len(content)], device=device)
        distributed.broadcast(length, 0)
        content_bytes = torch.zeros(int(length), dtype=torch.uint8, device=device)
        if self.is_rank_zero and content:
            content_bytes.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        if int(length):
            distributed.broadcast(content_bytes, 0)
        return content if self.is_rank_zero else bytes(content_bytes.cpu().numpy())

    def from_rank_zero(self, find: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Call `find` on rank zero, and return its numbers on all ranks."""
        if self.size == 1:
            return dict(find())
        # Python's JSON supports NaN and infinity.
        return json.loads(
            self.broadcast(json.dumps(dict(find())).encode() if self.is_rank_zero else b"")
        )

    def align(self, module: nn.Module) -> None:
        """Set weights and buffers of every process to those of rank zero."""
        if self.size == 1:
            return
        for value in module.state_dict().values():
            distributed.broadcast(value, 0)


def process_group() -> ProcessGroup:
    """Return the process group of this process."""
    if not distributed.is_available() or not distributed.is_initialized():
        return ProcessGroup()
    return ProcessGroup(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined(device: str) -> Generator[ProcessGroup]:
    """Join the process group that the environment defines (`RANK`, `WORLD_SIZE`, ...).

    Args:
        device: `learn.device`; each process uses its own GPU where available.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if int(size) == 1 or distributed.is_initialized():
        yield process_group()
        return
    gpus = torch.cuda.device_count() if device in ("auto", "cuda") else 0
    gpu = ""
    if gpus:
        device_index = int(os.environ.get("LOCAL_RANK", "0")) % gpus
        torch.cuda.set_device(device_index)
        gpu = str(torch.cuda.get_device_properties(device_index).uuid)
    store, rank, count = next(rendezvous("env://", timeout=TIMEOUT))
    backend = _select_backend(PrefixStore("gpu", store), rank, count, gpu)
    distributed.init_process_group(
        backend, store=store, rank=rank, world_size=count, timeout=TIMEOUT
    )
    try:
        yield process_group()
    finally:
        distributed.destroy_process_group()


def _select_backend(store: Store, rank: int, size: int, gpu: str) -> str:
    """Return nccl if no two processes use the same GPU, else gloo.

    Two processes of NCCL on one GPU wait for each other forever. The number of processes per
    machine does not show whether they share one: Ray can give each process a fraction of a GPU.

    Args:
        store: key-value store of this process group alone.
        rank: rank of this process.
        size: number of processes.
        gpu: identifier of the GPU of this process; empty without one.
    """
    store.set(str(rank), gpu)
    gpus = [store.get(str(index)) for index in range(size)]
    return "nccl" if all(gpus) and len(set(gpus)) == size else "gloo"


def broadcast_tensors(
    group: ProcessGroup, content: tuple[Groups, Json] | None
) -> tuple[Groups, Json] | None:
    """Return the checkpoint of rank zero, or None.

    Args:
        group: the process group.
        content: checkpoint of rank zero, as `read_checkpoint` returns it.
    """
    if group.size == 1:
        return content
    state = json.dumps(content[1] if content else None).encode() if group.is_rank_zero else b""
    document = json.loads(group.broadcast(state))
    if document is None:
        return None
    tensors = group.broadcast(pack_tensors(content[0]) if group.is_rank_zero and content else b"")
    return unpack_tensors(tensors), document
