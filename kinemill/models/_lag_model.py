"""Settings that models of levels and changes share: `arx` and `narx`."""

from collections.abc import Mapping

from pydantic import Field

from kinemill.task.bounds import RatioOrZero
from kinemill.task.channels import Channel
from kinemill.task.plugins import Model, unknown_channels


class LagModel(Model):
    """Base of settings: the penalty on weights, and channels that enter through changes alone."""

    ridge: RatioOrZero = Field(
        default=1e-6, description="penalty on weights, relative to the rows fitted"
    )
    relative: list[str] | None = Field(
        default=None,
        description="channels that enter through their changes alone, so that their zero does not "
        "matter; default: those that `learn.encoding` encodes as `relative`",
    )

    def problems(self, channels: Mapping[str, Channel]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the names of unknown channels."""
        return unknown_channels(list(self.relative or []), channels, "relative")
