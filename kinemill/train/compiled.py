"""Training steps as one compiled program: gather, forward, backward, clipping, AdamW.

For small models most time is overhead of single operations. Here parameters and both moments are
one flat vector each, and torch's compiler generates C++ (or GPU kernels) for the whole update. On a
CPU the program is a loop over several steps; a GPU gets a step by call, which a CUDA graph repeats.

Symbols: K steps, M members of an ensemble (1 without), B windows of a batch, P weights.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class CompiledSteps:
    """Whole training steps.

    Args:
        program: (windows (K, M, B), scalars (K, 3) of `scalars`, results (K, 3), steps to make); it
            writes the loss of each step, the norm of the gradient, and whether a step has failed so
            far (1, else 0).
        counts: steps of each parameter, in the optimizer's state.
        betas: decay of both moments.
    """

    def __init__(
        self,
        program: Callable[[Tensor, Tensor, Tensor, int], None],
        counts: Tensor,
        betas: tuple[float, float],
    ) -> None:
        self.program = program
        self._counts = counts
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


def compiled(
    module: nn.Module, loss: Callable[[Tensor], Tensor], optimizer: torch.optim.AdamW, clip: float
) -> CompiledSteps:
    """Return whole training steps.

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
    group = optimizer.param_groups[0]

    def loss_of(flat: Tensor, batch: Tensor) -> Tensor:
        parts = zip(learning, flat.split(sizes), shapes, strict=True)
        return functional_call(whole, {n: part.view(shape) for n, part, shape in parts}, (batch,))

    update = _updater(loss_of, group, clip)
    state = [weights, first, second, weights.new_zeros(())]
    is_loop = weights.device.type == "cpu"
    make = _program(_looped(update) if is_loop else _single(update), is_loop=is_loop)

    def program(windows: Tensor, scalars: Tensor, results: Tensor, count: int) -> None:
        if is_loop:
            make(state, windows, scalars, results, torch.tensor(count))
            return
        for row in range(count):
            make(state, windows[row], scalars[row], results[row])

    return CompiledSteps(program, counts, group["betas"])


Update = Callable[..., tuple[Tensor, ...]]


def _updater(
    loss_of: Callable[[Tensor, Tensor], Tensor], group: Mapping[str, Any], clip: float
) -> Update:
    """Return one step: weights, both moments (P,), failed (), batch, scalars -> these, result."""
    (b1, b2), eps, decay = group["betas"], group["eps"], group["weight_decay"]

    def updated(
        flat: Tensor, first: Tensor, second: Tensor, failed: Tensor, batch: Tensor, scalars: Tensor
    ) -> tuple[Tensor, ...]:
        """Algorithm 2 of Loshchilov and Hutter, 2019; scalars: rate, 1 - b1^k, 1 - b2^k."""
        gradient, value = grad_and_value(loss_of)(flat, batch)
        norm = gradient.norm()
        gradient = gradient * torch.clamp(clip / (norm + 1e-6), max=1.0)
        rate, correct1, correct2 = scalars.unbind()
        first = first.lerp(gradient, 1.0 - b1)
        second = (second * b2).addcmul(gradient, gradient, value=1.0 - b2)
        moved = flat * (1.0 - rate * decay)
        moved = moved - rate / correct1 * first / ((second / correct2).sqrt() + eps)
        # A step that is not finite, and all steps after it, leave the weights unchanged, for the
        # NaN diagnosis.
        is_fine = torch.isfinite(value + norm) & (failed == 0.0)
        failed = torch.where(is_fine, 0.0, 1.0)
        result = torch.stack([value, norm, failed])
        return torch.where(is_fine, moved, flat), first, second, failed, result

    return updated


def _single(update: Update) -> Callable[..., None]:
    """Return one step in place."""

    def step(state: list[Tensor], batch: Tensor, scalars: Tensor, result: Tensor) -> None:
        _copy(update(*state, batch, scalars), [*state, result])

    return step


def _looped(update: Update) -> Callable[..., None]:
    """Return several steps in place."""

    def steps(
        state: list[Tensor], windows: Tensor, scalars: Tensor, results: Tensor, count: Tensor
    ) -> None:
        def is_left(row: Tensor, *_: Tensor) -> Tensor:
            return row < count

        def advance(row: Tensor, rows: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            at = row.view(1)
            batch = windows.index_select(0, at)[0]
            *after, result = update(*state, batch, scalars.index_select(0, at)[0])
            return row + 1, rows.index_copy(0, at, result.unsqueeze(0)), *after

        start = torch.zeros((), dtype=torch.int64), results.new_zeros(results.shape)
        _, *after = torch.while_loop(is_left, advance, (*start, *state))
        _copy(after, [results, *state])

    return steps


def _copy(values: Sequence[Tensor], to: Sequence[Tensor]) -> None:
    for value, target in zip(values, to, strict=True):
        target.copy_(value)


def _program(steps: Callable[..., None], *, is_loop: bool) -> Callable[..., None]:
    """Return the compiled steps."""
    # The compiler caches by code object, so each training needs its own.
    steps.__code__ = steps.__code__.replace()
    # Shapes, dtypes and devices of a training never change, so guards are superfluous.
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    if is_loop:
        # tanh by exp takes half the time; its error near zero, 1e-7, is too small for a gradient.
        options |= {"cpp_wrapper": True, "cpp.use_decompose_tanh": True}
    return torch.compile(steps, fullgraph=True, dynamic=False, options=options)


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
