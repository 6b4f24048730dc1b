"""What every encoder is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.task.imitation import IMAGES, TEXTS, ImageEncoder, TextEncoder

__all__ = ["IMAGES", "TEXTS", "ImageEncoder", "TextEncoder", "loaded", "unlike_weights"]


def loaded(network: Any, checkpoint: str, where: str) -> None:
    """Set the weights of an encoder to those of a file on this machine.

    Raises:
        BadInput: there is no such file, or it holds other weights than the encoder's.
    """
    from safetensors.torch import load_file

    if not Path(checkpoint).is_file():
        raise BadInput(where, f"there is no file {checkpoint}", fix="nothing is downloaded here")
    found, wanted = load_file(checkpoint), network.state_dict()
    if unlike := unlike_weights(found, wanted):
        raise BadInput(
            where,
            f"{checkpoint} is of another encoder: {', '.join(unlike[:5])}",
            expected=", ".join(f"{name} {list(value.shape)}" for name, value in wanted.items()),
        )
    network.load_state_dict(found)


def unlike_weights(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return the names of weights that are not in both, or of another shape, sorted."""
    return [
        name
        for name in sorted({*found, *wanted})
        if name not in found or name not in wanted or found[name].shape != wanted[name].shape
    ]
