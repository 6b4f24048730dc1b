"""Algorithms of stable-baselines3 and sb3-contrib as learners.

Their archives contain pickles, so checkpoints store tensors and JSON instead.

Symbols: N steps, B batch, E inputs of a network, A actions.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, TypeGuard

import numpy as np
import torch
from gymnasium.spaces import Box
from numpy.typing import NDArray
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.models.mlp import MLP
from kinemill.policies.rl.cloning import ClonedSteps, Transitions, fit_actor
from kinemill.policies.rl.learner import Forecast, Site
from kinemill.policies.rl.networks import Core, ModelCore, Perceptron, extractor_of, policies_of
from kinemill.policies.rl.objective import Reinforcement
from kinemill.store import Json
from kinemill.task.plugins import Model
from kinemill.task.reinforcement import Pretrain
from kinemill.train.checkpoint import Groups
from kinemill.train.training_state import load_optimizer, optimizer_tensors

_ACTIVATIONS = {
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
}
_COUNTERS = ("num_timesteps", "_episode_num", "_n_updates", "_n_calls", "exploration_rate")
_BUFFER_STATE = ("pos", "full")  # in the replay buffer
_REPLAY = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


class ModelExtractor(BaseFeaturesExtractor):
    """A model of `kinemill.models` before stable-baselines3's own layers.

    Args:
        observation_space: space of vectors (E,).
        learn: settings of the model and of image encoders.
        features: number of outputs; with agents, of each policy's network.
    """

    def __init__(
        self, observation_space: Box[np.float32], learn: Reinforcement, features: int
    ) -> None:
        super().__init__(observation_space, features * (len(policies_of(learn.inputs.agents)) or 1))
        self.extractor = extractor_of(learn, observation_space.shape[0], features)

    def forward(self, observations: Tensor) -> Tensor:
        """Return features: (B, E) -> (B, features)."""
        return self.extractor(observations)


def is_plain(model: Model) -> TypeGuard[MLP]:
    """Return whether a model is a perceptron that stable-baselines3 can build."""
    return isinstance(model, MLP) and model.dropout == 0.0 and model.bias and not model.layer_norm


def plain_models(learn: Reinforcement) -> tuple[MLP, MLP] | None:
    """Return the models of actor and critic if stable-baselines3 can build them, else None."""
    actor = learn.model
    critic = learn.of_critic().model
    if learn.critic is not None and has_normalized_critic(learn):
        # `with_layer_norm` inserts the norms into a critic that the library builds without them.
        critic = critic.model_copy(update={"layer_norm": False})
    if learn.inputs.images or learn.inputs.agents or not is_plain(actor) or not is_plain(critic):
        return None
    return (actor, critic) if actor.activation == critic.activation else None


def actor_network(
    learn: Reinforcement, inputs: int, outputs: int, features: int, *, is_shared: bool = False
) -> Core:
    """Return the network of an actor, as the library builds it: (B, inputs) -> (B, outputs).

    `features` counts the inputs of the head of a shared model, or of one that is no perceptron.
    """
    models = plain_models(learn)
    if models is None or is_shared:
        return ModelCore(extractor_of(learn, inputs, features), outputs)
    actor, _ = models
    return Perceptron([inputs, *actor.hidden_sizes, outputs], actor.activation)


def has_normalized_critic(learn: Reinforcement) -> bool:
    """Return whether each critic is a perceptron of its own with layer normalization."""
    critic = learn.critic
    return learn.algorithm.norms_critics and isinstance(critic, MLP) and critic.layer_norm


def with_layer_norm(policy: type[Any]) -> type[Any]:
    """Return a subclass of a stable-baselines3 policy whose critics normalize hidden values."""

    class NormalizedPolicy(policy):
        """A policy with a `LayerNorm` behind each hidden linear layer of its critics."""

        def make_critic(self, features_extractor: object = None) -> Any:
            """Make the critics of off-policy algorithms."""
            critic = super().make_critic(features_extractor)
            for network in critic.q_networks:
                linear = [k for k, layer in enumerate(network) if isinstance(layer, nn.Linear)]
                # From the last to the first: an insertion then shifts no index that is still used.
                for index in reversed(linear[:-1]):
                    layer = network[index]
                    norm = nn.LayerNorm(layer.out_features, device=layer.weight.device)
                    network.insert(index + 1, norm)
            return critic

    return NormalizedPolicy


def has_own_critic(learn: Reinforcement) -> bool:
    """Return whether the critics need a feature extractor separate from the actor's."""
    return learn.critic is not None and plain_models(learn) is None


