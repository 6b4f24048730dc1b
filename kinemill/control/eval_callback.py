"""Evaluation callback: success in closed loop while a model is trained, for tasks with `control`.

    learn:
      eval_callback: kinemill.control.eval_callback:closed_loop

The task's controller plans with the model and acts on the task's simulated plant.
"""

from typing import Protocol

import numpy as np

from kinemill.control.closed_loop import run_episode, successes_of
from kinemill.control.physics import control_of
from kinemill.control.plan import Floats
from kinemill.control.planner import make_planner
from kinemill.task.document import Task

SEEDS = range(2)  # starts; each takes the computation time of one episode


class _Simulator(Protocol):
    history: int

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats: ...


class _Learning:
    """A simulator that rolls out many plans from one history."""

    def __init__(self, simulator: _Simulator) -> None:
        self._simulator = simulator
        self.history = simulator.history

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Roll out actions (B, T, A) after states (H, S), past actions (H-1, A) -> (B, T, S)."""
        plans = np.asarray(actions, dtype=np.float32)
        histories = np.broadcast_to(states, (len(plans), *np.shape(states)))
        past = np.broadcast_to(past_actions, (len(plans), *np.shape(past_actions)))
        return self._simulator.rollout(histories, past, plans)


def closed_loop(simulator: _Simulator, task: Task) -> dict[str, float]:
    """Run the closed loop from two starts, the same ones at each evaluation.

    With an ensemble, the planner uses the mean prediction.

    Args:
        simulator: `history` H, and `rollout` as that of `kinemill.runtime.Simulator`.
        task: task with a `control` part.

    Returns:
        `cost`, the mean over the starts, and `success`, the share of them that succeeded,
        if the task has `control.success`.

    Raises:
        BadInput: The task has no `control` part.
        EpisodeFailed: The plant does not respond.
    """
    control_of(task)
    planner = make_planner(task, [_Learning(simulator)])
    episodes = [run_episode(task, planner, seed) for seed in SEEDS]
    measured = {"cost": float(np.mean([episode.cost for episode in episodes]))}
    successes = successes_of(episodes)
    return measured if successes is None else {**measured, "success": successes / len(episodes)}
