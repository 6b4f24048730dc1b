"""Deep Q-network (Mnih et al., 2015): learn the value of each choice from a replay buffer."""

from typing import Any, ClassVar, Literal

from kinemill.policies.rl.algorithms._value_based import ValueBased
from kinemill.task import ALGORITHMS


@ALGORITHMS.register("dqn")
class DQN(ValueBased):
    """Deep Q-network: off-policy, for one choice per step."""

    library: ClassVar[str] = "stable_baselines3:DQN"
    features_by: ClassVar[str] = "q_net.features_extractor"
    type: Literal["dqn"] = "dqn"

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the network in a policy of the library, in order."""
        return [*policy.q_net.q_net]
