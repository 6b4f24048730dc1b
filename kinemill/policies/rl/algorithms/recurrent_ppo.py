"""PPO with an LSTM in actor and critic, for partially observed environments."""

from typing import Any, ClassVar, Literal

from kinemill.errors import BadInput
from kinemill.models.mlp import MLP
from kinemill.policies.rl.algorithms.ppo import PPO
from kinemill.policies.rl.learner import Site
from kinemill.policies.rl.objective import Reinforcement
from kinemill.task import ALGORITHMS, Width


@ALGORITHMS.register("recurrent_ppo")
class RecurrentPPO(PPO):
    """PPO with an LSTM, for partially observed environments; its state is the policy's carry."""

    library: ClassVar[str] = "sb3_contrib:RecurrentPPO"
    policy_alias: ClassVar[str] = "MlpLstmPolicy"
    acts: ClassVar[tuple[str, ...]] = ("continuous", "choice", "choices")
    recurrent: ClassVar[bool] = True
    single_steps: ClassVar[bool] = False
    reads_images: ClassVar[bool] = False
    multi_agent: ClassVar[bool] = False
    type: Literal["recurrent_ppo"] = "recurrent_ppo"
    lstm_hidden_size: Width = 64
    """hidden units of the LSTM of the actor and of the critic"""

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of sb3-contrib.

        Raises:
            BadInput: The layers above the LSTM are not a plain perceptron.
        """
        self._require_perceptron(site.learn)
        settings: dict[str, Any] = {**super().settings(site)}
        settings["policy_kwargs"] |= {"lstm_hidden_size": self.lstm_hidden_size}
        return settings

    def _require_perceptron(self, learn: Reinforcement) -> MLP:
        from kinemill.policies.rl.sb3 import plain_models

        models = plain_models(learn)
        if models is None or self.critic == "shared":
            where = "learn.algorithm: recurrent_ppo"
            expected = "model: {type: mlp}, no dropout, and a separate critic like it"
            raise BadInput(where, "already has an LSTM", expected=expected)
        return models[0]

    def core(self, learn: Reinforcement, inputs: int, outputs: int) -> Any:
        """Return the actor's network.

        Raises:
            BadInput: As `settings`.
        """
        from kinemill.policies.rl.networks import LSTMCore

        model = self._require_perceptron(learn)
        sizes = [*model.hidden_sizes, outputs]
        return LSTMCore(inputs, self.lstm_hidden_size, sizes, model.activation)

    def copied(self, learn: Reinforcement, policy: Any) -> Any:
        """Return a copy of the actor's network in a policy of the library."""
        from kinemill.policies.rl.networks import copy_layers

        head = policy.action_net
        memory = policy.lstm_actor
        core = self.core(learn, policy.observation_space.shape[0], head.out_features)
        for layer, weight, bias in (
            (core.input, memory.weight_ih_l0, memory.bias_ih_l0),
            (core.recurrent, memory.weight_hh_l0, memory.bias_hh_l0),
        ):
            layer.load_state_dict({"weight": weight, "bias": bias})
        copy_layers([*policy.mlp_extractor.policy_net, head], core.above.layers)
        return core.eval()

    def pretrain_problem(self) -> str:
        """Return that cloning is not supported: it trains on single steps."""
        return "is not supported: cloning does not train an LSTM"

    def compatible(self, algorithm: str) -> bool:
        """Return whether the networks are the same."""
        return algorithm == self.type
