"""Plug-in families of imitation policies: action heads, image encoders and text encoders."""

from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ValidationInfo, field_validator, model_validator

from kinemill.registry import Registry
from kinemill.store.digests import file_digest
from kinemill.task.bounds import Width
from kinemill.task.hooks import from_task_folder
from kinemill.task.plugins import Plugin
from kinemill.task.protocols import TorchModule
from kinemill.task.web_overrides import LOCAL

_NATURE_SIDE = 36  # smallest side, pixels, for which the strides of `nature` leave an output


class Head(Plugin):
    """Settings of an action head.

    Attributes:
        seeded: whether it samples actions at random.
    """

    seeded: ClassVar[bool] = False

    @abstractmethod
    def build(self, length: int, actions: int) -> TorchModule:
        """Return the head for chunks (length, actions), a `networks.heads.HeadModule`."""


class ImageEncoder(Plugin):
    """Settings of an image encoder."""

    size: Width = 64
    """size of an image's feature vector"""
    checkpoint: Annotated[str | None, LOCAL] = None
    """safetensors file of initial weights for this encoder, relative to the task file"""

    checkpoint_digest: Annotated[str | None, LOCAL] = None
    """digest of that file, set automatically, because the policy depends on its content"""

    @model_validator(mode="after")
    def _of_these_bytes(self) -> "ImageEncoder":
        path = Path(self.checkpoint) if self.checkpoint else None
        if path is None or self.checkpoint_digest is not None or not path.is_file():
            return self
        return self.model_copy(update={"checkpoint_digest": file_digest(path)})

    @field_validator("checkpoint")
    @classmethod
    def _found_from_the_task(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and from_task_folder(value, info)

    @abstractmethod
    def build(self, shape: tuple[int, int, int], text_size: int = 0) -> Any:
        """Return the network (B, C, H, W) in [0, 1], text features (B, text_size) -> (B, size).

        Args:
            shape: height, width, colors.
            text_size: size of the text features of a row; 0 without texts.
        """


class TextEncoder(Plugin):
    """Settings of a text encoder."""

    size: Width = 32
    """size of a text's feature vector"""

    @abstractmethod
    def build(self, length: int, words: tuple[str, ...]) -> TorchModule:
        """Return the torch network (B, length) uint8, zero-padded UTF-8 -> (B, size).

        Args:
            length: number of bytes that are read.
            words: vocabulary of the training texts, see `networks.text_encoders.vocabulary`.
        """


HEADS: Registry[type[Head]] = Registry("kinemill.models.heads", "head", "deterministic")
IMAGES: Registry[type[ImageEncoder]] = Registry(
    "kinemill.models.encoders.images", "image encoder", "conv"
)
TEXTS: Registry[type[TextEncoder]] = Registry(
    "kinemill.models.encoders.texts", "text encoder", "words"
)


def default_encoder(size: tuple[int, int]) -> ImageEncoder:
    """Return `nature` for an image of 36 x 36 pixels or more, else `conv`."""
    name = "nature" if min(size) >= _NATURE_SIDE else "conv"
    return IMAGES[name].model_validate({"type": name})
