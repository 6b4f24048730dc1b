"""Quantile regression DQN (Dabney et al., 2018): the distribution of each choice's return."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._value_based import ValueBased
from kinemill.policies.rl.learner import Learner, Site
from kinemill.task import ALGORITHMS, Width


@ALGORITHMS.register("qrdqn")
class QRDQN(ValueBased):
    """DQN that learns quantiles of the return: off-policy, for one choice per step."""

    acts_by: ClassVar[str] = "quantile_net"
    type: Literal["qrdqn"] = "qrdqn"
    n_quantiles: Width = Field(
        default=50, description="quantiles of the return, per choice", examples=[10, 50, 200]
    )

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the network in a policy of the library, in order."""
        from kinemill.policies.rl.q_learning import mean_layer

        *hidden, last = policy.quantile_net.quantile_net
        return [*hidden, mean_layer(last, self.n_quantiles)]

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        from kinemill.policies.rl.q_learning import QuantileDQN

        settings = self.shared(site)
        settings["policy_kwargs"] |= {"n_quantiles": self.n_quantiles}
        return self.made(site, QuantileDQN, settings)
