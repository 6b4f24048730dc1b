"""What every encoder is."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from kinemill.digests import file_digest
from kinemill.errors import BadInput
from kinemill.registry import Registry
from kinemill.spec.plugins import Plugin


class ImageEncoder(Plugin):
    """Settings of what sees an image."""

    size: PositiveInt = Field(default=64, description="numbers that an image becomes")
    checkpoint: str | None = Field(
        default=None,
        description="safetensors file of this encoder's weights to begin with, beside the task",
    )

    holds: str | None = Field(
        default=None, description="digest of that file, filled in: other weights, another policy"
    )

    @model_validator(mode="after")
    def _of_these_bytes(self) -> "ImageEncoder":
        path = Path(self.checkpoint) if self.checkpoint else None
        if path is None or self.holds is not None or not path.is_file():
            return self
        return self.model_copy(update={"holds": file_digest(path)})

    @field_validator("checkpoint")
    @classmethod
    def _found_from_the_task(cls, value: str | None, info: ValidationInfo) -> str | None:
        folder = (info.context or {}).get("folder")
        if value is None or folder is None:
            return value
        return str((folder / Path(value).expanduser()).absolute())

    @abstractmethod
    def build(self, shape: tuple[int, int, int], told: int = 0) -> Any:
        """Make the torch network: (B, C, H, W) in [0, 1], what texts say (B, told) -> (B, size).

        Args:
            shape: height, width, colours.
            told: numbers that the texts of a row became; 0 without texts.
        """


class TextEncoder(Plugin):
    """Settings of what reads a text."""

    size: PositiveInt = Field(default=32, description="numbers that a text becomes")

    @abstractmethod
    def build(self, length: int, words: tuple[str, ...]) -> Any:
        """Make the torch network (B, length) uint8, UTF-8 filled up with zeros -> (B, size).

        Args:
            length: bytes that are looked at.
            words: those of the training texts, see `words_of`.
        """


IMAGES: Registry[type[ImageEncoder]] = Registry("kinemill.encoders.images", "image encoder", "conv")
TEXTS: Registry[type[TextEncoder]] = Registry("kinemill.encoders.texts", "text encoder", "words")


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
