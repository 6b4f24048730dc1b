"""Settings that models of levels and changes share: `arx` and `narx`."""

from typing import ClassVar

from pydantic import Field

from kinemill.task import Model, RatioOrZero


class LagModel(Model):
    """Base of settings: the penalty on weights, and channels that enter through changes alone."""

    channel_keys: ClassVar[tuple[str, ...]] = ("relative",)
    ridge: RatioOrZero = Field(
        default=1e-6, description="penalty on weights, relative to the rows fitted"
    )
    relative: list[str] | None = Field(
        default=None,
        description="channels that enter through their changes alone, so that their zero does not "
        "matter; default: those that `learn.encoding` encodes as `relative`",
    )
