"""The end of an episode in an environment that may have none."""

from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit

from kinemill.environments.gym_types import Env, Options, Reset, Transition
from kinemill.errors import BadInput

LONGEST = 100_000  # steps of an episode that nothing limits: a quarter of an hour at 100 Hz


def limited(environment: Env, steps: int | None, named: str) -> Env:
    """Return an environment whose episodes end.

    Args:
        environment: a `gymnasium.Env`.
        steps: after which an episode is cut off; None: the limit of the environment.
        named: its name, for error messages.
    """
    if steps is not None:
        return TimeLimit(environment, steps)
    return environment if _has_limit(environment) else Ending(environment, named)


def _has_limit(environment: object) -> bool:
    while isinstance(environment, gymnasium.Wrapper):
        if isinstance(environment, TimeLimit):
            return True
        environment = environment.env
    return False


class Ending(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Raises an error if an episode does not end within `LONGEST` steps."""

    def __init__(self, env: Env, named: str) -> None:
        super().__init__(env)
        self._named, self._steps = named, 0

    def reset(self, *, seed: int | None = None, options: Options | None = None) -> Reset:
        """Begin an episode."""
        self._steps = 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: object) -> Transition:
        """Go one step on.

        Raises:
            BadInput: it is one too many.
        """
        if self._steps == LONGEST:
            raise BadInput(
                self._named,
                f"an episode has no end: {LONGEST:,} steps, and nothing limits it",
                fix="set environment.steps, after which an episode is cut off",
            )
        self._steps += 1
        return self.env.step(action)
