"""Domain randomization: parameters of an environment that are drawn or set for each episode.

The method `vary(parameters)` of the environment is called before each reset. Without such a method
the parameters are attributes, such as `length` and `masspole` of Gymnasium's cart-pole.
"""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env, Options, Reset
from kinemill.registry import nearest

_STREAM = 11  # a separate random stream for each episode's seed


class DomainRandomization(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Draws parameters at each reset; a seeded reset determines them.

    Args:
        env: the environment.
        drawn: lowest and highest value of each random parameter.
        fixed: value of each fixed parameter.

    Raises:
        BadInput: The environment has no such parameter.
    """

    def __init__(
        self,
        env: Env,
        drawn: Mapping[str, tuple[float, float]],
        fixed: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(env)
        self._drawn, self._fixed = dict(drawn), dict(fixed or {})
        self._random = np.random.default_rng(0)
        self._has_vary = hasattr(env.unwrapped, "vary")
        for name in () if self._has_vary else (*self._drawn, *self._fixed):
            if not isinstance(getattr(env.unwrapped, name, None), int | float):
                names = [key for key, value in vars(env.unwrapped).items() if is_number(value)]
                where = f"environment.randomize, variants: {name}"
                raise BadInput(where, "is no number of the environment", fix=nearest(name, names))

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Draw the parameters and start an episode."""
        if seed is not None:
            self._random = np.random.default_rng([seed, _STREAM])
        values = {
            name: float(self._random.uniform(low, high))
            for name, (low, high) in self._drawn.items()
        }
        values |= self._fixed
        if self._has_vary:
            self.env.unwrapped.vary(values)  # pyright: ignore[reportAttributeAccessIssue]
        else:
            for name, value in values.items():
                setattr(self.env.unwrapped, name, value)
        return self.env.reset(seed=seed, options=options)


def is_number(value: object) -> bool:
    """Return whether a value can be a parameter: a number, not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
