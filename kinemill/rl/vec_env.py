"""Vectorized environment: copies of one environment, as stable-baselines3 expects them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from kinemill.environments.vector_env import EPISODE
from kinemill.errors import BadInput
from kinemill.rl.sync_vec_env import answer


class CopiesEnv(VecEnv):
    """Copies in one or several places, as one environment with many rows.

    Args:
        places: each a `Copies`, or what stands for one elsewhere: with `begin(name, *args)` and
            `result()`.
        sizes: copies at each.
    """

    def __init__(self, places: Sequence[Any], sizes: Sequence[int]) -> None:
        self._places, self._starts = places, np.cumsum([0, *sizes])
        self.masked, seen, acted = self._ask(("spaces",))[0]
        for name, space in (("observation", seen), ("actions", acted)):
            if name == "observation" and (getattr(space, "shape", None) or ())[1:]:
                raise BadInput("environment: observation", f"is {space}", expected="numbers (D,)")
        super().__init__(int(self._starts[-1]), seen, acted)
        self.episodes = list[dict[str, float]]()

    def reset(self) -> Any:
        """Begin an episode in each."""
        found = self._ask(("reset", share) for share in self._shares(self._seeds))
        self._reset_seeds()
        self.masks = np.concatenate([masks for _, masks in found])
        return np.concatenate([seen for seen, _ in found])

    def step_async(self, actions: Any) -> None:
        """Let each go one step on."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> Any:
        """Return observations (B, E), rewards (B,), dones (B,), infos."""
        found = self._ask(("step", share) for share in self._shares(self._actions))
        seen, rewards, dones, _, masks = (
            np.concatenate([one[part] for one in found]) if part != 3 else None for part in range(5)
        )
        infos: list[dict[str, Any]] = [info for one in found for info in one[3]]
        if dones is not None and dones.any():
            self.episodes += [info[EPISODE] for info in infos if EPISODE in info]
        self.masks = masks
        return seen, rewards, dones, infos

    def drain(self) -> list[dict[str, float]]:
        """Return what the episodes that ended since were like."""
        found, self.episodes = self.episodes, []
        return found

    def close(self) -> None:
        """End them all."""
        for place in self._places:
            place.end()

    def _shares(self, rows: Any) -> list[Any]:
        return [rows[low:high] for low, high in pairwise(self._starts)]

    def _ask(self, wanted: Any) -> list[Any]:
        """Ask each place at once, then wait for all."""
        calls = list(wanted) if not isinstance(wanted, tuple) else [wanted] * len(self._places)
        for place, (name, *given) in zip(self._places, calls, strict=True):
            place.begin(name, *given)
        return [place.result() for place in self._places]

    def has_attr(self, attr_name: str) -> bool:
        """Tell whether choices can be forbidden, if `action_masks` is asked for."""
        return attr_name == "action_masks" and self.masked

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of each; they are drawn nowhere, and have no other."""
        del indices
        if attr_name != "render_mode":
            raise AttributeError(attr_name)
        return [None] * int(self._starts[-1])

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: an environment is what its task says."""
        del value, indices
        raise AttributeError(attr_name)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Return which choices are allowed (M,) of each."""
        del method_args, indices, method_kwargs
        if method_name != "action_masks":
            raise AttributeError(method_name)
        return list(np.asarray(self.masks))

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Tell stable-baselines3 that there are none of its wrappers."""
        del wrapper_class, indices
        return [False] * self.num_envs


class Here:
    """A place in this process.

    Args:
        copies: a `Copies`.
    """

    def __init__(self, copies: Any) -> None:
        self._copies, self._found = copies, None

    def begin(self, name: str, *given: Any) -> None:
        """Do it now."""
        self._found = answer(self._copies, name, given)

    def result(self) -> Any:
        """Return what came of it."""
        return self._found

    def end(self) -> None:
        """Close the copies."""
        self._copies.close()
