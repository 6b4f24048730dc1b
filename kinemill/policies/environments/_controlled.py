"""Shared parts of environments with a `control` part: initial states, rewards, success, images.

The reward of a step is its negative cost: -dt (sum of the terms of `control.cost`).

Symbols: B rows, S states, A actions.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.control.cost import Cost
from kinemill.control.physics import control_of
from kinemill.control.policies import action_limits
from kinemill.task.document import Task

Floats = NDArray[np.float64]
_LARGEST = 1e4  # bound on the absolute reward of a step, for models outside their data


class Controlled:
    """The `control` part of a task as starts, rewards and success.

    Args:
        task: with a `control` part.
    """

    def __init__(self, task: Task) -> None:
        from gymnasium.spaces import Box

        self.task, self.cost, self.control = task, Cost(task), control_of(task)
        low, high = action_limits(task).astype(np.float32)
        self.action_space = Box(low, high, dtype=np.float32)
        ends = [task.channels[name].limits or (-np.inf, np.inf) for name in task.states]
        self.low, self.high = np.array(ends, dtype=np.float32).T
        self.observation_space = Box(self.low, self.high, dtype=np.float32)
        self._starts = np.array([self.control.start.get(name, (0.0, 0.0)) for name in task.states])

    @property
    def steps(self) -> int:
        """Of an episode, as `control.seconds` says."""
        return round(self.control.seconds / self.task.dt)

    def start(self, random: np.random.Generator) -> Floats:
        """Draw the state (S,) that an episode begins with."""
        return random.uniform(self._starts[:, 0], self._starts[:, 1])

    def rewards(self, states: Floats, actions: Floats, previous: Floats, last: Floats) -> Floats:
        """Return the reward (B,) of each step.

        Args:
            states: after it, (B, S).
            actions: (B, A).
            previous: the actions before these, (B, A).
            last: the states that the actions acted on, (B, S).
        """
        costs = (
            [
                self.cost.step_costs(states[k : k + 1], actions[k : k + 1], previous[k], last[k])[0]
                for k in range(len(states))
            ]
            if self._looks_back
            # Without rate terms the row before is not read, so one row stands for all.
            else self.cost.step_costs(states, actions, previous[0], last[0])
        )
        return -np.clip(np.asarray(costs) * self.task.dt, -_LARGEST, _LARGEST)

    @property
    def _looks_back(self) -> bool:
        """Whether a term looks at the step before; all others are worked out for all rows."""
        return any(term.shape == "rate" for term in self.control.cost)

    def last_info(self, states: list[Floats], actions: list[Floats]) -> dict[str, bool]:
        """Return the info of the last step of an episode, with states (S,) and actions (A,).

        `is_success` is whether the end fulfills `control.success`; without one it is left out.
        """
        rows = max(1, round(self.control.hold / self.task.dt))
        reached = self.cost.reached(np.stack(states[-rows:]), np.stack(actions[-rows:]))
        return {} if reached is None else {"is_success": len(actions) >= rows and reached}


def picture(points: Floats, size: int = 240) -> NDArray[np.uint8]:
    """Draw links through points (P, 2) m as a picture (H, W, 3) uint8."""
    from PIL import Image, ImageDraw

    reach = 1.2 * max(1.0, float(np.abs(points).max()))
    image = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(image)
    points_px = [tuple(point) for point in (points * [1, -1] / reach + 1.0) * size / 2]
    pen.line([(0, size / 2), (size, size / 2)], fill=(210, 210, 210))
    pen.line(points_px, fill=(40, 90, 200), width=4)
    for x, y in points_px:
        pen.ellipse([x - 4, y - 4, x + 4, y + 4], fill=(200, 80, 40))
    return np.asarray(image)
