"""A rod on a motor too weak to lift it: it has to swing up.

Symbols: θ angle rad (0 hangs down), u torque N·m, m mass kg, L length m, g gravity m/s². The rod is
thin and uniform: inertia m L²/3 about its pivot. Held level it needs m g L/2 = 2.45 N·m.
"""

from typing import ClassVar

import numpy as np

from kinemill.control.sim._excitation import Signal
from kinemill.control.sim._logs import SIMULATORS
from kinemill.control.sim._plant import MECHANICS, LoggedPlant
from kinemill.task.bounds import Count, PositiveQuantity, QuantityOrZero

_MJCF = """
<mujoco model="pendulum">{mechanics}
  <worldbody>
    <body name="rod">
      <joint name="rod" type="hinge" axis="0 -1 0" damping="{damping}"/>
      <inertial pos="0 0 -{center}" mass="{mass}" diaginertia="{inertia} {inertia} 1e-6"/>
      <geom type="capsule" fromto="0 0 0 0 0 -{length}" size="0.01" mass="0"/>
    </body>
  </worldbody>
  <actuator>
    <motor name="rod" joint="rod" ctrllimited="true" ctrlrange="-{torque} {torque}"/>
  </actuator>
</mujoco>
"""


@SIMULATORS.register("pendulum")
class Pendulum(LoggedPlant):
    """A rod on a motor too weak to lift it: the smallest example of a swing-up."""

    joints: ClassVar[tuple[str, ...]] = ("rod",)
    motors: ClassVar[tuple[str, ...]] = ("rod",)

    physics_step: PositiveQuantity = 0.02  # s
    period: Count = 1
    mass: PositiveQuantity = 0.5  # kg
    length: PositiveQuantity = 1.0  # m
    damping: QuantityOrZero = 0.02  # N·m·s/rad
    torque: PositiveQuantity = 1.0  # N·m the motor can give: 0.41 of what holds the rod level
    excitation: tuple[QuantityOrZero, QuantityOrZero] = (0.3, 1.0)  # N·m, range of a peak

    def mjcf(self) -> str:
        """Return the plant as a MuJoCo model description."""
        return _MJCF.format(
            **self.model_dump(),
            mechanics=MECHANICS.format(step=self.physics_step, gravity=self.gravity),
            center=self.length / 2.0,
            inertia=self.mass * self.length**2 / 12.0,
        )

    def start(self, random: np.random.Generator) -> Signal:
        """Draw a state (2,): any angle, up to 8 rad/s."""
        return random.uniform([-np.pi, -8.0], [np.pi, 8.0])

    def points(self, positions: Signal) -> Signal:
        """Return pivot and tip, (N, 1) -> (N, 2, 2) m."""
        angle = positions[:, 0]
        tip = self.length * np.stack([np.sin(angle), -np.cos(angle)], axis=1)
        return np.stack([np.zeros_like(tip), tip], axis=1)
