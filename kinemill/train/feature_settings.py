"""Settings of `learn.encoding`: the features of each channel."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny

from kinemill.task import Channel, Problems, Task, unknown_channels
from kinemill.task.plugins import ENCODINGS, Encoding, Scale, Settings, pick

USUAL = {"angle": "cos_sin", "coordinate": "relative"}  # by kind of channel; other kinds: plain

EncodingSetting = Annotated[SerializeAsAny[Encoding], BeforeValidator(pick(ENCODINGS, Encoding))]


class Encodings(Settings):
    """How channels become the features of a network."""

    scale: Scale = Field(
        default="z_score",
        description="default of features, from the training split only: "
        "z_score (mean 0, standard deviation 1), range (lowest and highest become -1 and 1), none, "
        "or [low, high], which become -1 and 1",
    )
    channels: dict[str, EncodingSetting] = Field(
        default={}, description="encoding by channel; default: by its kind"
    )

    def problems(self, channels: Mapping[str, Channel], window: str = "carried") -> Problems:
        """Return the problems: unknown channels, and origins that a carried window lacks."""
        problems = unknown_channels(list(self.channels), channels, "channels")
        if window == "sliding":
            return problems
        return problems + [
            (("channels", name), f"the {encoding.origin} row moves on; it needs `window: sliding`")
            for name, encoding in self.channels.items()
            if encoding.origin in ("first", "last")
        ]

    def of(self, task: Task, window: str = "carried") -> tuple[Encoding, ...]:
        """Return the encoding of each column of `task`, its scale and origin filled in."""
        return tuple(self._filled(name, task.channels[name].kind, window) for name in task.columns)

    def _filled(self, name: str, kind: str, window: str) -> Encoding:
        encoding = self.channels.get(name)
        if encoding is None:
            usual = USUAL.get(kind, "plain")
            encoding = ENCODINGS[usual](type=usual)
        scale = encoding.scale or ("none" if encoding.bounded else self.scale)
        filled = {"scale": scale}
        if encoding.type == "relative" and encoding.origin is None:
            filled["to"] = "previous" if window == "carried" else "first"
        return encoding.model_copy(update=filled)
