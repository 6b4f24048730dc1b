"""Weights of a network from a file, and differences between two sets of weights."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from kinemill.errors import BadInput


def load_weights(network: nn.Module, checkpoint: str, where: str) -> None:
    """Set the weights of a network to those of a local safetensors file.

    Raises:
        BadInput: The file does not exist, or holds other weights than the network's.
    """
    from safetensors.torch import load_file

    if not Path(checkpoint).is_file():
        raise BadInput(where, f"{checkpoint} does not exist", fix="nothing is downloaded here")
    weights = load_file(checkpoint)
    expected = network.state_dict()
    if differences := different_weights(weights, expected):
        raise BadInput(
            where,
            f"{checkpoint} is of another encoder: {', '.join(differences[:5])}",
            expected=", ".join(f"{name} {list(value.shape)}" for name, value in expected.items()),
        )
    network.load_state_dict(weights)


def different_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """Return the names of weights that one side lacks or that differ in shape, sorted."""
    return [
        name
        for name in sorted({*weights, *expected})
        if name not in weights
        or name not in expected
        or weights[name].shape != expected[name].shape
    ]
