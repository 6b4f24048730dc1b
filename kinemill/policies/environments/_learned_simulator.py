"""The environment of the kind `learned`, for a batch of rows or one.

A row's state holds the inputs of the model: H states, H - 1 actions before them, and the
action before the present one; then the number of the ensemble's member that the row follows. So
what comes next follows from it alone.

A member for each episode is the trajectory sampling TS-infinity of Chua et al. 2018.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.control.learned_dynamics import learned_model
from kinemill.policies.environments._controlled import Controlled, ControlledEnv, Floats
from kinemill.policies.environments.vector_env import Advanced
from kinemill.runtime.uncertainty import belief_of
from kinemill.task.document import Task


class LearnedBatch:
    """A `kinemill.policies.environments.vector_env.Batch` that a learned simulator moves.

    Before an episode that begins with `control.start`, the robot is assumed to rest at its initial
    state, with action zero.

    Args:
        task: with a `control` part, of the model's channels.
        folder: of the exported model.
        is_sampled: whether each episode follows one member of an ensemble, and not the mean.

    Raises:
        BadInput: The model is of other channels or of another time step, or has no members.
    """

    def __init__(self, task: Task, folder: Path, *, is_sampled: bool = False) -> None:
        self.rules = Controlled(task)
        self.observation_space = self.rules.observation_space
        self.action_space = self.rules.action_space
        self._simulator = learned_model(task, folder, wait=True).simulator
        self._states, self._actions = len(task.states), len(task.actions)
        self._members = (
            belief_of(self._simulator.interface, "environment.members").members if is_sampled else 0
        )

    def start(self, random: np.random.Generator) -> Floats:
        """Return a random start (H S + H A + 1,): H states, H actions, and a member."""
        history = np.tile(self.rules.start(random), self._simulator.history)
        past = np.zeros(self._simulator.history * self._actions)
        member = random.integers(self._members) if self._members else 0
        return np.concatenate([history, past, np.array([member], float)])

    def observe(self, states: Floats) -> NDArray[np.float32]:
        """Return the present states of the robot, (B, S)."""
        return self._split(states)[0][:, -1].astype(np.float32)

    def advance(self, states: Floats, actions: object) -> Advanced:
        """Predict one step; a row that the model loses (not finite) has ended."""
        history, past = self._split(states)
        space: Any = self.action_space
        action = np.clip(np.asarray(actions, dtype=float), space.low, space.high)
        # The first action led to the oldest state, so the model does not read it.
        inputs = history, past[:, 1:], action[:, None]
        members = states[:, -1].astype(int)
        if self._members:
            following = self._simulator.rollout_members(*inputs)[np.arange(len(states)), members, 0]
        else:
            following = self._simulator.rollout(*inputs)[:, 0]
        next_states = following.astype(float)
        lost = np.logical_not(np.isfinite(next_states)).any(axis=1)
        next_states[lost] = history[lost, -1]
        next_states = np.clip(next_states, self.rules.low, self.rules.high)
        rewards = self.rules.rewards(next_states, action, past[:, -1], history[:, -1])
        history = np.concatenate([history[:, 1:], next_states[:, None]], axis=1)
        past = np.concatenate([past[:, 1:], action[:, None]], axis=1)
        after = np.concatenate(
            [history.reshape(len(history), -1), past.reshape(len(past), -1), states[:, -1:]], axis=1
        )
        return Advanced(after, rewards, np.asarray(lost))

    def _split(self, states: Floats) -> tuple[Floats, Floats]:
        """Return the H states (B, H, S) and H actions (B, H, A) that rows hold."""
        rows = len(states)
        steps = self._simulator.history
        cut = steps * self._states
        history = states[:, :cut].reshape(rows, steps, self._states)
        return history, states[:, cut:-1].reshape(rows, steps, self._actions)


class LearnedEnv(ControlledEnv):
    """One row of it; see `ControlledEnv` for the arguments."""

    def __init__(self, batch: LearnedBatch, limit: int, *, render: bool) -> None:
        super().__init__(batch.rules, batch.action_space, limit, render=render)
        self._batch = batch

    def _begin(self) -> Floats:
        self._row = self._batch.start(self.np_random)
        return self._batch.observe(self._row[None])[0].astype(float)

    def _advance(self, action: Floats) -> tuple[Floats, float, bool]:
        after = self._batch.advance(self._row[None], action[None])
        self._row = after.states[0]
        state = self._batch.observe(after.states)[0].astype(float)
        return state, float(after.rewards[0]), bool(after.terminated[0])
