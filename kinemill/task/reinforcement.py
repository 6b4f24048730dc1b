"""Reinforcement learning settings: the algorithm, and the runner of its environments."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, Protocol

from kinemill.registry import Registry
from kinemill.task.blocks import ObservedPart
from kinemill.task.bounds import BatchSize, Count, LearningRate, Processes, Ratio, Steps
from kinemill.task.imitation import ImageEncoder
from kinemill.task.plugins import Model, Plugin, Settings

Head = Literal["limits", "squashed"]  # how numbers become continuous actions

DISCOUNTS = [0.95, 0.98, 0.99, 0.995, 0.999]  # per step, candidates of a search


class Pretrain(Settings):
    """Behavior cloning of `learn.start_from` before reinforcement learning."""

    episodes: Count = 50
    """episodes of the policy to clone; a dataset has its own"""
    steps: Steps = 2000
    """optimizer steps of cloning"""
    lr: LearningRate = 1e-3
    """learning rate of Adam for cloning"""
    batch_size: BatchSize = 128
    """demonstrated steps per optimizer step"""
    min_std: Ratio = 0.2
    """least standard deviation of actions after cloning, in halves of their range"""
    replay: bool = False
    """put the episodes of the policy into the replay buffer"""


@dataclass(frozen=True)
class ImageInput:
    """An image of a network's input: its shape (H, W, C) and number of frames."""

    shape: tuple[int, int, int]
    frames: int = 1

    @property
    def pixels(self) -> int:
        """Values of all frames."""
        return self.frames * prod(self.shape)


@dataclass(frozen=True)
class NetworkInputs:
    """The row that a network reads.

    Attributes:
        parts: parts of the row by name.
        frames: stacked frames of the numbers, see the wrapper `frame_stack`.
        images: images at the end of the row.
        agents: agents that act in turns, each a `kinemill.runtime.agents.Agent`.
    """

    parts: Sequence[ObservedPart] = ()
    frames: int = 1
    images: Sequence[ImageInput] = ()
    agents: Sequence[Any] = ()


class NetworkSettings(Protocol):
    """The part of `learn` that defines networks."""

    @property
    def model(self) -> Model:
        """Architecture behind the encoders."""
        ...

    @property
    def image(self) -> ImageEncoder | None:
        """Encoder of each image; None: by its size."""
        ...

    @property
    def inputs(self) -> NetworkInputs:
        """What a network reads."""
        ...

    def with_inputs(self, inputs: NetworkInputs) -> "NetworkSettings":
        """Return a copy for networks with these inputs."""
        ...


class Algorithm(Plugin):
    """Settings of an algorithm, and factories of its learner and network.

    The `examples` of a field are the default candidates of `kinemill model tune`.

    Attributes:
        acts: supported kinds of actions: `continuous`, `choice`, `choices`, and `mixed`.
        reads_images: whether its networks can encode images.
        masked: whether it supports action masks.
        needs_mask: whether it requires action masks.
        multi_agent: whether it can train agents that act in turns.
        recurrent: whether its policy has a recurrent state.
        norms_critics: whether each critic can be a separate perceptron with layer normalization.
        uses_batches: whether an optimizer step uses `learn.batch_size` environment steps.
        single_steps: whether it trains on single steps of new rollouts, so that it can add their
            mirror images, and its critic can observe more than the actor.
        num_envs: default number of parallel environments.
        head: how numbers become continuous actions: clipped to limits, or squashed by tanh.
    """

    acts: ClassVar[tuple[str, ...]] = ("continuous", "choice", "choices")
    reads_images: ClassVar[bool] = False
    masked: ClassVar[bool] = False
    needs_mask: ClassVar[bool] = False
    multi_agent: ClassVar[bool] = False
    recurrent: ClassVar[bool] = False
    norms_critics: ClassVar[bool] = False
    uses_batches: ClassVar[bool] = False
    single_steps: ClassVar[bool] = False
    num_envs: ClassVar[int] = 1
    head: ClassVar[Head] = "limits"

    @abstractmethod
    def learner(self, site: Any) -> Any:
        """Return a `kinemill.policies.rl.learner.Learner` for a `Site`."""

    @abstractmethod
    def core(self, learn: Any, inputs: int, outputs: int) -> Any:
        """Return the network of the policy, a `kinemill.policies.rl.networks.Core`.

        Args:
            learn: the `learn` part with the `model`.
            inputs: size of the observation after the wrappers.
            outputs: number of outputs: one per continuous action, one per choice.
        """

    def has_privileged_critic(self, learn: Any) -> bool:
        """Return whether the critic can observe more than the actor, with the models of `learn`."""
        del learn
        return False

    def critic_problem(self) -> str | None:
        """Return why a separate model of the critic has no effect; None: it has one."""
        return f"has no effect: {self.type} has no critic"

    def pretrain_problem(self) -> str | None:
        """Return why the algorithm cannot clone demonstrations; None: it can."""
        return f"has no effect: {self.type} has no actor that cloning can fit"

    def cloning_loss(self, policy: object, rows: object, actions: object, masks: object) -> object:
        """Return the loss of demonstrated actions, for algorithms without a `pretrain_problem`.

        Args:
            policy: of the library.
            rows: observations after the wrappers, (B, E).
            actions: (B, A) before the wrappers.
            masks: allowed choices (B, M); None: all.
        """
        raise NotImplementedError(type(self).__name__)

    def finish_cloning(self, policy: object, least_std: object) -> None:
        """Prepare a policy of the library for exploration after cloning.

        Args:
            policy: of the library.
            least_std: least standard deviation of each continuous action, a tensor (A,).
        """

    def compatible(self, algorithm: str) -> bool:
        """Return whether training can resume from a model of the algorithm `other`."""
        return algorithm == self.type


class Runner(Plugin):
    """Runner of the parallel environments."""

    # processes; default: one per core, at most one per environment
    workers: Processes | None = None
    """worker processes; default: one per core, at most one per environment"""

    @abstractmethod
    def open(self, make: Callable[[], object], native: object, copies: int) -> Any:
        """Return a `kinemill.policies.rl.vec_env.CopiesEnv`.

        Args:
            make: picklable factory of one environment with all wrappers.
            native: factory of a given number of vectorized environments, or None.
            copies: number of environments.
        """


ALGORITHMS: Registry[type[Algorithm]] = Registry(
    "kinemill.policies.rl.algorithms", "algorithm", "ppo"
)
RUNNERS: Registry[type[Runner]] = Registry("kinemill.policies.rl.runners", "runner", "auto")
