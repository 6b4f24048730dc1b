"""Off-policy algorithms: shared settings of algorithms with a replay buffer."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kinemill.policies.rl.algorithms._library import LibraryAlgorithm
from kinemill.policies.rl.learner import Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task.bounds import Count, Steps, StepsOrZero, Weight, Width
from kinemill.task.protocols import TorchModule
from kinemill.task.reinforcement import DISCOUNTS, Head


class Replaying(LibraryAlgorithm):
    """Shared settings of off-policy algorithms; an update draws `learn.batch_size` steps."""

    features_by: ClassVar[str] = "actor.features_extractor"
    uses_batches: ClassVar[bool] = True
    reads_images: ClassVar[bool] = True
    gamma: float = Field(default=0.99, gt=0.0, le=1.0, examples=DISCOUNTS)
    """discount of a step"""
    tau: float = Field(default=0.005, gt=0.0, le=1.0, examples=[0.005, 0.01, 0.02])
    """rate of the target networks' moving average"""
    buffer_size: Steps = 1_000_000
    """replay buffer size, steps"""
    learning_starts: StepsOrZero = 100
    """random steps before the first update"""
    train_freq: Count = Field(default=1, examples=[1, 4, 16])
    """steps per environment between updates"""
    gradient_steps: int = Field(default=1, ge=-1, le=1_000_000, examples=[1, -1])
    """network updates after each `train_freq` steps; -1: one per step"""
    features: Width = 64
    """features of a model that is not a plain perceptron"""

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        learn = site.learn
        return super().settings(site) | {
            "buffer_size": min(self.buffer_size, learn.total_steps + learn.eval_every),
            "batch_size": learn.batch_size,
            "policy_kwargs": self.networks(learn),
        }

    @abstractmethod
    def networks(self, learn: Reinforcement) -> dict[str, object]:
        """Return stable-baselines3's `policy_kwargs`."""

    def core(self, learn: Reinforcement, inputs: int, outputs: int) -> TorchModule:
        """Return the actor's network."""
        from kinemill.policies.rl.sb3 import actor_network

        return actor_network(learn, inputs, outputs, self.features)

    def policy_class(self, site: Site, policy: type[object]) -> type[object]:
        """Return the policy class of a library algorithm, with the critics of the task."""
        from kinemill.policies.rl.sb3 import (
            has_normalized_critic,
            has_own_critic,
            with_critic,
            with_layer_norm,
        )

        if has_own_critic(site.learn):
            return with_critic(policy, site.learn, self.features)
        return with_layer_norm(policy) if has_normalized_critic(site.learn) else policy


class OffPolicy(Replaying):
    """Actor-critic algorithms for continuous actions."""

    acts: ClassVar[tuple[str, ...]] = ("continuous",)
    head: ClassVar[Head] = "squashed"
    norms_critics: ClassVar[bool] = True

    def networks(self, learn: Reinforcement) -> dict[str, object]:
        """Return stable-baselines3's `policy_kwargs`."""
        from kinemill.policies.rl.sb3 import plain_models, policy_kwargs

        models = plain_models(learn)
        if models is None:
            return policy_kwargs(learn, {"pi": [], "qf": [self.features]}, self.features)
        actor, critic = (list(model.hidden_sizes) for model in models)
        return policy_kwargs(learn, {"pi": actor, "qf": critic})

    def critic_problem(self) -> str | None:
        """Return None: the critics can have a separate model."""
        return None

    def pretrain_problem(self) -> str | None:
        """Return None: cloning can fit the actor."""
        return None

    def cloning_loss(self, policy: object, rows: object, actions: object, masks: object) -> object:
        """Return the mean squared error of the actions, squashed and within [-1, 1]."""
        import torch

        del masks
        library: Any = policy
        space = library.action_space
        demonstrated = torch.as_tensor(actions)
        low, high = (torch.as_tensor(end).to(demonstrated) for end in (space.low, space.high))
        target = 2.0 * (demonstrated - low) / (high - low) - 1.0
        return (library(rows, deterministic=True) - target).square().mean()

    def finish_cloning(self, policy: object, least_std: object) -> None:
        """Copy the actor to its target network, if the algorithm has one."""
        del least_std
        library: Any = policy
        if getattr(library, "actor_target", None) is not None:
            library.actor_target.load_state_dict(library.actor.state_dict())

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the actor of a policy of the library, in order."""
        return [*policy.actor.latent_pi, policy.actor.mu]


class Stochastic(OffPolicy):
    """Actor-critic algorithms whose policy is a distribution, with entropy in the objective."""

    ent_coef: Weight | Literal["auto"] = "auto"
    """weight of the entropy in the objective; auto: learned"""
    sde_sample_freq: Count | None = None
    """steps between draws of state-dependent exploration noise (gSDE), at most `train_freq`;
    default: independent noise at each step"""

    @model_validator(mode="after")
    def _draws_between_updates(self) -> Self:
        # stable-baselines3 also draws after each update.
        if self.sde_sample_freq is not None and self.train_freq % self.sde_sample_freq:
            message = f"sde_sample_freq {self.sde_sample_freq} does not divide train_freq"
            raise ValueError(f"{message} {self.train_freq}; noise is also drawn after each update")
        return self

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        settings: dict[str, Any] = {**super().settings(site)}
        if self.sde_sample_freq is not None:
            settings["use_sde"] = True
            # The exported network does not clip the mean.
            settings["policy_kwargs"] = {**settings["policy_kwargs"], "clip_mean": 0.0}
        return settings
