"""Augmented random search (Mania et al., 2018): steps along random directions, by their returns."""

from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.models.mlp import MLP
from kinemill.policies.rl.learner import Learner, Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task.bounds import Count, Quantity, Ratio
from kinemill.task.reinforcement import ALGORITHMS, Algorithm, Head


@ALGORITHMS.register("ars")
class ARS(Algorithm):
    """Augmented random search, without gradients; for small policies and long horizons.

    `learn.optimizer.lr` is the step size.
    """

    acts: ClassVar[tuple[str, ...]] = ("continuous", "choice")
    head: ClassVar[Head] = "squashed"
    type: Literal["ars"] = "ars"
    n_delta: Count = Field(
        default=8, description="random directions, each with both signs", examples=[8, 16, 32]
    )
    n_top: Count | None = Field(
        default=None, description="best directions used in the update; default: all"
    )
    delta_std: Ratio = Field(
        default=0.05, description="length of a direction, per weight", examples=[0.02, 0.05, 0.1]
    )
    n_eval_episodes: Count = Field(default=1, description="episodes per direction")
    linear: bool = Field(default=False, description="one layer instead of `learn.model`")
    alive_bonus_offset: Quantity = Field(default=0.0, description="added to each step's reward")

    def _hidden(self, model: MLP) -> list[int]:
        return [] if self.linear else list(model.hidden_sizes)

    def core(self, learn: Reinforcement, inputs: int, outputs: int) -> Any:
        """Return the policy's network.

        Raises:
            BadInput: The model is not a plain perceptron.
        """
        from kinemill.policies.rl.networks import Perceptron, require_plain_mlp

        model = require_plain_mlp(learn.model, self.type)
        return Perceptron([inputs, *self._hidden(model), outputs], model.activation)

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        import sb3_contrib

        from kinemill.policies.rl.networks import copy_layers, require_plain_mlp
        from kinemill.policies.rl.sb3 import LibraryLearner, activation_of

        learn = site.learn

        def copied(policy: Any) -> Any:
            layers = list(policy.action_net)
            linear = [layer for layer in layers if hasattr(layer, "out_features")]
            core = self.core(learn, linear[0].in_features, linear[-1].out_features)
            copy_layers(layers, core.layers)
            return core.eval()

        networks = {
            "net_arch": self._hidden(require_plain_mlp(learn.model, self.type)),
            "activation_fn": activation_of(learn.model),
            "squash_output": True,
        }
        build = partial(
            sb3_contrib.ARS,
            "MlpPolicy",
            n_delta=self.n_delta,
            n_top=self.n_top,
            delta_std=self.delta_std,
            n_eval_episodes=self.n_eval_episodes,
            alive_bonus_offset=self.alive_bonus_offset,
            policy_kwargs=networks,
        )
        return LibraryLearner(site, build, copied)
