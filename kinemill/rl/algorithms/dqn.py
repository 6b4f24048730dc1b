"""Deep Q-network (Mnih et al., 2015): learn the value of each choice from a replay buffer."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.rl.algorithms._value_based import ValueBased
from kinemill.rl.learner import Learner, Site
from kinemill.task import ALGORITHMS, Settings
from kinemill.task.bounds import Share


class Prioritized(Settings):
    """Prioritized replay (Schaul et al., 2016)."""

    alpha: Share = Field(default=0.6, description="exponent of the errors; 0: uniform")
    beta: Share = Field(
        default=0.4, description="exponent of the correction at the start; it rises to 1"
    )


@ALGORITHMS.register("dqn")
class DQN(ValueBased):
    """Deep Q-network: off-policy, for one choice per step."""

    acts_by: ClassVar[str] = "q_net"
    type: Literal["dqn"] = "dqn"
    double: bool = Field(
        default=True, description="double Q-learning, against overestimated values"
    )
    dueling: bool = Field(default=False, description="dueling network: value and advantages")
    prioritized: Prioritized | None = Field(
        default=None, description="prioritized replay, `{}` for the default exponents"
    )

    def layers(self, policy: Any) -> list[object]:
        """Return the layers of the network in a policy of the library, in order."""
        network = policy.q_net
        return [*network.q_net, *([network.last_layer()] if self.dueling else [])]

    def learner(self, site: Site) -> Learner:
        """Return the learner."""
        from kinemill.rl.q_learning import DoubleDQN, DuelingPolicy

        settings, total = self.shared(site), site.learn.total_steps
        exponents = None
        if (priorities := self.prioritized) is not None:
            start = priorities.beta
            exponents = (
                priorities.alpha,
                lambda step: start + (1.0 - start) * min(step / total, 1.0),
            )
        settings |= {"double": self.double, "priorities": exponents}
        if self.dueling:
            settings["policy"] = DuelingPolicy
        return self.made(site, DoubleDQN, settings)
