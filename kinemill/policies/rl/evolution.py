"""Evolution strategies as a learner: generations of perturbed policies, see `algorithms/evolution`.

Symbols: P members, W weights of a policy, E inputs.
"""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.policies.environments.native import MixedBox
from kinemill.policies.rl.actor import best_choices, forbid_choices, outputs_of
from kinemill.policies.rl.learner import Site
from kinemill.policies.rl.networks import Core
from kinemill.policies.rl.sb3 import seed_all
from kinemill.store import Json
from kinemill.train.checkpoint import Groups
from kinemill.train.training_state import load_optimizer, optimizer_tensors

Floats = NDArray[np.float32]


class EvolutionLearner:
    """One policy, improved by generations of perturbed copies.

    Raises:
        BadInput: The number of copies is odd.
    """

    def __init__(self, site: Site, settings: Any) -> None:
        self._site = site
        self._settings = settings
        self._steps = 0
        self._copies = site.environment
        self._random = np.random.default_rng(site.learn.seed)
        if self._copies.num_envs % 2:
            count = str(self._copies.num_envs)
            raise BadInput("learn.num_envs", count, expected="an even number: mirrored pairs")
        torch.manual_seed(site.learn.seed)
        inputs = self._copies.observation_space.shape[0]
        self._core: Core = settings.core(site.learn, inputs, outputs_of(site.layout)).eval()
        with torch.no_grad():  # near-equal scores: no choice is preferred at the start
            last = [part for part in self._core.modules() if isinstance(part, nn.Linear)][-1]
            last.weight.mul_(0.1)
        self._optimizer = site.learn.optimizer.build(list(self._core.parameters()))

    @property
    def step(self) -> int:
        """Environment steps of all members so far."""
        return self._steps

    def advance(self, until: int, seed: int | None) -> dict[str, float]:
        """Run generations up to `until` environment steps, or slightly more."""
        if seed is not None:
            seed_all(seed)
            self._random = np.random.default_rng(seed)
        values = dict[str, float]()
        while self._steps < until:
            if self._site.forecast is not None:
                self._site.forecast.at(self._steps)
            values = self._generation(self._random)
        return values

    def _generation(self, random: np.random.Generator) -> dict[str, float]:
        pairs = self._copies.num_envs // 2
        std = self._settings.noise
        here = nn.utils.parameters_to_vector(self._core.parameters()).detach()
        half = torch.from_numpy(random.standard_normal((pairs, len(here)), dtype=np.float32))
        noise = torch.cat([half, -half])  # mirrored pairs reduce the variance of the gradient
        returns = np.zeros(2 * pairs)
        for _ in range(self._settings.episodes):
            returns += self._returns(here + std * noise, int(random.integers(2**31)))
        weights = torch.from_numpy(centered_ranks(returns))
        # Salimans et al. 2017, algorithm 1; negative, because the optimizer minimizes.
        gradient = -(weights @ noise) / (len(noise) * std)
        rate = self._site.rate(self._steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        parts = self._weights(gradient[None]).values()
        for parameter, part in zip(self._core.parameters(), parts, strict=True):
            parameter.grad = part[0].clone()
        self._optimizer.step()
        return {
            "population_return": float(returns.mean()),
            "population_best": float(returns.max()),
            "gradient": float(gradient.norm()),
        }

    @torch.no_grad()
    def _returns(self, members: Tensor, seed: int) -> NDArray[np.float64]:
        """Run one episode with each of the members (P, W); return their returns (P,)."""
        weights = self._weights(members)
        count = len(members)
        self._copies.start_equally(seed)  # so that their returns compare
        rows = torch.from_numpy(self._copies.reset())
        returns = np.zeros(count)
        alive = np.ones(count, bool)
        while alive.any():
            actions = self._actions(self._core.batched(weights, rows), rows)
            observations, rewards, dones, _ = self._copies.step(actions)
            rows = torch.from_numpy(observations)
            # A copy whose episode ended starts another one, whose rewards must not count.
            returns += np.where(alive, rewards, 0.0)
            self._steps += int(alive.sum())
            alive &= ~dones
        return returns

    def _weights(self, members: Tensor) -> dict[str, Tensor]:
        """Return the parameters of all members (P, W) by name, each (P, ...)."""
        named = dict(self._core.named_parameters())
        parts = members.split([value.numel() for value in named.values()], dim=1)
        return {
            name: part.reshape(-1, *value.shape)
            for (name, value), part in zip(named.items(), parts, strict=True)
        }

    def _actions(self, raw: Tensor, rows: Tensor) -> NDArray[np.generic]:
        """Turn outputs (P, n) into actions (P, A) or choices, as `Actor` does."""
        layout = self._site.layout
        space = self._copies.action_space
        if any(layout.choices):
            if layout.agents:  # `packed_row` appends the mask to the row
                mask = rows[:, len(layout.observation) :] if layout.mask else None
            else:
                mask = torch.from_numpy(self._copies.masks) if self._copies.masked else None
            raw = forbid_choices(raw, layout.choices, mask)
            actions = best_choices(raw, layout.choices).numpy()
            if isinstance(space, MixedBox):
                return np.clip(actions, space.low, space.high)
            actions = actions.astype(np.int64)
            return actions[:, 0] if len(layout.choices) == 1 else actions
        low = torch.from_numpy(space.low)
        high = torch.from_numpy(space.high)
        return (low + 0.5 * (torch.tanh(raw) + 1.0) * (high - low)).numpy()

    def core(self) -> Core:
        """Return a copy of the policy's current network."""
        return copy.deepcopy(self._core).eval()

    def restart_weights(self) -> dict[str, Tensor]:
        """Return a copy of the policy's weights by name."""
        return {name: value.clone() for name, value in self._core.state_dict().items()}

    def start(self, restart_weights: dict[str, Tensor]) -> None:
        """Set the policy's weights by name.

        Raises:
            BadInput: The weights belong to another network.
        """
        shapes = {name: value.shape for name, value in self._core.state_dict().items()}
        if shapes != {name: value.shape for name, value in restart_weights.items()}:
            fix = "set learn.model to the sizes of the start model"
            raise BadInput("learn.start_from", "has another network", fix=fix)
        self._core.load_state_dict(restart_weights)

    def state(self) -> tuple[Groups, Json]:
        """Return network, optimizer and the count of steps."""
        groups: Groups = {
            "network": self.restart_weights(),
            "optimizer": optimizer_tensors(self._optimizer),
        }
        return groups, {"steps": self._steps}

    def restore(self, groups: Groups, state: Json) -> None:
        """Restore what `state` returned."""
        self._core.load_state_dict(groups["network"])
        load_optimizer(self._optimizer, groups.get("optimizer", {}))
        self._steps = state["steps"]


def centered_ranks(values: object) -> Floats:
    """Return ranks of values (P,) -> (P,), from -0.5 (lowest) to 0.5; ties have equal ranks.

    Salimans et al. 2017, section 2.1: rank shaping removes the effect of outlier returns.
    """
    from scipy.stats import rankdata  # which takes half a second to import

    ranks = rankdata(values)
    return ((ranks - 1.0) / max(1, len(ranks) - 1) - 0.5).astype(np.float32)
