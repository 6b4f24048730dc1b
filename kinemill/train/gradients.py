"""Gradient of a batch: gradient accumulation over micro-batches, processes, gradient clipping.

Symbols: M members of an ensemble (1 without), B windows of a batch.
"""

import math
from collections.abc import Callable
from types import ModuleType

import torch
from torch import Tensor

from kinemill.task.learn import Learn
from kinemill.train.ddp import process_group
from kinemill.train.objective import Objective
from kinemill.train.training_state import Training

KERNELS: ModuleType = torch  # with the private functions of torch's own optimizers


def seed_step(seed: int, device: torch.device) -> None:
    """Seed the generator of a device, which dropout draws from.

    `torch.manual_seed` seeds the generators of all devices, and takes a tenth of a small step.
    """
    generators = {"cuda": torch.cuda, "mps": torch.mps}
    generators.get(device.type, torch.default_generator).manual_seed(seed % 2**63)


def gradient_of(training: Training, objective: Objective) -> Callable[[Tensor, int], Tensor]:
    """Return a function (window numbers (M, B), step) -> loss that sets the parameters' gradients.

    The gradient of several micro-batches is their mean weighted by their sizes, which equals the
    gradient of the whole batch. Noise and sampling are drawn for the whole batch, dropout for each
    micro-batch. Several processes split a batch in the same way.
    """
    device = next(training.module.parameters()).device
    scaler = training.scaler
    pieces = training.state.pieces
    group = process_group()
    parameters = list(training.module.parameters())

    def whole(batch: Tensor, step: int) -> Tensor:
        loss = objective.loss(batch.to(device), step)
        (loss if scaler is None else scaler.scale(loss)).backward()
        return loss

    def in_pieces(batch: Tensor, step: int) -> Tensor:
        windows = batch.shape[1]
        total = torch.zeros((), device=device)
        first, part = group.share(batch)
        for piece in part.tensor_split(min(pieces, part.shape[1]), dim=1):
            share = piece.shape[1] / windows
            loss = objective.loss(piece.to(device), step, (first, windows)) * share
            (loss if scaler is None else scaler.scale(loss)).backward()
            first = first + piece.shape[1]
            total = total + loss.detach()
        return group.add(parameters, total)

    return whole if pieces == 1 and group.size == 1 else in_pieces


def max_norm(learn: Learn) -> float:
    """Return the largest norm of a gradient that is not clipped; infinity without a limit."""
    return learn.grad_clip if learn.grad_clip is not None else math.inf


def clip(parameters: list[torch.nn.Parameter], most: float, members: int) -> Tensor:
    """Clip the gradients of each member to norm `most`; return the largest unclipped norm, ()."""
    gradients = [value.grad for value in parameters if value.grad is not None]
    if members == 1:
        # torch.nn.utils.clip_grad_norm_, three times as fast: it groups gradients by device.
        norm = torch.linalg.vector_norm(torch.stack(KERNELS._foreach_norm(gradients)))
        KERNELS._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
        return norm
    norms = torch.stack([part.flatten(1).norm(dim=1) for part in gradients]).norm(dim=0)  # (M,)
    factors = (most / (norms + 1e-6)).clamp(max=1.0)  # 1e-6 as in torch's clip_grad_norm_
    for part in gradients:
        part.mul_(factors.view(-1, *(1 for _ in part.shape[1:])))
    return norms.max()
