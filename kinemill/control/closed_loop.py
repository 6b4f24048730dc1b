"""Closed loop: a policy on the robot, from a random start to the end of an episode.

Symbols: N steps, S states, A actions.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kinemill.control.controlled_plant import ControlledPlant
from kinemill.control.cost import Cost
from kinemill.control.exploration import Exploration
from kinemill.control.physics import Robot, control_of
from kinemill.control.plan import Floats
from kinemill.control.planner import Planner
from kinemill.control.policies import Policy, action_limits
from kinemill.errors import BadInput
from kinemill.task.document import Task

NO_NOISE = Exploration()


@dataclass(frozen=True)
class Episode:
    """Result of one run, in task units.

    Attributes:
        states: (N+1, S), the first is the start.
        actions: (N, A), action k acts from state k to k+1; within limits of task and motors.
        cost: integral of `control.cost` over all steps, without terminal weights.
        success: whether the end meets `control.success`; None if the task has none.
        seconds: median computation time of an action, s.
        refused: steps at which a planner rejected all plans, see `control.uncertainty`.
    """

    states: Floats
    actions: Floats
    cost: float
    success: bool | None
    seconds: float
    refused: int = 0


def draw_start(task: Task, seed: int) -> Floats:
    """Draw the initial state (S,) of an episode from `control.start`, in task units.

    A state without a range there starts at 0.

    Raises:
        BadInput: The task has no `control` part.
    """
    control = control_of(task)
    random = np.random.default_rng([seed, 1])
    ranges = [control.start.get(name, (0.0, 0.0)) for name in task.states]
    return np.array([random.uniform(low, high) for low, high in ranges])


def run_episode(
    task: Task,
    policy: Policy,
    seed: int,
    *,
    robot: ControlledPlant | None = None,
    seconds: float | None = None,
    explore: Exploration = NO_NOISE,
) -> Episode:
    """Run one episode of a policy on the robot.

    Until the policy has the history it needs, the action is zero.

    Args:
        task: task with a `control` part.
        policy: chooses the actions.
        seed: seed of the start and of all random numbers of the policy.
        robot: plant to act on; default: the task's plant.
        seconds: length of the episode, s; default: that of the task.
        explore: noise on the actions.

    Raises:
        BadInput: The episode is not longer than the history of the policy, or the task has no
            `control` part.
        EpisodeFailed: The plant does not respond, or a `GuardedPlant` found a forbidden state.
    """
    robot = robot or Robot(task)
    steps = round((seconds or control_of(task).seconds) / task.dt)
    if steps <= policy.history:
        raise BadInput("seconds", f"make {steps} steps", expected=f"more than {policy.history}")
    # The narrower of both: the task may allow more than the motors do.
    limits = np.clip(action_limits(task), *robot.limits)
    # A stream for each use of the seed: the noise must not depend on how the start was drawn.
    noise = explore.draw(steps, limits, np.random.default_rng([seed, 2]))
    spent = list[float]()
    actions = list[Floats]()
    states = [robot.reset(draw_start(task, seed))]
    policy.reset(seed)
    for disturbance in noise:
        robot.heartbeat()
        began = time.perf_counter()
        action = choose(policy, states, actions, limits)
        spent.append(time.perf_counter() - began)
        # Logged as sent: with the noise, within the limits.
        actions.append(np.clip(action + disturbance, *limits))
        robot.act(actions[-1])
        states.append(robot.observe())
    cost, success = _cost_and_success(task, np.stack(states), np.stack(actions))
    refused = policy.refused if isinstance(policy, Planner) else 0
    seconds = float(np.median(spent))
    return Episode(np.stack(states), np.stack(actions), cost, success, seconds, refused)


def choose(policy: Policy, states: list[Floats], actions: list[Floats], limits: Floats) -> Floats:
    """Return the action (A,) after lists of states (S,) and actions (A,), in task units.

    It is zero, or the nearest value within limits (2, A), until the policy has its history.
    """
    rows = policy.history
    if len(states) < rows:
        return np.clip(np.zeros_like(limits[0]), *limits)
    # With a history of 1 the slice is empty, and `reshape` gives it its (0, A).
    past = np.array(actions[len(actions) - rows + 1 :]).reshape(rows - 1, limits.shape[1])
    return np.asarray(policy.act(np.stack(states[-rows:]), past), dtype=float)


def _cost_and_success(task: Task, states: Floats, actions: Floats) -> tuple[float, bool | None]:
    """Return the cost and the success of an episode, (N+1, S) and (N, A)."""
    cost = Cost(task)
    rest = np.zeros(actions.shape[1])
    # The cost of action k is that of state k + 1, as in the plans.
    costs = cost.step_costs(states[1:], actions, rest, states[0])
    return float(costs.sum() * task.dt), cost.reached(states[1:], actions)


def successes_of(episodes: Iterable[Episode]) -> int | None:
    """Return the number of successful episodes; None if the task has no `control.success`."""
    results = [episode.success for episode in episodes if episode.success is not None]
    return sum(results) if results else None


class PlannerExpert:
    """Expert for environments whose observations are the task's states, such as `plant`.

    Args:
        task: task with a limit for each action.
        policy: chooses the actions, such as a `Planner`.
    """

    def __init__(self, task: Task, policy: Policy) -> None:
        self._policy, self._limits = policy, action_limits(task)
        self._states, self._actions = list[Floats](), list[Floats]()

    def reset(self, seed: int) -> None:
        """Begin an episode; all random numbers follow from the seed."""
        self._policy.reset(seed)
        self._states = []
        self._actions = []

    def act(self, observation: ArrayLike) -> Floats:
        """Choose the next action (A,) after an observation (S,), both in task units."""
        self._states.append(np.asarray(observation, dtype=float))
        action = choose(self._policy, self._states, self._actions, self._limits)
        self._actions.append(np.clip(action, *self._limits))
        return self._actions[-1].astype(np.float32)
