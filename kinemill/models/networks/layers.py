"""Layers and the base class that the networks share. Symbols: B batch, K rows, F features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

Shapes = tuple[tuple[int, ...], ...]


class Network(nn.Module):
    """Base of the networks: `(features (B, F), carry...) -> (outputs (B, O), carry...)`.

    Attributes:
        carry_shapes: shape of each carry tensor, without the batch.
        physical: whether inputs and outputs are in task units, see `kinemill.models`.
    """

    carry_shapes: Shapes = ()
    physical = False
    warm_up: Callable[..., tuple[Tensor, ...]]  # rows (B, K, ...) -> carry, from a zero carry

    def replay(self, *rows: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after rows (B, K, ...), oldest first, from a zero carry."""
        carry = tuple(rows[0].new_zeros(rows[0].shape[0], *shape) for shape in self.carry_shapes)
        if carry:
            for row in zip(*[part.unbind(1) for part in rows], strict=True):
                _, *rest = self(*row, *carry)
                carry = tuple(rest)
        return carry


class _Settings(Protocol):
    """What models with hidden layers share in their settings."""

    @property
    def dropout(self) -> float: ...
    @property
    def bias(self) -> bool: ...
    @property
    def layer_norm(self) -> bool: ...


@dataclass(frozen=True)
class LayerOptions:
    """Options of hidden layers, named as in the settings of the models."""

    activation: str = "tanh"
    dropout: float = 0.0
    bias: bool = True
    layer_norm: bool = False

    @classmethod
    def of(cls, settings: _Settings) -> "LayerOptions":
        """Return the options of a model's settings; `activation` is optional there."""
        activation = getattr(settings, "activation", cls.activation)
        return cls(activation, settings.dropout, settings.bias, settings.layer_norm)

    def norm(self, size: int) -> nn.Module:
        """Return the layer that normalizes the last axis, or the identity."""
        return nn.LayerNorm(size, bias=self.bias) if self.layer_norm else nn.Identity()


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """Return the activation function called `name`: (...) -> (...)."""
    return relu if name == "relu" else getattr(functional, name)


def relu(x: Tensor) -> Tensor:
    """Return max(x, 0) such that NaN stays NaN; the Relu of ONNX Runtime turns NaN into 0."""
    return 0.5 * (x + x.abs())


def clamp(x: Tensor, bound: float) -> Tensor:
    """Clamp (...) to ± `bound` such that NaN stays NaN; the Clip of ONNX Runtime may lose it."""
    limit = torch.full_like(x, bound)
    return torch.where(x > bound, limit, torch.where(x < -bound, -limit, x))


def zero_head(network: nn.Module) -> None:
    """Set the last layer of a residual network to zero, so that it starts without effect."""
    for value in network.get_submodule("head").parameters():
        nn.init.zeros_(value)
