"""Domain randomization: parameters of an environment that are drawn or set for each episode.

An environment with a method `vary(parameters)` is told so before each reset; of another one they
are attributes, such as `length` and `masspole` of Gymnasium's cart-pole.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from kinemill.errors import BadInput
from kinemill.registry import nearest

_STREAM = 11  # apart from what else is drawn by an episode's seed


class DomainRandomization(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Draws parameters at each reset; those of a seeded one follow from its seed.

    Args:
        env: what has them.
        drawn: lowest and highest value of each that is drawn.
        fixed: value of each that is set.

    Raises:
        BadInput: it has no such parameter.
    """

    def __init__(
        self,
        env: Any,
        drawn: Mapping[str, tuple[float, float]],
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(env)
        self._drawn, self._fixed = dict(drawn), dict(fixed or {})
        self._random = np.random.default_rng(0)
        self._told = hasattr(env.unwrapped, "vary")
        for name in () if self._told else (*self._drawn, *self._fixed):
            if not isinstance(getattr(env.unwrapped, name, None), int | float):
                known = [key for key, value in vars(env.unwrapped).items() if _is_number(value)]
                where = f"environment.randomize, variants: {name}"
                raise BadInput(where, "is no number of the environment", fix=nearest(name, known))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Draw anew, then begin an episode."""
        if seed is not None:
            self._random = np.random.default_rng([seed, _STREAM])
        values = {
            name: float(self._random.uniform(low, high))
            for name, (low, high) in self._drawn.items()
        }
        values |= self._fixed
        if self._told:
            self.env.unwrapped.vary(values)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            for name, value in values.items():
                setattr(self.env.unwrapped, name, value)
        return self.env.reset(seed=seed, options=options)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
