"""Exploration with random linear policies, in turns with the learned policy.

Independent noise at each step hardly moves a robot. A policy that reacts to the state does: it
pumps a pendulum, or holds an arm somewhere. Its parameters are random, as in parameter-space noise
(Plappert et al., 2018), and it is linear, which suffices for locomotion (Mania et al., 2018).

Symbols: B environments, E numbers of an observation, A actions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from kinemill.task import Count, Ratio, RatioOrZero, Settings, Steps

Numbers = NDArray[np.floating[Any]]
_ROWS = 1000  # replayed steps from which the scale of observations is estimated
_OFFSET = 0.3  # standard deviation of the constant part of an action, relative to `gain`


class RandomPolicies(Settings):
    """Random linear policies: before `learning_starts` always, later in turns with the learned one.

    The number of steps of each turn is log-uniform between the two given.
    """

    gain: Ratio = Field(
        default=2.0, description="standard deviation of actions before clipping, in half ranges"
    )
    noise: RatioOrZero = Field(
        default=0.2, description="standard deviation of noise of each step, in half ranges"
    )
    first_steps: tuple[Count, Count] = Field(
        default=(25, 500), description="steps of a random policy before `learning_starts`"
    )
    random_steps: tuple[Count, Count] = Field(
        default=(10, 100), description="steps of a random policy later"
    )
    policy_steps: tuple[Count, Count] = Field(
        default=(50, 500), description="steps of the learned policy between them"
    )
    until: Steps | None = Field(
        default=None,
        description="step of the environment from which only the learned policy acts; null: never",
        exclude_if=lambda value: value is None,  # keeps the digests of tasks without it unchanged
    )


class Turns:
    """Who acts in each of B environments: the learned policy, or a random linear one.

    Args:
        settings: settings of the exploration.
        random: generator of all draws.
        shape: B, A, E.
    """

    def __init__(
        self, settings: RandomPolicies, random: np.random.Generator, shape: tuple[int, int, int]
    ) -> None:
        self._settings, self._random = settings, random
        environments, actions, inputs = shape
        self._steps_left = np.zeros(environments, np.int64)
        self.is_random = np.zeros(environments, np.bool_)
        self._gains = np.zeros((environments, actions, inputs))
        self._offsets = np.zeros((environments, actions))

    def advance(self, observed: Numbers, is_first: bool) -> None:
        """Begin the turns that are due.

        Observations (N, E) of earlier steps determine the scale of the inputs. With `is_first`,
        only random policies act.
        """
        settings = self._settings
        for row in np.flatnonzero(self._steps_left == 0).tolist():
            self.is_random[row] = is_first or not self.is_random[row]
            later = settings.random_steps if self.is_random[row] else settings.policy_steps
            self._steps_left[row] = self._steps(settings.first_steps if is_first else later)
            if self.is_random[row]:
                self._draw(row, observed)
        self._steps_left -= 1

    def _steps(self, ends: Sequence[int]) -> int:
        low, high = np.log(ends)
        return max(1, round(float(np.exp(self._random.uniform(low, high)))))

    def _draw(self, row: int, observed: Numbers) -> None:
        """Draw gains per root mean square of each input, and offsets."""
        actions, inputs = self._gains.shape[1:]
        rms = (
            np.sqrt(np.square(observed, dtype=float).mean(axis=0))
            if len(observed)
            else np.ones(inputs)
        )
        # Over sqrt(E): the sum over all E inputs then has the standard deviation `gain`.
        scale = np.where(rms > 0.0, rms, 1.0) * np.sqrt(inputs) / self._settings.gain
        self._gains[row] = self._random.standard_normal((actions, inputs)) / scale
        own = _OFFSET * self._settings.gain
        self._offsets[row] = own * self._random.standard_normal(actions)

    def act(self, observations: Numbers) -> Numbers:
        """Return actions of all random policies: (B, E) -> (B, A) in [-1, 1]."""
        noise = self._settings.noise * self._random.standard_normal(self._offsets.shape)
        actions = np.einsum("bae,be->ba", self._gains, observations) + self._offsets + noise
        return np.clip(actions, -1.0, 1.0).astype(np.float32)


def exploring(model: type[Any], settings: RandomPolicies) -> type[Any]:
    """Return a subclass of an off-policy class of stable-baselines3 with random policies."""

    class Exploring(model):
        """An off-policy algorithm that explores with random linear policies as well."""

        turns: Turns | None = None

        def _setup_learn(self, *args: object, **named: object) -> object:
            self.turns = None  # a resumed training begins here too
            return super()._setup_learn(*args, **named)

        def _sample_action(
            self, learning_starts: int, action_noise: object = None, n_envs: int = 1
        ) -> tuple[Numbers, Numbers]:
            """Return actions in the environment's units and in [-1, 1], (B, A) each."""
            observations, buffer = self._last_obs, self.replay_buffer
            if settings.until is not None and self.num_timesteps >= settings.until:
                return super()._sample_action(learning_starts, action_noise, n_envs)
            if self.turns is None:
                shape = (n_envs, self.action_space.shape[0], observations.shape[1])
                # Each round seeds this generator, so a resumed training draws the same policies.
                self.turns = Turns(settings, self.action_space.np_random, shape)
            count = buffer.buffer_size if buffer.full else buffer.pos
            observed = buffer.observations[: count : max(1, count // _ROWS)]
            is_first = self.num_timesteps < learning_starts
            self.turns.advance(observed.reshape(-1, observations.shape[1]), is_first)
            action, scaled = super()._sample_action(learning_starts, action_noise, n_envs)
            own = self.policy.unscale_action(drawn := self.turns.act(observations))
            rows = self.turns.is_random[:, None]
            return np.where(rows, own, action), np.where(rows, drawn, scaled)

    return Exploring
