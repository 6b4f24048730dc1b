"""Precision of float32 matrix multiplication: exact, or bfloat16 units where that is faster.

Processors with bfloat16 units multiply large matrices up to twice as fast, and small ones at half
the speed (measured speed ratio: 64 x 64 at 32 rows 0.45, 256 x 256 at 1024 rows 2.1). Validation,
export and runtime always use float32.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

Matmul = Literal["highest", "high", "medium"]

SMALLEST = 256  # rows of a batch, and sizes of a weight, below which the check is skipped
ROUNDS = 5
GAIN = 1.2  # smallest speed ratio for which bfloat16 is used
OFF = 0.01  # largest relative deviation of loss and gradient


@contextmanager
def multiplied(how: Matmul) -> Generator[None]:
    """Set torch's precision of float32 matrix multiplication to `how` inside the context."""
    previous = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(how)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(previous)


def probe(module: torch.nn.Module, loss: Callable[[Tensor], Tensor], batch: Tensor) -> Matmul:
    """Return `medium` if it is faster on this machine and the gradient stays close, else `highest`.

    Args:
        module: module to train; its gradients are None afterwards.
        loss: window numbers (M, B) -> scalar.
        batch: window numbers (M, B) of the measurement.
    """
    if not worth_a_look(module, batch):
        return "highest"
    exact, seconds = _gradient("highest", module, loss, batch)
    near, medium_seconds = _gradient("medium", module, loss, batch)
    for _ in range(ROUNDS - 1):
        seconds = min(seconds, _gradient("highest", module, loss, batch)[1])
        medium_seconds = min(medium_seconds, _gradient("medium", module, loss, batch)[1])
    off = float((near - exact).norm() / exact.norm().clamp_min(1e-30))
    return "medium" if off <= OFF and seconds >= GAIN * medium_seconds else "highest"


def worth_a_look(module: torch.nn.Module, batch: Tensor) -> bool:
    """Return whether matrices are large enough, and the processor has bfloat16 units.

    Most trainings are too small, so that `probe` returns the same on every run.
    """
    weights = [parameter for parameter in module.parameters() if parameter.dim() >= 2]
    large = any(min(weight.shape[-2:]) >= SMALLEST for weight in weights)
    if not large or batch.shape[-1] < SMALLEST or weights[0].device.type != "cpu":
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # torch has no public name for it


def _gradient(
    how: Matmul, module: torch.nn.Module, loss: Callable[[Tensor], Tensor], batch: Tensor
) -> tuple[Tensor, float]:
    """Return loss and gradient as one vector, and the CPU time of this thread for them, s."""
    module.zero_grad(set_to_none=True)
    with multiplied(how):
        began = time.thread_time()
        value = loss(batch)
        value.backward()
        seconds = time.thread_time() - began
    parts = [
        parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None
    ]
    module.zero_grad(set_to_none=True)
    return torch.cat([value.detach().flatten(), *parts]), seconds
