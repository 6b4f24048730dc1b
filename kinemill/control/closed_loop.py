"""The closed loop: a policy on the robot, from a drawn start to the end of an episode.

Symbols: N steps, S states, A actions.
"""

import time
from dataclasses import dataclass

import numpy as np

from kinemill.control.cost import Cost, control_of
from kinemill.control.physics import Robot
from kinemill.control.plan import Floats
from kinemill.control.policies import Policy, action_limits
from kinemill.errors import BadInput
from kinemill.task.document import Task


@dataclass(frozen=True)
class Episode:
    """What happened in one run.

    Attributes:
        states: (N+1, S), the first is the start.
        actions: (N, A), action k acts from state k to k+1; within limits of task and motors.
        cost: of all steps, as the task's `control.cost` says, terminal weights left out.
        success: whether it ended as `control.success` says.
        seconds: a policy's time for one action, the median, s.
    """

    states: Floats
    actions: Floats
    cost: float
    success: bool
    seconds: float


def draw_start(task: Task, seed: int) -> Floats:
    """Draw the state (S,) that an episode begins with."""
    control, random = control_of(task), np.random.default_rng([seed, 1])
    ranges = [control.start.get(name, (0.0, 0.0)) for name in task.states]
    return np.array([random.uniform(low, high) for low, high in ranges])


def run_episode(
    task: Task,
    policy: Policy,
    seed: int,
    *,
    robot: Robot | None = None,
    seconds: float | None = None,
    explore: float = 0.0,
) -> Episode:
    """Let a policy run the robot.

    Until the policy has the rows it wants to know, the action is zero.

    Args:
        task: with a `control` part.
        policy: chooses the actions.
        seed: of the start and of the policy's randomness.
        robot: what it acts on; default: the task's plant.
        seconds: length; default: that of the task.
        explore: noise on the actions, in halves of their range, so that logs show more.

    Raises:
        BadInput: fewer steps than the policy wants to know.
    """
    robot, steps = robot or Robot(task), round((seconds or control_of(task).seconds) / task.dt)
    if steps <= policy.history:
        raise BadInput("seconds", f"make {steps} steps", expected=f"more than {policy.history}")
    limits = np.clip(action_limits(task), *robot.limits)
    noise = explore * (limits[1] - limits[0]) / 2.0
    random, spent = np.random.default_rng([seed, 2]), list[float]()
    states, actions = [draw_start(task, seed)], list[Floats]()
    robot.reset(states[0])
    policy.reset(seed)
    for _ in range(steps):
        began = time.perf_counter()
        action = choose(policy, states, actions, limits)
        spent.append(time.perf_counter() - began)
        action = np.clip(action + noise * random.standard_normal(len(noise)), *limits)
        actions.append(action)
        states.append(robot.step(action))
    return _cost_report(task, np.stack(states), np.stack(actions), float(np.median(spent)))


def choose(policy: Policy, states: list[Floats], actions: list[Floats], limits: Floats) -> Floats:
    """Return the action (A,) after what is known; nothing is done until that suffices."""
    rows = policy.history
    if len(states) < rows:
        return np.clip(np.zeros_like(limits[0]), *limits)
    past = np.array(actions[len(actions) - rows + 1 :]).reshape(rows - 1, limits.shape[1])
    return np.asarray(policy.act(np.stack(states[-rows:]), past), dtype=float)


def _cost_report(task: Task, states: Floats, actions: Floats, seconds: float) -> Episode:
    cost = Cost(task)
    rest = np.zeros(actions.shape[1])
    costs = cost.step_costs(states[1:], actions, rest, states[0])
    return Episode(
        states,
        actions,
        float(costs.sum() * task.dt),
        cost.reached(states[1:], actions),
        seconds,
    )
