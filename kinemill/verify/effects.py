"""Effects that can explain the residuals of a dynamics model, with the settings to try."""

from dataclasses import dataclass
from typing import Literal

from kinemill.store.numbers import Number

Effect = Literal[
    "linear",
    "past",
    "friction",
    "drag",
    "angle",
    "curvature",
    "product",
    "threshold",
    "end_stop",
    "drift",
]

ADVICE: dict[Effect, tuple[str, str]] = {
    "linear": (
        "the current row",
        "train longer (learn.steps, or learn.budget without a model). If the share stays, the "
        "states are noisy: a longer learn.history, or rigid_body with observer: true, filters them",
    ),
    "past": (
        "rows before the current one",
        "a longer learn.history, or a model with memory: gru, lstm, latent",
    ),
    "friction": (
        "the sign of a velocity",
        "dry friction: learn.model: rigid_body with friction: stribeck, or lugre for joints that "
        "stick; or physics",
    ),
    "drag": ("a velocity squared", "drag: learn.model: physics, or an mlp with more layers"),
    "angle": (
        "sine and cosine of an angle",
        "gravity or geometry: kind: angle at the channel, and learn.model: physics or rigid_body",
    ),
    "curvature": (
        "squares and cubes of a channel",
        "a curved characteristic: learn.model: narx or polynomial, a residual network on the "
        "best linear model: {type: linear, residual: mlp}, or, for springs and cables of joints, "
        "rigid_body with position_curve: 9",
    ),
    "product": (
        "products of two channels",
        "coupling: learn.model: physics with coupling, rigid_body or narx",
    ),
    "threshold": (
        "a threshold of an action",
        "a dead zone or saturation of the actuator: log what arrives at the motor (current, "
        "measured torque), or use learn.model: narx, which tries dead zones",
    ),
    "end_stop": (
        "contacts with an end stop",
        "no smooth model fits a contact: limits of the position inside of the stops cut these rows "
        "out, which makes the model better everywhere else",
    ),
    "drift": (
        "the time since the start of the episode",
        "a slow change that no channel measures, such as temperature or battery voltage: log it, "
        "and add its channel as an action",
    ),
}


@dataclass(frozen=True)
class UnmodeledEffect:
    """An effect that explains residuals of a channel on other splits than the test split.

    Attributes:
        channel: name of a state.
        effect: key of `ADVICE`.
        share: share of the variance of the residuals that its terms explain in addition to the
            linear terms, on rows not used in the fit; of `end_stop` the share of squared residuals
            in rows around contacts.
    """

    channel: str
    effect: Effect
    share: Number
