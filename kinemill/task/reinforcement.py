"""What a task may say about reinforcement learning: an algorithm, and where its copies act."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import PositiveInt

from kinemill.registry import Registry
from kinemill.task.plugins import Plugin

Head = Literal["limits", "squashed"]  # how numbers become continuous actions

DISCOUNTS = [0.95, 0.98, 0.99, 0.995, 0.999]  # of a step, that a search tries


class Algorithm(Plugin):
    """Settings of an algorithm, and how to make what learns.

    The `examples` of a field are what `kinemill tune` tries of it where nobody says what to try.

    Attributes:
        acts: kinds of actions that it can learn: `continuous`, `choice`, `choices`.
        masked: whether it knows of choices that are forbidden.
        recurrent: whether its policy remembers.
        copies: of the environment, side by side, unless the task says.
        head: how numbers become continuous actions: held within limits, or by tanh.
    """

    acts: ClassVar[tuple[str, ...]] = ("continuous", "choice", "choices")
    masked: ClassVar[bool] = False
    recurrent: ClassVar[bool] = False
    copies: ClassVar[int] = 1
    head: ClassVar[Head] = "limits"

    @abstractmethod
    def learner(self, site: Any) -> Any:
        """Return a `kinemill.train.reinforcement.learner.Learner` at a `Site`."""

    @abstractmethod
    def core(self, learn: Any, inputs: int, outputs: int) -> Any:
        """Return the network of the policy, a `kinemill.train.reinforcement.networks.Core`.

        Args:
            learn: the `learn` part, whose `model` it is.
            inputs: numbers that it sees, after the wrappers.
            outputs: numbers that it gives: one a continuous action, one for each choice.
        """

    def compatible(self, other: str) -> bool:
        """Tell whether what the algorithm called `other` has learned can be gone on from."""
        return other == self.type


class Runner(Plugin):
    """Where the copies of an environment act."""

    workers: PositiveInt | None = None  # processes; default: one a core, at most one a copy

    @abstractmethod
    def open(self, make: Callable[[], Any], native: Any, copies: int) -> Any:
        """Return a `kinemill.train.reinforcement.vec_env.CopiesEnv`.

        Args:
            make: makes one copy, all wrappers on; pickle takes it.
            native: makes so many copies that are computed at once; None: there is no such thing.
            copies: how many.
        """


ALGORITHMS: Registry[type[Algorithm]] = Registry("kinemill.train.algorithms", "algorithm", "ppo")
RUNNERS: Registry[type[Runner]] = Registry("kinemill.train.runners", "runner", "auto")
