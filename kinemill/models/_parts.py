"""What several architectures are made of."""

from typing import Any


def activation(name: str) -> Any:
    """Return the activation function called `name`.

    ReLU is not among them: ONNX Runtime computes it as max(x, 0), which turns NaN into 0.
    """
    from torch.nn import functional

    return {"tanh": functional.tanh, "silu": functional.silu, "elu": functional.elu}[name]