def with_critic(policy: type[Any], learn: Reinforcement, features: int) -> type[Any]:
    """Return a subclass of a library policy whose critics have the model `learn.critic`."""

    class CriticPolicy(policy):
        """A policy whose critics have a separate model."""

        _makes_critic = False

        def make_critic(self, features_extractor: object = None) -> object:
            """Make the critics of off-policy algorithms."""
            self._makes_critic = True
            try:
                return super().make_critic(features_extractor)
            finally:
                self._makes_critic = False

        def make_features_extractor(self) -> object:
            """Make the extractor of the actor on the first call, later that of the critic."""
            # On-policy classes build the actor's extractor first (ActorCriticPolicy.__init__).
            if self._makes_critic or "features_extractor" in self._modules:
                return ModelExtractor(self.observation_space, learn.of_critic(), features)
            return super().make_features_extractor()

    return CriticPolicy


def activation_of(model: Model) -> type[nn.Module]:
    """Return the class of a model's activation; tanh for models without one."""
    return _ACTIVATIONS.get(getattr(model, "activation", "tanh"), nn.Tanh)


def policy_kwargs(
    learn: Reinforcement,
    net_arch: Sequence[int] | Mapping[str, Sequence[int]],
    features: int | None = None,
) -> dict[str, object]:
    """Return `policy_kwargs` of a policy with the model and optimizer of `learn`.

    `features` counts the outputs of a model before the layers; None: no such model.
    """
    settings: dict[str, object] = {
        "activation_fn": activation_of(learn.model),
        "optimizer_class": lambda parameters, **_: learn.optimizer.build(list(parameters)),
        "net_arch": net_arch,
    }
    if features is None:
        return settings
    extractor = {"learn": learn, "features": features}
    settings |= {"features_extractor_class": ModelExtractor, "features_extractor_kwargs": extractor}
    return settings


