"""Carts on a track with poles hinged to them, one behind the other."""

from collections.abc import Sequence

from kinemill.control.sim._plant import MECHANICS, LoggedPlant
from kinemill.store import Json
from kinemill.task.bounds import PositiveQuantity, QuantityOrZero

_CART = """
<mujoco model="{name}">{mechanics}
  <worldbody>
    <body name="cart">
      <joint name="cart" type="slide" axis="1 0 0" damping="{cart_damping}"
             limited="true" range="-{track} {track}" solreflimit="0.04 1"/>
      <geom type="box" size="0.1 0.06 0.04" mass="{cart_mass}"/>{poles}
    </body>
  </worldbody>
  <actuator>
    <motor name="cart" joint="cart" ctrllimited="true" ctrlrange="-{force} {force}"/>
  </actuator>
</mujoco>
"""
_POLE = """
<body name="{name}" pos="0 0 {hinge}">
  <joint name="{name}" type="hinge" axis="0 -1 0" damping="{pole_damping}"/>
  <inertial pos="0 0 -{center}" mass="{pole_mass}" diaginertia="{inertia} {inertia} 1e-6"/>
  <geom type="capsule" fromto="0 0 0 0 0 -{pole_length}" size="0.01" mass="0"/>{outer}
</body>"""


class Cart(LoggedPlant):
    """A motor-driven cart between two end stops; its poles are identical thin uniform rods."""

    cart_mass: PositiveQuantity = 1.0  # kg
    pole_mass: PositiveQuantity = 0.2  # kg; light enough for the cart to lead, but felt by it
    pole_length: PositiveQuantity = 0.6  # m
    cart_damping: QuantityOrZero = 0.5  # N·s/m
    pole_damping: QuantityOrZero = 0.006  # N·m·s/rad; a free swing halves in about 6 s
    track: PositiveQuantity = 1.5  # m from the middle to the end stop
    force: PositiveQuantity = 10.0  # N the motor can give

    def mjcf(self) -> str:
        """Return the plant as a MuJoCo model description."""
        values: dict[str, float] = self.model_dump()
        values["center"] = self.pole_length / 2.0
        values["inertia"] = self.pole_mass * self.pole_length**2 / 12.0
        return _CART.format(
            **values,
            name="_".join(self.joints),
            mechanics=MECHANICS.format(step=self.physics_step, gravity=self.gravity),
            poles=_poles(self.joints[1:], values),
        )


def _poles(names: Sequence[str], values: Json, hinge: float = 0.0) -> str:
    """Return a chain of poles, each hinged to the end of the one before; `hinge` is its height."""
    if not names:
        return ""
    outer = _poles(names[1:], values, -values["pole_length"])
    return _POLE.format(**values, name=names[0], hinge=hinge, outer=outer)
