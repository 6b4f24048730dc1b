"""Quantile regression DQN (Dabney et al., 2018): the distribution of each choice's return."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._value_based import ValueBased
from kinemill.policies.rl.learner import Site
from kinemill.task import ALGORITHMS, Width


@ALGORITHMS.register("qrdqn")
class QRDQN(ValueBased):
    """DQN that learns quantiles of the return: off-policy, for one choice per step."""

    library: ClassVar[str] = "sb3_contrib:QRDQN"
    features_by: ClassVar[str] = "quantile_net.features_extractor"
    type: Literal["qrdqn"] = "qrdqn"
    n_quantiles: Width = Field(default=50, examples=[10, 50, 200])
    """quantiles of the return, per choice"""

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the network in a policy of the library, in order."""
        *hidden, last = policy.quantile_net.quantile_net
        return [*hidden, mean_layer(last, self.n_quantiles)]

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of sb3-contrib."""
        settings: dict[str, Any] = {**super().settings(site)}
        settings["policy_kwargs"] |= {"n_quantiles": self.n_quantiles}
        return settings


def mean_layer(layer: Any, quantiles: int) -> Any:
    """Return the linear layer of the mean over the quantiles of each action.

    The outputs of the layer are all actions of a quantile, then of the next one.
    """
    import torch

    mean = torch.nn.Linear(layer.in_features, layer.out_features // quantiles)
    with torch.no_grad():
        mean.weight.copy_(layer.weight.view(quantiles, -1, layer.in_features).mean(dim=0))
        mean.bias.copy_(layer.bias.view(quantiles, -1).mean(dim=0))
    return mean
