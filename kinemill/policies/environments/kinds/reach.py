"""A planar arm of two links that must move its tip to a target and hold it there.

MJCF of our own: links of 0.2 m and 0.2 kg in a horizontal plane, motors in the joints. The elbow
bends one way only, so that each place has one posture.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments._raster import Bar, Disc
from kinemill.policies.environments.evaluation import Agent
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.kinds._planar import Planar, Vector
from kinemill.task import KINDS, Environment, Task

LINK = 0.2
NEAR = 0.03
STEPS_NEAR = 5  # m; m from the target; rows that the tip stays there
TORQUES = np.array([1.0, 0.5])  # N·m, largest of the motors
STIFFNESS = np.array([2.0, 0.6])
DAMPING = np.array([0.3, 0.06])  # of the expert, N·m/rad, N·m·s
MJCF = f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.005" gravity="0 0 0" integrator="implicitfast">
    <flag contact="disable"/>
  </option>
  <worldbody>
    <body>
      <joint name="shoulder" type="hinge" axis="0 0 1" damping="0.05"/>
      <geom type="capsule" fromto="0 0 0 {LINK} 0 0" size="0.02" mass="0.2"/>
      <body pos="{LINK} 0 0">
        <joint name="elbow" type="hinge" axis="0 0 1" damping="0.05"/>
        <geom type="capsule" fromto="0 0 0 {LINK} 0 0" size="0.02" mass="0.2"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="shoulder" ctrllimited="true" ctrlrange="-{TORQUES[0]} {TORQUES[0]}"/>
    <motor joint="elbow" ctrllimited="true" ctrlrange="-{TORQUES[1]} {TORQUES[1]}"/>
  </actuator>
</mujoco>
"""


@KINDS.register("reach")
class Reach(Environment):
    """A planar two-link arm that reaches for a target; images are rendered for videos only."""

    type: Literal["reach"] = "reach"

    def make(self, task: Task, *, render: bool = False) -> Env:
        """Return the environment."""
        return ReachArm(max(1, round(task.dt / 0.005)), render=render)

    def expert(self, environment: object) -> Agent:
        """Return an expert that holds the posture at the target."""
        del environment
        return Postures()


class ReachArm(Planar):
    """Observes two angles, two rates and the target; commands two torques."""

    mjcf = MJCF
    observation_names = ("shoulder", "elbow", "shoulder_rate", "elbow_rate", "target_x", "target_y")
    action_names = ("shoulder_torque", "elbow_torque")
    units = {
        **dict.fromkeys(("shoulder", "elbow"), "rad"),
        **dict.fromkeys(("shoulder_rate", "elbow_rate"), "rad/s"),
        **dict.fromkeys(("target_x", "target_y"), "m"),
        **dict.fromkeys(("shoulder_torque", "elbow_torque"), "N*m"),
    }

    def __init__(self, substeps: int, *, render: bool) -> None:
        super().__init__(substeps, render=render)
        self.target: Vector = np.zeros(2)
        self._steps_near = 0

    def begin(self, random: np.random.Generator) -> Vector:
        """Draw a posture and a target that the arm can hold its tip at."""
        self._steps_near = 0
        self.target = tip(random.uniform([-1.5, 0.6], [1.5, 2.2]))
        return random.uniform([-1.5, 0.6], [1.5, 2.2])

    def observe(self) -> Vector:
        """Return (6,) rad, rad/s, m."""
        return np.r_[self.data.qpos, self.data.qvel, self.target].astype(np.float32)

    def evaluate(self) -> tuple[float, bool, bool]:
        """The tip has to stay near the target for some rows."""
        away = float(np.linalg.norm(tip(self.data.qpos) - self.target))
        self._steps_near = self._steps_near + 1 if away < NEAR else 0
        done = self._steps_near >= STEPS_NEAR
        return -away, done, done

    def shapes(self) -> list[Disc | Bar]:
        """Return the target and the links."""
        shoulder = float(self.data.qpos[0])
        end = tip(self.data.qpos)
        elbow = LINK * np.cos(shoulder), LINK * np.sin(shoulder)
        return [
            Disc((self.target[0], self.target[1]), NEAR, (0.85, 0.25, 0.2)),
            Bar((0.0, 0.0), elbow, 0.02, (0.3, 0.35, 0.45)),
            Bar(elbow, (end[0], end[1]), 0.015, (0.45, 0.5, 0.6)),
        ]


class Postures:
    """The expert: the posture of the target by inverse kinematics, held by springs and dampers."""

    def reset(self, seed: int) -> None:
        """Begin an episode; nothing is drawn."""

    def act(self, observation: object) -> NDArray[np.float32]:
        """Return torques (2,), N·m, that the motors can exert."""
        angles, rates, target = np.split(np.asarray(observation, float), 3)
        torques = STIFFNESS * (posture(target) - angles) - DAMPING * rates
        return np.clip(torques, -TORQUES, TORQUES).astype(np.float32)


def tip(angles: NDArray[np.float64]) -> Vector:
    """Return where the tip is: (2,) rad -> (2,) m."""
    first = angles[0]
    second = angles[0] + angles[1]
    return LINK * np.array([np.cos(first) + np.cos(second), np.sin(first) + np.sin(second)])


def posture(target: NDArray[np.float64]) -> Vector:
    """Return the posture that has the tip at a place, elbow bent to the left: (2,) m -> (2,) rad.

    By the law of cosines; a place out of reach gets the straight arm that points there.
    """
    x, y = target
    bend = np.arccos(np.clip((x * x + y * y) / (2 * LINK**2) - 1.0, -1.0, 1.0))
    return np.array([np.arctan2(y, x) - bend / 2, bend])
