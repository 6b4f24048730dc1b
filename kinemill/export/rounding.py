"""Rounding: the distance between correct float32 evaluations of a module on the same inputs.

Two runtimes that evaluate one module in float32 agree up to rounding. Its size depends on the
module and its inputs: sums of large terms that cancel lose most digits, integrators almost none. It
is sampled by Monte Carlo arithmetic (Parker, Pierce and Eggert 2000): the module runs in float64,
and the result of each operation is perturbed by the rounding error of float32.

The sizes are those of running error analysis (Higham 2002, section 3.3), with the unit roundoff
u = 2^-24 and n terms:

| operation | perturbed by up to | source |
|---|---|---|
| a + b, a - b | u (abs(a) + abs(b)) | Higham 2002, (2.4), operands rounded as well |
| products, functions | 2 u abs(result) | Higham 2002, (2.4); functions to 2 ulp |
| sums of n terms t, matrix products | sqrt(n) u (norm(t) + abs(sum)) | Higham and Mary 2019 |
| others, such as a layer norm | u of each operand and 2 u of the result | backward error |

The third line is their random model of rounding: the n partial sums of terms with random signs are
of the size norm(t) for any order of summation. The growth of errors through the module and along a
rollout is observed, not bounded. Exact operations (copies, indices, comparisons, rounding to
integers) and results that are exactly 0 are not perturbed.

Further samples are the module in float32, and the module with parameters that differ by one bit,
since a runtime may fold scales into them. The tolerance of a runtime is `FACTOR` times the largest
distance from float64. Over 36 correct models of every architecture, 18 of them badly conditioned,
ONNX Runtime differed by at most 1.3 times that distance (`python -m benchmarks.mutations`).
"""

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from kinemill.runtime.interface import Dtype
from kinemill.train.ensemble import Ensemble
from kinemill.train.step import Step

Floats = NDArray[np.float64]
Run = Callable[..., tuple[Tensor, ...]]
_Module = TypeVar("_Module", bound=nn.Module)
_Value = TypeVar("_Value")

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}  # unit roundoff
FACTOR = 10.0  # times the largest sampled distance, see above
COPIES = 3
APART = 1  # samples with perturbed results, and with perturbed parameters
_POOL = 1 << 16  # random numbers, reused from random offsets: drawing new ones costs more than sums

_ATEN = torch.ops.aten
_PRODUCTS = {_ATEN.mm: 0, _ATEN.bmm: 0, _ATEN.mv: 0, _ATEN.addmm: 1, _ATEN.baddbmm: 1}
_SUMS = {_ATEN.sum, _ATEN.mean, _ATEN.cumsum}
_DIFFERENCES = {_ATEN.add, _ATEN.sub, _ATEN.rsub}
_EXACT = {
    *(_ATEN.cat, _ATEN.stack, _ATEN.clone, _ATEN.index, _ATEN.index_select, _ATEN.gather),
    *(_ATEN.where, _ATEN.neg, _ATEN.abs, _ATEN.relu, _ATEN.maximum, _ATEN.minimum, _ATEN.clamp),
    *(_ATEN.clamp_min, _ATEN.clamp_max, _ATEN.round, _ATEN.floor, _ATEN.ceil, _ATEN.sign),
    *(_ATEN.repeat, _ATEN.flip, _ATEN.roll, _ATEN.constant_pad_nd, _ATEN._to_copy),
    *(_ATEN.max, _ATEN.min, _ATEN.amax, _ATEN.amin, _ATEN.masked_fill, _ATEN.scalar_tensor),
    *(_ATEN.tril, _ATEN.triu, _ATEN.diagonal_copy, _ATEN.full_like, _ATEN.one_hot),
    *(_ATEN.zeros_like, _ATEN.ones_like, _ATEN.new_zeros, _ATEN.new_ones, _ATEN.new_full),
    *(_ATEN.zeros, _ATEN.ones, _ATEN.full, _ATEN.empty, _ATEN.empty_like, _ATEN.new_empty),
    *(_ATEN.arange, _ATEN.eye, _ATEN.linspace, _ATEN.lift_fresh, _ATEN.lift_fresh_copy),
}
_ELEMENTWISE = {
    *(_ATEN.mul, _ATEN.div, _ATEN.reciprocal, _ATEN.sqrt, _ATEN.rsqrt, _ATEN.pow, _ATEN.exp),
    *(_ATEN.tanh, _ATEN.sigmoid, _ATEN.sin, _ATEN.cos, _ATEN.atan2, _ATEN.log, _ATEN.log1p),
    *(_ATEN.silu, _ATEN.gelu, _ATEN.elu, _ATEN.softplus, _ATEN.erf, _ATEN.leaky_relu),
}


