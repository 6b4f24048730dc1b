"""Interface between the training loop and an algorithm: `Learner` and its inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kinemill.rl.cloning import ClonedSteps
from kinemill.rl.drawing import Call
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task.reinforcement import Pretrain
from kinemill.train.checkpoint import Groups


@dataclass(frozen=True)
class Site:
    """Inputs of a learner.

    Attributes:
        learn: the `learn` part of the task.
        layout: observations and actions of the policy, without wrappers.
        environment: a `VecEnv` of stable-baselines3, copies with all wrappers on.
        device: torch device.
        callbacks: of the user, as in stable-baselines3.
    """

    learn: Any
    layout: PolicyLayout
    environment: Any
    device: Any
    callbacks: tuple[Any, ...] = ()

    @property
    def rate(self) -> Callable[[int], float]:
        """The learning rate at a step."""
        learn = self.learn
        return lambda step: learn.schedule.rate(step, learn.optimizer.lr, learn.steps)


class Learner(Protocol):
    """A learner that trains round by round."""

    @property
    def step(self) -> int:
        """Steps of the environment that it has seen, all copies together."""
        ...

    def advance(self, until: int, seed: int | None) -> dict[str, float]:
        """Train until `steps` steps are collected, or a few more.

        Args:
            until: steps since the beginning of the training.
            seed: new episodes begin, and all that is drawn follows from it; None: those that are
                on their way go on.

        Returns:
            Metrics of the algorithm by name, such as its losses.
        """
        ...

    def core(self) -> Any:
        """Return a copy of the policy's network as it is now, a `nets.Core`."""
        ...

    def critic(self) -> Call | None:
        """Return the call of the critics, to draw them; None without critics."""
        ...

    def restart_weights(self) -> dict[str, Any]:
        """Return tensors by name: what another training can start from."""
        ...

    def start(self, restart_weights: dict[str, Any]) -> None:
        """Take what `learned` of a compatible algorithm returned.

        Raises:
            BadInput: it is of other networks.
        """
        ...

    def state(self) -> tuple[Groups, Json]:
        """Return all that the next round depends on: tensors by group and name, and JSON."""
        ...

    def restore(self, groups: Groups, state: Json) -> None:
        """Go back to what `state` returned."""
        ...


class Cloner(Learner, Protocol):
    """A learner whose actor can be fitted to demonstrated actions."""

    def clone(self, steps: ClonedSteps, settings: Pretrain, seed: int) -> dict[str, float]:
        """Fit the actor, and return numbers such as the loss by name.

        Args:
            steps: demonstrated steps.
            settings: of behavior cloning.
            seed: of the order of the steps.
        """
        ...
