"""Learn from a reward that the robot measures: the task has no cost of states and actions.

    python measured_reward.py

The reward is one more state, so the model learns to predict it, and the controller maximizes the
predictions. Here a simulated cart-pole computes it; on a robot it is a measurement, such as the
power of a generator or the level of a tank.
"""

from pathlib import Path

import numpy as np

from kinemill.api import learn_in_loop
from kinemill.control import Robot
from kinemill.task import load_task

TASKS = Path(__file__).parents[1] / "tasks"


class RewardedRobot:
    """A cart-pole that measures a reward; see `kinemill.control.ControlledPlant`.

    Args:
        robot: cart-pole without it, states (4,).
    """

    def __init__(self, robot):
        self._robot, self.limits = robot, robot.limits

    def reset(self, start):
        """Begin an episode near `start` (5,), and return the actual state (5,)."""
        return self._measured(self._robot.reset(np.asarray(start)[:4]))

    def observe(self):
        """Return the state (5,) after the last action."""
        return self._measured(self._robot.observe())

    def act(self, action):
        """Hold the action (1,) for a time step."""
        self._robot.act(action)

    def heartbeat(self):
        """Report that the controller is alive."""
        self._robot.heartbeat()

    def _measured(self, state):
        position, angle, velocity, rate = state
        upright = 3.0 * (1.0 - np.cos(angle - np.pi))
        reward = -(upright + position**2 + 0.05 * velocity**2 + 0.01 * rate**2)
        return np.append(state, reward)


def main(**overrides):
    """Run the rounds of the task, with other settings by dotted key."""
    robot = Robot(load_task(TASKS / "cart_pole_swing_up_loop.yaml"))  # the same without a reward
    task, plant = str(TASKS / "cart_pole_reward.yaml"), RewardedRobot(robot)
    return learn_in_loop(task, plant=plant, overrides=overrides)


if __name__ == "__main__":
    main()
