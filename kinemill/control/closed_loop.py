"""The closed loop: a policy on the robot, from a drawn start to the end of an episode.

Symbols: N steps, S states, A actions.
"""

import time
from dataclasses import dataclass

import numpy as np

from kinemill.control.controlled_plant import ControlledPlant
from kinemill.control.cost import Cost, control_of
from kinemill.control.exploration import Exploration
from kinemill.control.physics import Robot
from kinemill.control.plan import Floats
from kinemill.control.planner import Planner
from kinemill.control.policies import Policy, action_limits
from kinemill.errors import BadInput
from kinemill.task.document import Task

NO_NOISE = Exploration()


@dataclass(frozen=True)
class Episode:
    """What happened in one run.

    Attributes:
        states: (N+1, S), the first is the start.
        actions: (N, A), action k acts from state k to k+1; within limits of task and motors.
        cost: of all steps, as the task's `control.cost` says, terminal weights left out.
        success: whether it ended as `control.success` says.
        seconds: a policy's time for one action, the median, s.
        refused: steps at which a planner refused all plans, see `control.uncertainty`.
    """

    states: Floats
    actions: Floats
    cost: float
    success: bool
    seconds: float
    refused: int = 0


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
    robot: ControlledPlant | None = None,
    seconds: float | None = None,
    explore: Exploration = NO_NOISE,
) -> Episode:
    """Let a policy run the robot.

    Until the policy has the rows it wants to know, the action is zero.

    Args:
        task: with a `control` part.
        policy: chooses the actions.
        seed: of the start and of the policy's randomness.
        robot: what it acts on; default: the task's plant.
        seconds: length; default: that of the task.
        explore: noise on the actions.

    Raises:
        BadInput: fewer steps than the policy wants to know.
        EpisodeFailed: the plant does not answer, or a `GuardedPlant` found a state that may not be.
    """
    robot, steps = robot or Robot(task), round((seconds or control_of(task).seconds) / task.dt)
    if steps <= policy.history:
        raise BadInput("seconds", f"make {steps} steps", expected=f"more than {policy.history}")
    limits = np.clip(action_limits(task), *robot.limits)
    noise = explore.draw(steps, limits, np.random.default_rng([seed, 2]))
    spent, actions = list[float](), list[Floats]()
    states = [robot.reset(draw_start(task, seed))]
    policy.reset(seed)
    for disturbance in noise:
        robot.heartbeat()
        began = time.perf_counter()
        action = choose(policy, states, actions, limits)
        spent.append(time.perf_counter() - began)
        actions.append(np.clip(action + disturbance, *limits))
        robot.act(actions[-1])
        states.append(robot.observe())
    cost, success = _cost_and_success(task, np.stack(states), np.stack(actions))
    refused = policy.refused if isinstance(policy, Planner) else 0
    seconds = float(np.median(spent))
    return Episode(np.stack(states), np.stack(actions), cost, success, seconds, refused)


def choose(policy: Policy, states: list[Floats], actions: list[Floats], limits: Floats) -> Floats:
    """Return the action (A,) after what is known; nothing is done until that suffices."""
    rows = policy.history
    if len(states) < rows:
        return np.clip(np.zeros_like(limits[0]), *limits)
    past = np.array(actions[len(actions) - rows + 1 :]).reshape(rows - 1, limits.shape[1])
    return np.asarray(policy.act(np.stack(states[-rows:]), past), dtype=float)


def _cost_and_success(task: Task, states: Floats, actions: Floats) -> tuple[float, bool]:
    """Return the cost and the success of an episode, (N+1, S) and (N, A)."""
    cost, rest = Cost(task), np.zeros(actions.shape[1])
    costs = cost.step_costs(states[1:], actions, rest, states[0])
    return float(costs.sum() * task.dt), cost.reached(states[1:], actions)
