"""Device and CPU threads of torch, and deterministic kernels."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from kinemill.errors import BadInput

PREFERRED = ("cuda", "mps", "cpu")  # `learn.device: auto` selects the first available one
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def pick_device(name: str) -> Any:
    """Return the torch device `name`, or for `auto` the first one available.

    Raises:
        BadInput: The requested device does not exist.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(name for name in PREFERRED if available[name])
    if not available[name]:
        raise BadInput(
            "learn.device",
            f"{name}, which torch {torch.__version__} does not find on this machine",
            expected=" or ".join(["auto", *(name for name in PREFERRED if available[name])]),
            fix="`kinemill doctor` lists the installed torch and the GPUs",
        )
    return torch.device(name)


@contextmanager
def determined(*, on: bool) -> Generator[None]:
    """Use deterministic kernels inside the context, if `on`.

    torch raises an error that names an operation without a deterministic kernel. cuBLAS reads its
    setting at its first use, so enter this context before any work on a GPU.
    """
    import torch

    if not on:
        yield
        return
    cudnn: Any = torch.backends.cudnn
    previous = torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.deterministic
    workspace = os.environ.get(_WORKSPACE)
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    cudnn.benchmark = False
    cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(previous[0])
        cudnn.benchmark, cudnn.deterministic = previous[1:]
        if workspace is None:
            del os.environ[_WORKSPACE]


@contextmanager
def single_thread() -> Generator[None]:
    """Use one CPU thread of torch inside the context.

    For work of many small operations, such as rollouts: with several threads each operation waits
    for all of them, also for those whose core another process uses.
    """
    import torch

    count = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(count)


@contextmanager
def multiplied(precision: str) -> Generator[None]:
    """Set torch's precision of float32 matrix multiplication inside the context.

    Validation, export and runtime always use float32.
    """
    import torch

    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)
