"""Episode statistics of a training: episode return, length, success, actions, events."""

from collections.abc import Sequence

import gymnasium
import numpy as np

from kinemill.policies.environments.evaluation import numbers_in, success_in
from kinemill.policies.environments.gym_types import Options, Reset, Transition
from kinemill.policies.environments.vector_env import EPISODE, Episodes
from kinemill.policies.rl.statistics import Distribution

_TRAIN_KEYS = ("return", "length", "success")


class EpisodeStats(gymnasium.Wrapper[object, object, object, object]):
    """Wrapper that adds statistics of an episode to `info` at its end, in original rewards.

    Events are the numbers in `info`, such as custom metrics, summed over the episode.
    """

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        self._episodes = Episodes(1)
        self._events = dict[str, float]()
        return self.env.reset(seed=seed, options=options)

    def step(self, action: object) -> Transition:
        """Make one step, and count its reward, action and events."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._episodes.add(np.array([reward], dtype=float), action)
        if info:
            for name, value in numbers_in(info).items():
                self._events[name] = self._events.get(name, 0.0) + value
        if terminated or truncated:
            stats = self._episodes.statistics(0, ended=terminated, success=success_in(info))
            stats |= {f"event/{name}": value for name, value in self._events.items()}
            info = {**info, EPISODE: stats}
        return observation, reward, terminated, truncated, info


def mean_stats(episodes: Sequence[dict[str, float]], actions: Sequence[str]) -> dict[str, float]:
    """Return means over episodes by name, such as `train/return`, `episodes/action/NAME/mean`."""
    if not episodes:
        return {}
    means = {"episodes/count": float(len(episodes))}
    for key in dict.fromkeys(key for episode in episodes for key in episode):
        mean = float(np.mean([episode.get(key, 0.0) for episode in episodes]))
        means[
            f"train/{key}" if key in _TRAIN_KEYS else f"episodes/{_action_name(key, actions)}"
        ] = mean
    return means | Distribution.of([episode["return"] for episode in episodes]).metrics(
        "episodes/return"
    )


def _action_name(key: str, actions: Sequence[str]) -> str:
    """Return the name of a statistic, with the index of an action replaced by its name."""
    kind, _, rest = key.partition("/")
    if kind != "action":
        return key
    index, _, what = rest.partition("/")
    return f"action/{actions[int(index)]}/{what}"
