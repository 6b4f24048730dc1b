"""A tool on a gantry: a point in a plane, moved by commanded velocities.

MJCF of our own: 1 kg on two sliding joints, each driven toward the commanded velocity.
"""

import numpy as np
from numpy.typing import NDArray

from kinemill.policies.environments._raster import Disc
from kinemill.policies.environments.kinds._planar import Planar, Vector

FASTEST = 0.5
TOOL = 0.03  # m/s; m
INK = (0.15, 0.15, 0.18)
MJCF = f"""
<mujoco>
  <option timestep="0.01" gravity="0 0 0" integrator="implicitfast">
    <flag contact="disable"/>
  </option>
  <worldbody>
    <body>
      <joint name="x" type="slide" axis="1 0 0" damping="0.5"/>
      <joint name="y" type="slide" axis="0 1 0" damping="0.5"/>
      <geom type="sphere" size="{TOOL}" mass="1"/>
    </body>
  </worldbody>
  <actuator>
    <velocity joint="x" kv="20" ctrllimited="true" ctrlrange="-{FASTEST} {FASTEST}"/>
    <velocity joint="y" kv="20" ctrllimited="true" ctrlrange="-{FASTEST} {FASTEST}"/>
  </actuator>
</mujoco>
"""


class Gantry(Planar):
    """Commands two velocities."""

    mjcf = MJCF
    action_names = ("x_command", "y_command")
    units = {
        **dict.fromkeys(("x", "y"), "m"),
        **dict.fromkeys(("x_rate", "y_rate", "x_command", "y_command"), "m/s"),
    }

    @property
    def position(self) -> Vector:
        """Where the tool is, (2,) m."""
        return self.data.qpos.copy()

    def numbers(self) -> NDArray[np.float32]:
        """Return position and rates, (4,) m and m/s."""
        return np.r_[self.data.qpos, self.data.qvel].astype(np.float32)

    def tool(self) -> Disc:
        """Return the tool as it is drawn."""
        return Disc((self.data.qpos[0], self.data.qpos[1]), TOOL, INK)


def toward(position: object, goal: object, speed: float) -> NDArray[np.float32]:
    """Return the velocity (2,) m/s from a position to a goal, slower near to it."""
    way = np.asarray(goal, float) - np.asarray(position, float)
    far = float(np.linalg.norm(way))
    return (way / max(far, 1e-9) * min(speed, 4.0 * far)).astype(np.float32)
