"""Multi-agent environments of PettingZoo, of its AEC or its parallel API, as turns of agents."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import gymnasium

from kinemill.policies.environments.gym_types import Env, Info, Options, Reset


def turns_of(environment: object) -> Env | None:
    """Return a PettingZoo environment as one whose agents act in turns; None for another thing.

    Agents of the parallel API decide one after the other, each without the actions of the others.
    """
    if find_spec("pettingzoo") is None:
        return None
    library = import_module("pettingzoo")
    conversions = import_module("pettingzoo.utils")
    if isinstance(environment, library.ParallelEnv):
        environment = conversions.parallel_to_aec(environment)
    return AecTurns(environment) if isinstance(environment, library.AECEnv) else None


class AecTurns(Env):
    """An AEC environment behind the attributes that `environments.turns` documents.

    Turns in which PettingZoo takes no action, because an agent has ended, are left out.
    """

    def __init__(self, environment: Any) -> None:
        self._inside = environment
        agents = list(environment.possible_agents)
        self.observation_spaces = {name: environment.observation_space(name) for name in agents}
        self.action_spaces = {name: environment.action_space(name) for name in agents}
        self.observation_space: Any = gymnasium.spaces.Dict(self.observation_spaces)
        self.action_space: Any = gymnasium.spaces.Dict(self.action_spaces)
        self.metadata = dict(getattr(environment, "metadata", {}))
        self.render_mode = getattr(environment, "render_mode", None)
        self.agent_selection = agents[0]

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        self._inside.reset(seed=seed, options=options)
        return self._observe(), {}

    def step(self, action: object) -> tuple[object, Any, bool, bool, Info]:
        """Advance to the next turn in which an agent acts; rewards are by agent."""
        self._inside.step(action)
        inside = self._inside
        rewards = {name: float(value) for name, value in inside.rewards.items()}
        ended = any(inside.terminations.values())
        cut = any(inside.truncations.values())
        while inside.agents and self._is_over(inside.agent_selection):
            inside.step(None)
        if inside.agents:
            return self._observe(), rewards, False, False, {}
        return self._last, rewards, ended, cut and not ended, {}

    def _is_over(self, agent: str) -> bool:
        return self._inside.terminations[agent] or self._inside.truncations[agent]

    def _observe(self) -> object:
        """Return the observation of the agent whose turn it is."""
        self.agent_selection = self._inside.agent_selection
        self._last = self._inside.observe(self.agent_selection)
        return self._last

    def render(self) -> Any:
        """Return a picture (H, W, 3)."""
        return self._inside.render()

    def close(self) -> None:
        """Close the environment."""
        self._inside.close()
