"""On-policy algorithms: shared settings of algorithms that train on the newest steps only."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._library import LibraryAlgorithm
from kinemill.policies.rl.learner import Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task.bounds import Count, Weight, Width
from kinemill.task.protocols import TorchModule
from kinemill.task.reinforcement import DISCOUNTS


class ActorCritic(LibraryAlgorithm):
    """Shared settings of on-policy algorithms."""

    acts: ClassVar[tuple[str, ...]] = ("continuous", "choice", "choices", "mixed")
    reads_images: ClassVar[bool] = True
    multi_agent: ClassVar[bool] = True
    features_by: ClassVar[str] = "pi_features_extractor"
    num_envs = 8
    n_steps: Count = Field(default=128, examples=[32, 128, 512])
    """steps per environment between updates"""
    gamma: float = Field(default=0.99, gt=0.0, le=1.0, examples=DISCOUNTS)
    """discount of a step"""
    gae_lambda: float = Field(default=0.95, ge=0.0, le=1.0, examples=[0.8, 0.9, 0.95, 0.98])
    """λ of generalized advantage estimation"""
    ent_coef: Weight = Field(default=0.0, examples=[0.0, 0.001, 0.01])
    """weight of the entropy in the loss"""
    vf_coef: Weight = 0.5
    """weight of the critic in the loss"""
    critic: Literal["shared", "separate"] = "separate"
    """whether the critic has a separate network, `learn.critic`"""
    sde_sample_freq: Count | None = None
    """steps between draws of state-dependent exploration noise (gSDE); default: independent noise
    at each step"""
    log_std_init: float = Field(default=0.0, ge=-10.0, le=2.0, examples=[0.0, -1.0, -2.0])
    """logarithm of the initial standard deviation of continuous actions"""
    features: Width = 64
    """features of a shared model, or of one that is no plain perceptron"""

    def policy_class(self, site: Site, policy: type[object]) -> type[object]:
        """Return the policy class of a library algorithm for the task's kind of actions."""
        from kinemill.policies.rl.actor_critics import mixed_policy, with_privileged_critic
        from kinemill.policies.rl.sb3 import has_own_critic, with_critic

        layout = site.layout
        kind: Any = policy
        if layout.agents or layout.is_mixed:
            choices = layout.choices or (0,) * len(layout.actions)
            kind = mixed_policy(choices, layout.agents)
        if site.privileged:
            return with_privileged_critic(kind, site.privileged)
        return with_critic(kind, site.learn, self.features) if has_own_critic(site.learn) else kind

    def _rollouts(self, site: Site) -> dict[str, object]:
        """Return the library's settings of a rollout buffer with agents or with mirror images."""
        if site.mirror is not None:
            from kinemill.policies.rl.rollout_buffers import MirroredRollouts

            images = {"mirror": site.mirror}
            return {"rollout_buffer_class": MirroredRollouts, "rollout_buffer_kwargs": images}
        if not site.layout.agents:
            return {}
        from kinemill.policies.rl.rollout_buffers import AgentRollouts

        arguments = {"environment": site.environment, "agents": len(site.layout.agents)}
        return {"rollout_buffer_class": AgentRollouts, "rollout_buffer_kwargs": arguments}

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of stable-baselines3."""
        learn = site.learn
        # Policies for discrete actions do not accept it.
        std = {"log_std_init": self.log_std_init} if self.log_std_init else {}
        return {
            **super().settings(site),
            **({} if self.sde_sample_freq is None else {"use_sde": True}),
            **self._rollouts(site),
            "max_grad_norm": learn.grad_clip if learn.grad_clip is not None else float("inf"),
            "policy_kwargs": self.networks(learn) | std,
        }

    def networks(self, learn: Reinforcement) -> dict[str, object]:
        """Return stable-baselines3's `policy_kwargs`."""
        from kinemill.policies.rl.sb3 import plain_models, policy_kwargs

        models = plain_models(learn)
        if models is not None and self.critic == "separate":
            actor, critic = (list(model.hidden_sizes) for model in models)
            return policy_kwargs(learn, {"pi": actor, "vf": critic})
        shared = {"share_features_extractor": self.critic == "shared"}
        return policy_kwargs(learn, [], self.features) | shared

    def core(self, learn: Reinforcement, inputs: int, outputs: int) -> TorchModule:
        """Return the actor's network."""
        from kinemill.policies.rl.sb3 import actor_network

        is_shared = self.critic == "shared"
        return actor_network(learn, inputs, outputs, self.features, is_shared=is_shared)

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the actor of a policy of the library, in order."""
        return [*policy.mlp_extractor.policy_net, policy.action_net]

    def has_privileged_critic(self, learn: Reinforcement) -> bool:
        """Return whether actor and critic are separate plain perceptrons."""
        from kinemill.policies.rl.sb3 import plain_models

        return self.single_steps and self.critic == "separate" and plain_models(learn) is not None

    def pretrain_problem(self) -> str | None:
        """Return None: cloning can fit the actor's distribution."""
        return None

    def cloning_loss(self, policy: object, rows: object, actions: object, masks: object) -> object:
        """Return the mean negative log-likelihood of the actions (B, A), a scalar."""
        from gymnasium.spaces import Discrete

        library: Any = policy
        demonstrated: Any = actions
        demonstrated = (
            demonstrated[:, 0] if isinstance(library.action_space, Discrete) else demonstrated
        )
        own_masks = (masks,) if self.masked else ()
        return -library.evaluate_actions(rows, demonstrated, *own_masks)[1].mean()

    def finish_cloning(self, policy: object, least_std: object) -> None:
        """Raise the standard deviations to the least ones: a close fit would not explore."""
        import torch

        log_std = getattr(policy, "log_std", None)
        if log_std is not None:
            with torch.no_grad():
                log_std.copy_(torch.maximum(log_std, torch.as_tensor(least_std).log().to(log_std)))

    def critic_problem(self) -> str | None:
        """Return why a separate model of the critic has no effect; None: it has one."""
        return None if self.critic == "separate" else "has no effect: the critic is shared"

    def compatible(self, algorithm: str) -> bool:
        """Return whether an algorithm's networks are the same."""
        return algorithm in ("ppo", "a2c", "maskable_ppo")
