"""Settings of the objective `dynamics`: curriculum, fit, features of channels."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from kinemill.task import (
    Channel,
    Count,
    Problems,
    RatioOrZero,
    RowCount,
    Seconds,
    Steps,
    Task,
    unknown_channels,
)
from kinemill.task.plugins import ENCODINGS, Encoding, Scale, Settings, pick


class HorizonSchedule(Settings):
    """Growing horizon: the gradients of an untrained model over long rollouts are mostly noise."""

    first: RowCount = 1
    """horizon at the first training step"""
    steps: Steps = 1000
    """training steps until it reaches `learn.horizon`, linearly"""

    def at(self, step: int, horizon: int) -> int:
        """Return the length of rollouts at a training step, at most `horizon`."""
        if step >= self.steps:
            return horizon
        first = min(self.first, horizon)
        return first + (horizon - first) * step // self.steps


class GaussNewton(Settings):
    """Gauss-Newton fit over rollouts before the training by gradients, for few parameters."""

    windows: Count = 512
    """training windows, evenly spaced"""
    iterations: Count = 20
    """upper bound over a quarter of `horizon`, then over all"""
    ridge: RatioOrZero = 0.0
    """penalty on parameter changes, relative to the squared errors"""
    n_init: Count = 1
    """random initializations; the best in validation is kept"""
    seconds: Seconds | None = None
    """time limit of all initializations and members together, s; after it, the best parameters so
    far are used; default: none"""


USUAL = {"angle": "cos_sin", "coordinate": "relative"}  # by kind of channel; other kinds: plain

EncodingSetting = Annotated[SerializeAsAny[Encoding], BeforeValidator(pick(ENCODINGS, Encoding))]


class Encodings(Settings):
    """How channels become the features of a network."""

    scale: Scale = "z_score"
    """default of features, from the training split only: z_score (mean 0, standard deviation 1),
    range (lowest and highest become -1 and 1), none, or [low, high], which become -1 and 1"""
    channels: dict[str, EncodingSetting] = {}
    """encoding by channel; default: by its kind"""

    def problems(self, channels: Mapping[str, Channel], window: str = "carried") -> Problems:
        """Return the problems: unknown channels, and origins that a carried window lacks."""
        problems = unknown_channels(list(self.channels), channels, "channels")
        if window == "sliding":
            return problems
        return problems + [
            (
                ("channels", name),
                f"a carried window does not keep its {encoding.origin} row; set `window: sliding`",
            )
            for name, encoding in self.channels.items()
            if encoding.origin in ("first", "last")
        ]

    def of(self, task: Task, window: str = "carried") -> tuple[Encoding, ...]:
        """Return the encoding of each column of `task`, with its scale and origin."""
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
