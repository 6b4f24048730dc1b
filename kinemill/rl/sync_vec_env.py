"""Some copies of an environment, one after the other in whichever process they are.

A copy that ends begins its next episode at once; the last observation of the one before is in
`terminal_observation` of its `info`, and `TimeLimit.truncated` tells that it was cut off and did
not end by itself, so that what would have come after still counts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Dict

from kinemill.runtime.policy_layout import MASK, OBSERVATION

Make = Callable[[], Any]


class Copies:
    """Some copies in this process.

    Args:
        make: makes one, all wrappers on.
        count: how many.
    """

    def __init__(self, make: Make, count: int) -> None:
        self._all = [make() for _ in range(count)]
        whole: Any = self._all[0].observation_space
        self.masked = isinstance(whole, Dict) and MASK in whole.spaces
        self._inside = isinstance(whole, Dict)
        self.observation_space = whole.spaces[OBSERVATION] if isinstance(whole, Dict) else whole
        self.action_space = self._all[0].action_space
        self._seen: Any = np.zeros((count, *(self.observation_space.shape or ())), np.float32)
        self._masks = [np.ones(0)] * count

    def reset(self, seeds: Sequence[int | None]) -> Any:
        """Begin an episode in each; return observations (B, E) and masks."""
        for k, (one, seed) in enumerate(zip(self._all, seeds, strict=True)):
            self._take(k, one.reset(seed=seed)[0])
        return self._seen.copy(), np.stack(self._masks)

    def step(self, actions: Any) -> Any:
        """Go one step on; return observations, rewards, dones, infos, masks."""
        rewards = np.zeros(len(self._all), np.float32)
        dones, infos = np.zeros(len(self._all), bool), list[dict[str, Any]]()
        for k, one in enumerate(self._all):
            seen, rewards[k], terminated, truncated, info = one.step(actions[k])
            if terminated or truncated:
                dones[k] = True
                info["TimeLimit.truncated"] = bool(truncated and not terminated)
                info["terminal_observation"] = seen[OBSERVATION] if self._inside else seen
                seen = one.reset()[0]
            infos.append(info)
            self._take(k, seen)
        return self._seen.copy(), rewards, dones, infos, np.stack(self._masks)

    def close(self) -> None:
        """Close them all."""
        for one in self._all:
            one.close()

    def _take(self, k: int, seen: Any) -> None:
        if self.masked:
            self._masks[k] = np.asarray(seen[MASK])
        self._seen[k] = seen[OBSERVATION] if self._inside else seen


def answer(copies: Any, name: str, given: Sequence[Any]) -> Any:
    """Do what a place is asked for."""
    if name == "spaces":
        return copies.masked, copies.observation_space, copies.action_space
    return getattr(copies, name)(*given)
