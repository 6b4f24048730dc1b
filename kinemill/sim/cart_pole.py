"""A pole hinged to a motor-driven cart on a track: the plant, its sensors and its logs.

Symbols: x cart position m, θ pole angle rad (0 hangs down, positive towards positive x, counted
over full turns), u force on the cart N, M cart mass kg, m pole mass kg, L pole length m, g gravity
m/s². The pole is a thin uniform rod: centre of mass at L/2, inertia m L²/12 about it.
"""

from typing import Any

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from kinemill.sim._excitation import Signal, mixture
from kinemill.sim._logs import SIMULATORS
from kinemill.sim._table import Table
from kinemill.spec import Settings

_MJCF = """
<mujoco model="cart_pole">
  <option timestep="{step}" gravity="0 0 -{gravity}" integrator="RK4">
    <flag contact="disable"/>
  </option>
  <worldbody>
    <body name="cart">
      <joint name="cart" type="slide" axis="1 0 0" damping="{cart_damping}"
             limited="true" range="-{track} {track}" solreflimit="0.04 1"/>
      <geom type="box" size="0.1 0.06 0.04" mass="{cart_mass}"/>
      <body name="pole">
        <joint name="pole" type="hinge" axis="0 -1 0" damping="{pole_damping}"/>
        <inertial pos="0 0 -{centre}" mass="{pole_mass}" diaginertia="{inertia} {inertia} 1e-6"/>
        <geom type="capsule" fromto="0 0 0 0 0 -{pole_length}" size="0.01" mass="0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="cart" joint="cart" ctrllimited="true" ctrlrange="-{force} {force}"/>
  </actuator>
</mujoco>
"""


def _mujoco() -> Any:
    import mujoco

    return mujoco


@SIMULATORS.register("cart_pole")
class CartPole(Settings):
    """The plant and its measuring equipment."""

    cart_mass: PositiveFloat = 1.0  # kg
    pole_mass: PositiveFloat = 0.2  # kg; light enough for the cart to lead, heavy enough to be felt
    pole_length: PositiveFloat = 0.6  # m
    cart_damping: float = 0.5  # N·s/m
    pole_damping: float = 0.006  # N·m·s/rad; a free swing halves in about 6 s
    track: PositiveFloat = 1.5  # m from the middle to the end stop
    force: PositiveFloat = 10.0  # N the motor can give
    gravity: PositiveFloat = 9.81  # m/s²

    physics_step: PositiveFloat = 0.001  # s
    period: PositiveInt = 10  # physics steps between two rows, give or take one: 100 Hz
    excitation: tuple[float, float] = (4.0, 9.0)  # N, range of an episode's peak
    centring: tuple[float, float] = (4.0, 2.0)  # N/m, N·s/m: back to the middle in about 1 s

    cart_quantum: PositiveFloat = 5e-5  # m, encoder resolution
    pole_counts: PositiveInt = 4096  # encoder counts per turn: 1.53 mrad
    cart_noise: float = 0.005  # m/s, standard deviation of the velocity measured
    pole_noise: float = 0.02  # rad/s, the same of the pole
    stamp_noise: float = 5e-5  # s, standard deviation of a time stamp

    def mjcf(self) -> str:
        """Return the plant as a MuJoCo model description."""
        inertia = self.pole_mass * self.pole_length**2 / 12.0
        return _MJCF.format(
            **self.model_dump(),
            step=self.physics_step,
            centre=self.pole_length / 2.0,
            inertia=inertia,
        )

    def model(self) -> Any:
        """Return the compiled `mujoco.MjModel`; qpos, qvel are (x, θ) and their rates."""
        return _mujoco().MjModel.from_xml_string(self.mjcf())

    def log(self, seconds: float, random: np.random.Generator) -> Table:
        """Return what a logger on the robot writes in `seconds`: columns by name, one row a period.

        Row k holds the state measured at its stamp and the force that is held from then on.
        """
        rows = max(2, round(seconds / (self.period * self.physics_step)))
        steps = self.period + random.choice([-1, 0, 1], rows, p=[0.15, 0.7, 0.15])
        t = np.concatenate([[0.0], np.cumsum(steps[:-1])]) * self.physics_step
        push = random.uniform(*self.excitation) * mixture(t, random)
        start = [random.uniform(-0.3, 0.3), random.uniform(-2.5, 2.5), 0.0, 0.0]
        state, force = self._run(push, steps, np.array(start))
        return self._measure(t, state, force, random)

    def _run(self, push: Signal, steps: Signal, start: Signal) -> tuple[Signal, Signal]:
        """Simulate: (n,) N, (n,) physics steps each is held, (4,) -> (n, 4) state, (n,) N."""
        mujoco, model = _mujoco(), self.model()
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:] = start[:2], start[2:]
        stiffness, damping = self.centring
        state, force = np.empty((len(push), 4)), np.empty(len(push))
        for k, (wanted, held) in enumerate(zip(push.tolist(), steps.tolist(), strict=True)):
            state[k, :2], state[k, 2:] = data.qpos, data.qvel
            u = wanted - stiffness * state[k, 0] - damping * state[k, 2]
            force[k] = min(max(u, -self.force), self.force)
            data.ctrl[0] = force[k]
            mujoco.mj_step(model, data, held)
        return state, force

    def _measure(
        self, t: Signal, state: Signal, force: Signal, random: np.random.Generator
    ) -> Table:
        """Look at the truth through the robot's clock, encoders and velocity sensors."""
        rows = len(t)
        pole_quantum = 2.0 * np.pi / self.pole_counts
        return {
            "timestamp": t + self.stamp_noise * random.standard_normal(rows),
            "qpos_cart": np.round(state[:, 0] / self.cart_quantum) * self.cart_quantum,
            "qpos_pole": np.round(state[:, 1] / pole_quantum) * pole_quantum,
            "qvel_cart": state[:, 2] + self.cart_noise * random.standard_normal(rows),
            "qvel_pole": state[:, 3] + self.pole_noise * random.standard_normal(rows),
            "ctrl_cart": force,
        }
