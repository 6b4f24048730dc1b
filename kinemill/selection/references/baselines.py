"""Baselines without parameters: persistence (no change) and constant velocity.

Symbols: W windows, H history, T horizon, S states, A actions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinemill.runtime import QUIETLY, Floats, wrapped
from kinemill.runtime.window_metrics import Array
from kinemill.task.document import Task
from kinemill.task.units import rate_factor


@dataclass(frozen=True)
class Persistence:
    """Every state stays constant."""

    history: int = 1

    def rollout(self, states: Array, past_actions: Array, actions: Array) -> Floats:
        """Repeat the last known state: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units."""
        del past_actions
        last = np.asarray(states, dtype=np.float64)[:, -1:]
        return np.repeat(last, np.shape(actions)[1], axis=1)


@dataclass(frozen=True)
class ConstantVelocity:
    """Extrapolate each state with its current velocity.

    Attributes:
        rates: change of each state (column) in one time step per unit of another state (row),
            (S, S).
        moved: 1 for states that continue their last change from row to row, else 0, (S,).
        angle: whether each state is an angle, (S,).
        history: rows of history, 2 if the last change counts.
    """

    rates: Floats
    moved: Floats
    angle: NDArray[np.bool_]
    history: int

    @QUIETLY
    def rollout(self, states: Array, past_actions: Array, actions: Array) -> Floats:
        """Extrapolate: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units."""
        del past_actions
        history_states = np.asarray(states, dtype=np.float64)
        change = history_states[:, -1] @ self.rates
        if self.history > 1:
            change = (
                change
                + wrapped(history_states[:, -1] - history_states[:, -2], self.angle) * self.moved
            )
        steps = np.arange(1, np.shape(actions)[1] + 1)[:, None]
        return history_states[:, -1:] + change[:, None] * steps


def constant_velocities(
    task: Task, angle: NDArray[np.bool_], longest: int
) -> list[ConstantVelocity]:
    """Return the variants: with measured velocities, and with the change of the last two rows.

    A velocity stays constant. A state without a velocity continues its last change, or stays
    constant.

    Args:
        task: its states.
        angle: whether each state is an angle, (S,).
        longest: most rows of history; with one, no state continues its last change.
    """
    states = task.states
    count = len(states)
    rates = np.zeros((count, count))
    derived = np.zeros(count)
    velocities = np.zeros(count)
    for row, name in enumerate(states):
        position = task.channels[name].derivative_of
        if position not in states or derived[states.index(position)]:
            continue
        column = states.index(position)
        channel = task.channels[name]
        # A velocity can have another unit than its position per second, such as rpm and rad.
        unit = task.channels[position].unit
        rates[row, column] = task.dt * rate_factor(channel.unit, unit)
        derived[column], velocities[row] = 1.0, 1.0
    if longest < 2:
        return [ConstantVelocity(rates, np.zeros(count), angle, 1)]
    none = np.zeros((count, count))
    variants = [ConstantVelocity(none, 1.0 - velocities, angle, 2)]
    if derived.any():
        variants.append(ConstantVelocity(rates, np.zeros(count), angle, 1))
        rest = 1.0 - np.maximum(derived, velocities)
        if rest.any():
            variants.append(ConstantVelocity(rates, rest, angle, 2))
    return variants
