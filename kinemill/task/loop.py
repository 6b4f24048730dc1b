"""The `loop` part of a task file: learn from episodes that a planner with the model collects."""

from collections.abc import Mapping

from pydantic import Field

from kinemill.task.bounds import Count, Fraction, RatioOrZero, Seconds, Seed, Steps
from kinemill.task.channels import Channel
from kinemill.task.control import Range
from kinemill.task.plugins import Settings
from kinemill.task.settings import Problems, unknown_names


class Loop(Settings):
    """Rounds of collecting episodes and training on all of them."""

    rounds: Count = 5
    """largest number of rounds"""
    random_episodes: Count = 4
    """episodes of random actions for the first round"""
    random_seconds: Seconds | None = None
    """length of these episodes, s; default: `control.seconds`"""
    episodes: Count = 2
    """episodes that each further round collects with the latest model"""
    explore: RatioOrZero = 0.1
    """standard deviation of the noise on their actions, in halves of the action's range"""
    color: float = Field(default=1.0, ge=0.0, le=4.0)
    """exponent of the noise's power spectrum 1 / f^color: 0 white, 1 pink, 2 red"""
    limits: dict[str, Range] = {}
    """state: lowest and highest value while collecting; an episode beyond them stops the round;
    default: the `limits` of the channels"""
    target: Fraction | None = None
    """share of the `verify.closed_loop` episodes that must succeed; the loop ends after the round
    that reaches it; default: all rounds run"""
    warm_start: bool = True
    """start each training from the version of the previous round"""
    refit_steps: Steps | None = None
    """`learn.steps` of these trainings; default: as in the first round"""
    seed: Seed = 0
    """seed of starts, random actions and noise"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: limits of channels that are no states, or in the wrong order."""
        states = [name for name, channel in channels.items() if channel.role == "state"]
        return unknown_names(self.limits, states, "state", "limits") + [
            (("limits", name), f"{low:g} is not below {high:g}")
            for name, (low, high) in self.limits.items()
            if name in states and low >= high
        ]