class Rounding(TorchDispatchMode):
    """Mode that perturbs the result of each operation by the rounding error of a precision."""

    def __init__(self, seed: int, precision: Dtype = "float32") -> None:
        super().__init__()
        self._unit = UNIT[precision]
        self._random, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        self._pool = torch.rand(_POOL, generator=generator, dtype=torch.float64) * 2.0 - 1.0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: otherwise torch imports its compiler, for 2 s of CPU time."""
        return False  # nothing is compiled here, so there is nothing to skip

    def __torch_dispatch__(
        self, func: Any, types: object, args: Any = (), kwargs: dict[str, object] | None = None
    ) -> object:
        """Run one operation and perturb its float results."""
        del types
        kwargs = kwargs or {}
        kind = func.overloadpacket
        if func.is_view or kind in _EXACT or func._schema.is_mutable:
            return func(*args, **kwargs)
        if kind in _PRODUCTS:
            return self._product(func, args, kwargs, _PRODUCTS[kind])
        if kind in _SUMS:
            return self._sum(func, args, kwargs)
        if kind in _DIFFERENCES:
            result = func(*args, **kwargs)
            size = args[0].abs() + args[1].abs() if _floats(args[1]) else result.abs()
            return self._perturb(result, 1.0, torch.where(result == 0.0, 0.0, size))
        if kind not in _ELEMENTWISE:
            args = _mapped(self._perturb_relative, args)
        result = func(*args, **kwargs)
        return _mapped(lambda tensor: self._perturb_relative(tensor, 2.0), result)

    def _sum(self, func: Any, args: tuple[Tensor, ...], kwargs: Mapping[str, object]) -> Tensor:
        """Run a sum, a mean or a cumulative sum."""
        result = func(*args, **kwargs)
        if not _floats(result):
            return result
        terms = args[0].numel() / max(result.numel(), 1)
        # The same reduction of the squares is the squared norm of the terms of each sum.
        squared = func(args[0].square(), *args[1:], **kwargs)
        if func.overloadpacket is _ATEN.mean:
            squared = squared / terms  # a term is x / n: the sum of x^2 / n^2
        size = squared.clamp_min(0.0).sqrt() + result.abs()
        if func.overloadpacket is _ATEN.cumsum:
            # As many results as terms: entry k is the sum of k terms.
            size = size * func(torch.ones_like(args[0]), *args[1:], **kwargs).sqrt()
        return self._perturb(result, terms, size)

    def _product(
        self, func: Callable[..., Tensor], args: Any, kwargs: Mapping[str, object], first: int
    ) -> Tensor:
        """Run a matrix product; a bias counts as one more term."""
        result = func(*args, **kwargs)
        if not _floats(result):
            return result
        terms = float(args[first].shape[-1] + first)
        # The product of the squares is the squared norm of the terms of each sum.
        squared = _mapped(Tensor.square, args)
        return self._perturb(result, terms, func(*squared, **kwargs).sqrt() + result.abs())

    def _perturb_relative(self, value: Tensor, times: float = 1.0) -> Tensor:
        if not _floats(value) or not value.numel():
            return value
        return torch.addcmul(value, self._noise(value), value, value=times * self._unit)

    def _perturb(self, value: Tensor, terms: float, size: Tensor) -> Tensor:
        """Return a value perturbed by up to sqrt(terms) u size."""
        if not _floats(value) or not value.numel():
            return value
        return torch.addcmul(value, self._noise(value), size, value=terms**0.5 * self._unit)

    def _noise(self, like: Tensor) -> Tensor:
        """Return random numbers in [-1, 1) of a shape, from a random offset of the pool."""
        count = like.numel()
        start = self._random.randrange(_POOL)
        # Doubling keeps the period _POOL, so larger tensors repeat their noise.
        while start + count > len(self._pool):
            self._pool = torch.cat([self._pool, self._pool])
        return self._pool[start : start + count].view(like.shape).to(like.dtype)


def _mapped(change: Callable[[Tensor], Tensor], value: _Value) -> _Value:
    """Apply a change to the tensors of an argument or a result, which nests tuples and lists.

    torch's own `tree_map_only` takes as long as a small operation.
    """
    if isinstance(value, Tensor):
        return cast("_Value", change(value))
    if isinstance(value, tuple | list):
        return type(value)([_mapped(change, part) for part in cast("Sequence[object]", value)])
    return value


def _floats(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def rounded(module: _Module, seed: int = 0, precision: Dtype = "float32") -> _Module:
    """Return a copy whose parameters (...) differ by one bit, up or down.

    A runtime may fold a scale into a layer, which rounds its weights again.
    """
    copied = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in copied.parameters():
            if weight.is_floating_point():
                sign = torch.randint(0, 2, weight.shape, generator=generator) * 2 - 1
                weight.mul_(1.0 + 2.0 * UNIT[precision] * sign)
    return copied


@dataclass(frozen=True, eq=False)
class Evaluations:
    """Several evaluations of one module on the same inputs.

    Attributes:
        exact: outputs in float64.
        rounded: outputs of correct runtimes; the first are those of torch.
    """

    exact: tuple[Floats, ...]
    rounded: list[tuple[Floats, ...]]

    def part(self, index: int) -> tuple[Floats, list[Floats]]:
        """Return one output (B, ...) in float64, and in the other evaluations."""
        return self.exact[index], [evaluation[index] for evaluation in self.rounded]


def evaluate(
    step: Any, run: Run, inputs: Sequence[NDArray[np.float32]], precision: Dtype = "float32"
) -> Evaluations:
    """Evaluate a step in float64, and as correct runtimes of a precision may evaluate it.

    Args:
        step: the trained step.
        run: (module, *inputs) -> outputs, each (B, ...).
        inputs: float32, each (B, ...).
        precision: precision of the runtimes.
    """
    # `apart`: inside vmap, the perturbations could not be drawn.
    plain = step.apart() if hasattr(step, "apart") else copy.deepcopy(step)
    precise = plain.cpu().double().eval()
    tensors = [torch.from_numpy(part).double() for part in inputs]
    with torch.no_grad():
        exact = _arrays(run(precise, *tensors))
        rounded_runs = [exact]
        if precision == "float32":
            single = copy.deepcopy(step).cpu().float().eval()
            rounded_runs = [_arrays(run(single, *(part.float() for part in tensors)))]
        for seed in range(APART):
            rounded_runs.append(_arrays(run(rounded(precise, seed, precision), *tensors)))
        with Rounding(0, precision):
            # All copies in one batch: rows are independent, so each copy has different noise.
            moved = run(precise, *(torch.cat([part] * COPIES) for part in tensors))
    split = [np.split(part, COPIES) for part in _arrays(moved)]
    return Evaluations(exact, [*rounded_runs, *zip(*split, strict=True)])


def _arrays(tensors: tuple[Tensor, ...]) -> tuple[Floats, ...]:
    return tuple(part.double().numpy() for part in tensors)


def rollout(module: Step | Ensemble, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return rollouts for (N, R, S), (N, R-1, A), (N, T, A): (N, T, S), and (N, T, Y) if any."""
    states, past_actions, actions = inputs
    history = module.estimate_history(states, past_actions)
    if not module.layout.output_channels:
        return (module.rollout(*history, actions),)
    channels = len(module.layout.states), len(module.layout.output_channels)
    return module.rollout_channels(*history, actions).split(channels, dim=-1)
