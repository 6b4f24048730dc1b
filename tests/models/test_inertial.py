"""Base parameters and payloads of a simulated arm, from noisy angles and torques."""

import mujoco
import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models._mjcf import bodies_of
from kinemill.models.networks.body_tree import Tree
from kinemill.models.networks.inertial import (
    Motion,
    fit_base_parameters,
    fit_payload,
    load_bodies,
    model_parameters,
    parameter_names,
)
from tests.models.test_body_tree import ARM

DT, ROWS = 0.002, 5000
ROBOT = """
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.002" integrator="implicit"/>
  <worldbody>
    <body name="shoulder" pos="0 0 0.4">
      <joint name="turn" axis="0 0 1" damping="0.4" armature="0.05"/>
      <inertial pos="0 0.02 0.1" mass="4" diaginertia="0.03 0.03 0.02"/>
      <body name="upper" pos="0 0.1 0.15">
        <joint name="lift" axis="0 1 0" damping="0.5" frictionloss="0.3" armature="0.04"/>
        <inertial pos="0.2 0 0" mass="3" diaginertia="0.01 0.05 0.05"/>
        <body name="hand" pos="0.45 0 0">
          <joint name="wrist" axis="0 1 0" damping="0.2" armature="0.02"/>
          <inertial pos="0.1 0.01 0" mass="1.5" diaginertia="0.004 0.01 0.01"/>
          {load}
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="turn"/><motor joint="lift"/><motor joint="wrist"/></actuator>
</mujoco>
"""
LOAD = """
<body name="load" pos="0.15 0.02 -0.05">
  <inertial pos="0 0 0" mass="1.2" diaginertia="0.001 0.001 0.001"/>
</body>
"""


def record(load: str, angle_noise=1e-4, torque_noise=0.05) -> Motion:
    """A controller follows sums of sines for 10 s; angles and commanded torques are logged."""
    model = mujoco.MjModel.from_xml_string(ROBOT.format(load=load))
    data, random = mujoco.MjData(model), np.random.default_rng(1)
    q, force = np.zeros((ROWS, 3)), np.zeros((ROWS, 3))
    rates = np.array([[2.1, 4.3], [1.7, 5.1], [2.9, 6.3]])
    for row in range(ROWS):
        target = (np.array([[0.6, 0.3]]) * np.sin(rates * row * DT)).sum(1)
        data.ctrl[:] = [120, 150, 60] * (target - data.qpos) - [8, 10, 3] * data.qvel
        q[row], force[row] = data.qpos, data.ctrl
        mujoco.mj_step(model, data)
    q += angle_noise * random.normal(size=q.shape)
    force += torque_noise * random.normal(size=force.shape)
    return Motion.from_samples(q, force, DT, window=31)


def robot():
    return bodies_of(mujoco.MjModel.from_xml_string(ROBOT.format(load="")))


def test_the_mass_and_the_center_of_a_payload_are_found():
    payload = fit_payload(robot(), "hand", record(LOAD))
    assert payload.mass == pytest.approx(1.2, rel=0.02)
    np.testing.assert_allclose(payload.center, (0.15, 0.02, -0.05), atol=0.01)
    assert payload.mass_std < 0.02


def test_without_a_payload_its_mass_is_zero():
    assert fit_payload(robot(), "hand", record("")).mass == pytest.approx(0.0, abs=0.02)


def test_a_urdf_file_is_a_robot_too(tmp_path):
    urdf = """<robot name="arm"><link name="base"/><link name="rod"><inertial>
      <origin xyz="0.3 0 0"/><mass value="2"/>
      <inertia ixx="0.01" iyy="0.02" izz="0.02" ixy="0" ixz="0" iyz="0"/></inertial></link>
      <joint name="hinge" type="continuous"><parent link="base"/><child link="rod"/>
      <axis xyz="0 1 0"/></joint></robot>"""
    (tmp_path / "arm.urdf").write_text(urdf)
    (rod,) = (body for body in load_bodies(tmp_path / "arm.urdf").bodies if body.joints)
    assert (rod.name, rod.mass, rod.joints[0].name) == ("rod", 2.0, "hinge")


def test_a_body_whose_mass_moves_nothing_is_refused():
    with pytest.raises(BadInput, match=r"does not identify m"):
        fit_payload(robot(), "shoulder", record(LOAD))


def test_an_unknown_body_is_named_with_all_others():
    with pytest.raises(BadInput, match="'shoulder', 'upper', 'hand'"):
        fit_payload(robot(), "tool", record(LOAD))


def test_base_parameters_predict_the_torques_of_another_motion():
    names = [parameter.name for parameter in fit_base_parameters(robot(), record(LOAD))]
    # Turning about a vertical axis, the shoulder has one inertia; masses further out add to it.
    assert any(name.startswith("Jzz of shoulder") for name in names)
    assert not any(name.startswith("m of shoulder") for name in names)
    assert len(names) < len(parameter_names(robot()))


def test_a_pendulum_has_one_inertia_and_one_first_moment():
    """Its mass, and the other moments, never act; the armature of the drive adds to its inertia."""
    xml = """<mujoco><worldbody><body name="rod"><joint name="hinge" axis="0 1 0"/>
      <inertial pos="0.3 0 0" mass="2" diaginertia="0.01 0.02 0.02"/></body></worldbody></mujoco>"""
    time = np.linspace(0, 20, 4000)[:, None]
    q, v, a = np.sin(2 * time), 2 * np.cos(2 * time), -4 * np.sin(2 * time)
    # Gravity turns a rod that points along x about y, the axis of the hinge.
    force = (0.02 + 2 * 0.3**2) * a - 2 * 0.3 * 9.81 * np.cos(q) + 0.1 * v + 0.05 * np.sign(v)
    fitted = fit_base_parameters(
        bodies_of(mujoco.MjModel.from_xml_string(xml)), Motion(q, v, a, force)
    )
    values = {one.name: one.value for one in fitted}
    assert values == pytest.approx(
        {
            "mx of rod": 0.6,
            "mz of rod": 0.0,
            "Jyy of rod + 1 armature of hinge": 0.2,
            "viscous friction of hinge": 0.1,
            "Coulomb friction of hinge": 0.05,
        },
        abs=1e-6,
    )
    assert all(one.is_certain for one in fitted if one.value > 0.01)


def test_the_regressor_of_a_tree_gives_its_inverse_dynamics():
    """Slides, several joints of one body, and bodies of any orientation, against MuJoCo."""
    model, random = mujoco.MjModel.from_xml_string(ARM), np.random.default_rng(0)
    data, bodies = mujoco.MjData(model), bodies_of(model)
    tree = Tree(bodies, (0, 1, 2, 3)).double()
    for _ in range(10):
        data.qpos[:], data.qvel[:], data.qacc[:] = random.uniform(-3, 3, (3, 4))
        mujoco.mj_inverse(model, data)
        rows = [torch.tensor(one.copy())[None] for one in (data.qpos, data.qvel, data.qacc)]
        of_bodies = tree.regressor(*rows)[0].numpy() @ model_parameters(bodies)[:50]
        armature = np.array([0.0, 0.02, 0.0, 0.0]) * data.qacc
        np.testing.assert_allclose(
            of_bodies + armature, data.qfrc_inverse + data.qfrc_passive, atol=1e-4
        )
