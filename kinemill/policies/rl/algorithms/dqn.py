"""Deep Q-network (Mnih et al., 2015): learn the value of each choice from a replay buffer."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._value_based import ValueBased
from kinemill.policies.rl.learner import Learner, Site
from kinemill.task import ALGORITHMS


@ALGORITHMS.register("dqn")
class DQN(ValueBased):
    """Deep Q-network: off-policy, for one choice per step."""

    acts_by: ClassVar[str] = "q_net"
    type: Literal["dqn"] = "dqn"
    double: bool = Field(
        default=True, description="double Q-learning, against overestimated values"
    )

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the network in a policy of the library, in order."""
        return [*policy.q_net.q_net]

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        from kinemill.policies.rl.q_learning import DoubleDQN

        return self.made(site, DoubleDQN, self.shared(site) | {"double": self.double})