def seed_all(seed: int) -> None:
    """Seed the random generators of Python, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # stable-baselines3 uses the global generator
    torch.manual_seed(seed)


class ForecastCallback(BaseCallback):
    """Calls a forecast at the starts of rollouts, from the first update on."""

    def __init__(self, forecast: Forecast) -> None:
        super().__init__()
        self._forecast = forecast

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= getattr(self.model, "learning_starts", 0):
            self._forecast.at(self.num_timesteps)


class LibraryLearner:
    """A model of stable-baselines3 that trains in rounds.

    Args:
        site: environment and settings of the training.
        build: (env, learning_rate, device, seed) -> model of stable-baselines3.
        core: copies the network of a stable-baselines3 policy.
    """

    def __init__(
        self, site: Site, build: Callable[..., object], core: Callable[[object], Core]
    ) -> None:
        self._site = site
        self._core = core
        rate = site.rate
        environment = site.environment
        self.model: Any = build(
            env=environment,
            learning_rate=lambda _: rate(self._steps()),
            device=site.device,
            seed=site.learn.seed,
        )
        # The default logger creates a temporary folder that is never deleted.
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        # Each round is a whole training for the library, whose schedules would restart.
        self.model._update_current_progress_remaining = self._update_progress

    def _update_progress(self, timesteps: int, total: int) -> None:
        del total  # of the round
        share = timesteps / self._site.learn.total_steps
        self.model._current_progress_remaining = max(0.0, 1.0 - share)

    def _steps(self) -> int:
        model = getattr(self, "model", None)  # also called while the model is built
        return 0 if model is None else model.num_timesteps

    @property
    def step(self) -> int:
        """Environment steps so far."""
        return self.model.num_timesteps

    def advance(self, until: int, seed: int | None) -> dict[str, float]:
        """Train up to `until` environment steps, or slightly more; a seed starts new episodes."""
        if seed is not None:
            self._reset_episodes(seed)
        forecast = self._site.forecast
        callbacks = [*self._site.callbacks, *([ForecastCallback(forecast)] if forecast else [])]
        # Further steps: with `reset_num_timesteps=False` the library adds the steps so far.
        self.model.learn(
            until - self.step,
            callback=callbacks or None,
            log_interval=None,
            reset_num_timesteps=False,
        )
        values = dict(self.model.logger.name_to_value)
        self.model.logger.name_to_value.clear()
        return {
            name.removeprefix("train/"): float(value)
            for name, value in values.items()
            if name.startswith("train/") and isinstance(value, int | float | np.number)
        }

    def _reset_episodes(self, seed: int) -> None:
        seed_all(seed)
        self.model.env.seed(seed)
        self.model.env.action_space.seed(seed)
        self.model.action_space.seed(seed)
        # `learn` resets the environments, with the new seeds, only if this is None.
        self.model._last_obs = None

    def core(self) -> Core:
        """Return a copy of the policy's current network."""
        return self._core(self.model.policy)

    def restart_weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights of all networks by name, critics included."""
        return {name: value.detach().clone() for name, value in self._weights().items()}

    def _weights(self) -> dict[str, Tensor]:
        return dict(self.model.policy.state_dict())

    def start(self, restart_weights: dict[str, Tensor]) -> None:
        """Set the weights of all networks by name.

        Raises:
            BadInput: The weights belong to other networks.
        """
        weights = self._weights()
        different = [
            name
            for name in {*weights, *restart_weights}
            if name not in weights
            or name not in restart_weights
            or weights[name].shape != restart_weights[name].shape
        ]
        if different:
            raise BadInput(
                "learn.start_from",
                f"has other networks: {', '.join(sorted(different)[:4])}",
                fix="set learn.model and learn.critic to the sizes of the start model",
            )
        self.model.policy.load_state_dict(restart_weights)

    def clone(self, steps: ClonedSteps, settings: Pretrain, seed: int) -> dict[str, float]:
        """Fit the actor to demonstrated actions; critics and optimizers do not change."""
        algorithm = self._site.learn.algorithm
        policy = self.model.policy
        policy.set_training_mode(True)
        device = torch.device(self._site.device)
        loss = partial(algorithm.cloning_loss, policy)
        losses = fit_actor(loss, policy.parameters(), steps, settings, seed, device)
        algorithm.finish_cloning(policy, self._least_std(settings))
        if settings.replay and steps.transitions is not None:
            fill_replay(self.model, steps.rows, steps.actions, steps.transitions)
        return losses

    def _least_std(self, settings: Pretrain) -> Tensor:
        """Return the least standard deviation of each continuous action, (A,) in task units."""
        space = self.model.action_space
        if not isinstance(space, Box):
            return torch.ones(0)
        half = torch.from_numpy(0.5 * (space.high - space.low))
        half = torch.where(torch.isfinite(half), half, torch.ones_like(half))
        choices = self._site.layout.choices or (0,) * len(half)
        return settings.min_std * half[[not count for count in choices]]

    def state(self) -> tuple[Groups, Json]:
        """Return networks, optimizers, replay buffer and counters."""
        groups: Groups = {"networks": self.restart_weights()}  # copies: safetensors refuses shared
        names, variables = self.model._get_torch_save_params()
        for name in names:
            part = attrgetter(name)(self.model)
            if isinstance(part, torch.optim.Optimizer):
                groups[f"optimizer/{name.replace('.', '/')}"] = optimizer_tensors(part)
        groups["variables"] = {name: getattr(self.model, name) for name in variables}
        buffer = getattr(self.model, "replay_buffer", None)
        counters = {
            name: getattr(self.model, name) for name in _COUNTERS if hasattr(self.model, name)
        }
        if buffer is None:
            return groups, counters
        groups["replay"] = _replay_tensors(buffer)
        return groups, counters | {name: getattr(buffer, name) for name in _BUFFER_STATE}

    def restore(self, groups: Groups, state: Json) -> None:
        """Restore what `state` returned."""
        self.model.policy.load_state_dict(groups["networks"])
        names, variables = self.model._get_torch_save_params()
        for name in names:
            part = attrgetter(name)(self.model)
            if isinstance(part, torch.optim.Optimizer):
                load_optimizer(part, groups.get(f"optimizer/{name.replace('.', '/')}", {}))
        for name in variables:
            getattr(self.model, name).data.copy_(groups["variables"][name])
        for name in {*_COUNTERS} & {*state}:
            setattr(self.model, name, state[name])
        if "pos" in state:
            _refill_replay(self.model.replay_buffer, groups["replay"], state)


def fill_replay(
    model: OffPolicyAlgorithm,
    rows: NDArray[np.generic],
    actions: NDArray[np.float32],
    transitions: Transitions,
) -> None:
    """Add demonstrated steps to the replay buffer, up to its size.

    Args:
        model: off-policy model of stable-baselines3.
        rows: observations, (N, E).
        actions: (N, A) in the space of the model's environment.
        transitions: next observations, rewards and ends of episodes.
    """
    buffer = model.replay_buffer
    assert buffer is not None
    count = min(len(rows) // buffer.n_envs, buffer.buffer_size)
    # The buffer stores next observations, so an episode may spread over its environments.
    for first in range(0, count * buffer.n_envs, buffer.n_envs):
        rounds = slice(first, first + buffer.n_envs)
        cut = transitions.truncated[rounds]
        buffer.add(
            rows[rounds],
            transitions.next_rows[rounds],
            model.policy.scale_action(actions[rounds]),
            transitions.rewards[rounds],
            transitions.ended[rounds],
            [{"TimeLimit.truncated": bool(ended)} for ended in cut],
        )


def _replay_tensors(buffer: ReplayBuffer) -> dict[str, Tensor]:
    """Return the filled part of a replay buffer, (steps, environments, ...) by name."""
    rows = buffer.buffer_size if buffer.full else buffer.pos
    return {name: torch.from_numpy(getattr(buffer, name)[:rows]) for name in _REPLAY}


def _refill_replay(buffer: ReplayBuffer, tensors: Mapping[str, Tensor], state: Json) -> None:
    for name, value in tensors.items():
        getattr(buffer, name)[: len(value)] = value.numpy()
    for name in _BUFFER_STATE:
        setattr(buffer, name, state[name])
