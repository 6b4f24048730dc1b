"""Interface between the training loop and an algorithm: `Learner` and its inputs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task.protocols import Progress
from kinemill.task.reinforcement import Pretrain
from kinemill.tracking.throughput import duration

if TYPE_CHECKING:  # settings of algorithms do not need torch
    import torch

    from kinemill.policies.rl.cloning import ClonedSteps
    from kinemill.policies.rl.mirror_image import MirrorImage
    from kinemill.policies.rl.networks import Core
    from kinemill.train.checkpoint import Groups

_FORECAST = 10.0  # s of training before the time of all of it is estimated


class Forecast:
    """Reports once how long the training takes, long before its first evaluation may end.

    Args:
        progress: receives the estimate.
        steps: environment steps of the training.
    """

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._begin: tuple[float, int] | None = None
        self._is_reported = False

    def at(self, step: int) -> None:
        """Compare with the first call; updates of the networks lie between two calls."""
        if self._is_reported:
            return
        now = time.monotonic()
        if self._begin is None:
            self._begin = now, step
        began, first = self._begin
        if now - began >= _FORECAST:
            pace = (step - first) / (now - began)
            self._progress.log_message(
                f"{pace:,.0f} steps/s: the training up to step {self._steps:,} takes about "
                f"{duration((self._steps - step) / pace)} and the time of its evaluations"
            )
            self._is_reported = True


@dataclass(frozen=True)
class Site:
    """Inputs of a learner.

    Attributes:
        learn: the `learn` part of the task.
        layout: observations and actions of the policy, without wrappers.
        environment: a `VecEnv` of stable-baselines3: copies with all wrappers.
        device: torch device.
        callbacks: callbacks of stable-baselines3, set by the user.
        forecast: estimates the time of the training; None: no estimate.
        privileged: last columns of an observation, which only the critic sees; number of them.
        mirror: mirror image of observations and actions, in which the task is the same; None: none.
    """

    learn: Any
    layout: PolicyLayout
    environment: Any
    device: Any
    callbacks: tuple[object, ...] = ()
    forecast: Forecast | None = None
    privileged: int = 0
    mirror: "MirrorImage | None" = None

    @property
    def rate(self) -> Callable[[int], float]:
        """Function from the environment step to the learning rate."""
        learn = self.learn
        return lambda step: learn.schedule.rate(step, learn.optimizer.lr, learn.steps)


class Learner(Protocol):
    """A learner that trains round by round."""

    @property
    def step(self) -> int:
        """Environment steps so far, over all copies."""
        ...

    def advance(self, until: int, seed: int | None) -> dict[str, float]:
        """Train up to `until` environment steps, or slightly more.

        Args:
            until: environment steps since the start of the training.
            seed: start new episodes, and seed all random generators; None: continue the current
                episodes.

        Returns:
            Metrics of the algorithm by name, such as its losses.
        """
        ...

    def core(self) -> "Core":
        """Return a copy of the policy's current network, a `networks.Core`."""
        ...

    def restart_weights(self) -> "dict[str, torch.Tensor]":
        """Return the tensors by name from which another training can start."""
        ...

    def start(self, restart_weights: "dict[str, torch.Tensor]") -> None:
        """Set the weights to those of `restart_weights` of a compatible algorithm.

        Raises:
            BadInput: The weights belong to other networks.
        """
        ...

    def state(self) -> "tuple[Groups, Json]":
        """Return the state that the next round depends on: tensors by group and name, and JSON."""
        ...

    def restore(self, groups: "Groups", state: Json) -> None:
        """Restore what `state` returned."""
        ...


class Cloner(Learner, Protocol):
    """A learner whose actor can be fitted to demonstrated actions."""

    def clone(self, steps: "ClonedSteps", settings: Pretrain, seed: int) -> dict[str, float]:
        """Fit the actor, and return metrics by name, such as the loss."""
        ...
