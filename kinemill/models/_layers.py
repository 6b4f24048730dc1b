"""What several architectures are made of."""

from typing import Annotated, Any, Literal

from pydantic import Field

Activation = Literal["tanh", "silu", "elu", "relu", "leaky_relu", "gelu", "sigmoid"]

Dropout = Annotated[
    float,
    Field(
        ge=0.0,
        lt=1.0,
        description="share of hidden values that a training step leaves out; none once trained",
    ),
]
Bias = Annotated[bool, Field(description="whether linear maps have a constant term")]
LayerNorm = Annotated[bool, Field(description="whether hidden values are normalized in each row")]


def activation(name: str) -> Any:
    """Return the activation function called `name`."""
    from torch.nn import functional

    return _relu if name == "relu" else getattr(functional, name)


def normalizer(size: int, settings: Any) -> Any:
    """Return what normalizes the last axis, of `size`; nothing where `layer_norm` is off."""
    from torch import nn

    return nn.LayerNorm(size, bias=settings.bias) if settings.layer_norm else nn.Identity()


def _relu(x: Any) -> Any:
    """Return max(x, 0), spelled so that NaN stays NaN: ONNX Runtime's own makes it 0."""
    return 0.5 * (x + x.abs())
