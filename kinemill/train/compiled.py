"""The training step as one compiled program: gather, forward, backward, clipping, AdamW.

For small models most time is overhead of single operations. Here parameters and both moments are
one flat vector each, and torch's compiler generates C++ (or GPU kernels) for the whole update.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value


class _Loss(nn.Module):
    """The loss as a module, for `functional_call`."""

    def __init__(self, module: nn.Module, loss: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.module = module
        self.loss = loss

    def forward(self, batch: Tensor) -> Tensor:
        return self.loss(batch)


class CompiledStep:
    """One whole training step.

    Args:
        program: (batch (M, B), scalars (3,) of `scalars`, result (3,)); it writes the loss, the
            norm of the gradient, and whether a step has failed so far (1, else 0).
        counts: steps of each parameter, in the optimizer's state.
        weights: weights of the module, flat (P,).
        betas: decay of both moments.
    """

    def __init__(
        self,
        program: Callable[[Tensor, Tensor, Tensor], None],
        counts: Tensor,
        weights: Tensor,
        betas: tuple[float, float],
    ) -> None:
        self.program = program
        self._counts = counts
        self._weights = weights
        self._betas = betas
        self._done = int(counts[0])

    def scalars(self, rate: float, later: int = 0) -> tuple[float, float, float]:
        """Return the rate and the bias corrections of both moments of a step.

        Args:
            rate: learning rate.
            later: 0 for the next step, 1 for the one after it, and so on.
        """
        (b1, b2), number = self._betas, self._done + 1 + later
        return rate, 1.0 - b1**number, 1.0 - b2**number

    def count(self, steps: int) -> None:
        """Add completed steps to the step count of the optimizer."""
        self._counts.add_(float(steps))
        self._done += steps

    def __call__(self, batch: Tensor, rate: float) -> tuple[float, float]:
        """Make one step: window numbers (M, B), learning rate -> loss, norm of the gradient."""
        result = self._weights.new_empty(3)
        self.program(batch, self._weights.new_tensor(self.scalars(rate)), result)
        self.count(1)
        loss, norm, _ = result.tolist()
        return loss, norm


def compiled(
    module: nn.Module, loss: Callable[[Tensor], Tensor], optimizer: torch.optim.AdamW, clip: float
) -> CompiledStep:
    """Return one whole training step.

    The module's parameters and the optimizer's state become views of the flat vectors, so they are
    always up to date.

    Args:
        module: the module to train.
        loss: window indices (M, B) -> scalar; it may depend on the batch only.
        optimizer: optimizer of all parameters of the module, in one group.
        clip: largest norm of the gradient.
    """
    whole = _Loss(module, loss)
    learning = {name: p for name, p in whole.named_parameters() if p.requires_grad}
    parameters = list(learning.values())
    sizes = [p.numel() for p in parameters]
    shapes = [p.shape for p in parameters]
    weights, first, second, counts = _flattened(parameters, optimizer)
    failed = weights.new_zeros(())
    group = optimizer.param_groups[0]
    (b1, b2), eps, decay = group["betas"], group["eps"], group["weight_decay"]

    def loss_of(flat: Tensor, batch: Tensor) -> Tensor:
        parts = zip(learning, flat.split(sizes), shapes, strict=True)
        return functional_call(whole, {n: part.view(shape) for n, part, shape in parts}, (batch,))

    def step(
        flat: Tensor,
        first: Tensor,
        second: Tensor,
        failed: Tensor,
        inputs: tuple[Tensor, Tensor],
        result: Tensor,
    ) -> None:
        """Algorithm 2 of Loshchilov and Hutter, 2019; scalars: rate, 1 - b1^k, 1 - b2^k."""
        batch, scalars = inputs
        gradient, value = grad_and_value(loss_of)(flat, batch)
        norm = gradient.norm()
        gradient = gradient * torch.clamp(clip / (norm + 1e-6), max=1.0)
        rate, correct1, correct2 = scalars.unbind()
        first.lerp_(gradient, 1.0 - b1)
        second.mul_(b2).addcmul_(gradient, gradient, value=1.0 - b2)
        moved = flat * (1.0 - rate * decay)
        moved = moved - rate / correct1 * first / ((second / correct2).sqrt() + eps)
        # A step that is not finite, and all steps after it, leave the weights unchanged, for the
        # NaN diagnosis.
        is_fine = torch.isfinite(value + norm) & (failed == 0.0)
        flat.copy_(torch.where(is_fine, moved, flat))
        failed.copy_(torch.where(is_fine, 0.0, 1.0))
        result.copy_(torch.stack([value, norm, failed]))

    program = _program(step, weights.device)

    def advance(batch: Tensor, scalars: Tensor, result: Tensor) -> None:
        program(weights, first, second, failed, (batch, scalars), result)

    return CompiledStep(advance, counts, weights, (b1, b2))


def _program(step: Callable[..., None], device: torch.device) -> Callable[..., None]:
    """Return the compiled step."""
    # The compiler caches by code object, so each training needs its own.
    step.__code__ = step.__code__.replace()
    # Shapes, dtypes and devices of a training never change, so guards are superfluous.
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    options["cpp_wrapper"] = device.type == "cpu"
    return torch.compile(step, fullgraph=True, dynamic=False, options=options)


def _flattened(
    parameters: list[nn.Parameter], optimizer: torch.optim.AdamW
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return weights, first and second moments (P,), and a count of steps for each parameter.

    The parameters and the optimizer's state become views of them.
    """
    state = optimizer.state
    with torch.no_grad():
        flat = {
            name: torch.cat([_of(name, p, state).flatten() for p in parameters])
            for name in ("data", "exp_avg", "exp_avg_sq")
        }
        counts = torch.stack([_of("step", p, state) for p in parameters])
    pieces = {name: _views(vector, parameters) for name, vector in flat.items()}
    for parameter, count in zip(parameters, counts, strict=True):
        parameter.data = next(pieces["data"])
        moments = {name: next(pieces[name]) for name in ("exp_avg", "exp_avg_sq")}
        state[parameter] = {"step": count, **moments}
    return flat["data"], flat["exp_avg"], flat["exp_avg_sq"], counts


def _of(name: str, parameter: nn.Parameter, state: Mapping[Tensor, Mapping[str, Tensor]]) -> Tensor:
    if name == "data":
        return parameter.detach()
    if entry := state.get(parameter):
        return entry[name]
    return torch.zeros(()) if name == "step" else torch.zeros_like(parameter)


def _views(vector: Tensor, parameters: list[nn.Parameter]) -> Iterator[Tensor]:
    parts = vector.split([parameter.numel() for parameter in parameters])
    return (part.view(p.shape) for part, p in zip(parts, parameters, strict=True))


def has_compiler() -> bool:
    """Return whether there is a C++ compiler, which compilation for a CPU needs."""
    return any(shutil.which(name) for name in ("g++", "clang++", "c++"))
