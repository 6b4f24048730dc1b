"""A robot of an MJCF file in the planner: the physics of the file, and costs over its sites."""

import numpy as np
import pytest

from kinemill.control import TruePhysics, make_planner, make_plant, run_episode
from kinemill.control.cost import Cost
from kinemill.control.physics import ModelPlant, Robot
from kinemill.control.sim import SIMULATORS
from kinemill.errors import BadInput
from kinemill.task import load_task

ARM = """
<mujoco>
  <option timestep="0.005" gravity="0 0 0" integrator="implicitfast"/>
  <worldbody>
    <body name="upper">
      <joint name="shoulder" axis="0 -1 0" damping="0.1"/>
      <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.02" mass="0.5"/>
      <body name="lower" pos="0.3 0 0">
        <joint name="elbow" axis="0 -1 0" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0.2 0 0" size="0.02" mass="0.3"/>
        <site name="tip" pos="0.2 0 0"/>
      </body>
    </body>
    <body name="wall" pos="0 0 0"/>
  </worldbody>
  <actuator>
    <motor name="shoulder_motor" joint="shoulder" ctrllimited="true" ctrlrange="-2 2"/>
    <motor name="elbow_motor" joint="elbow" ctrllimited="true" ctrlrange="-1 1"/>
  </actuator>
</mujoco>
"""
TASK = """
task: arm
dt: 0.02
channels:
  elbow: {role: state, kind: angle, unit: rad}
  shoulder: {role: state, kind: angle, unit: rad}
  shoulder_velocity: {role: state, unit: rad/s, derivative_of: shoulder}
  elbow_velocity: {role: state, unit: rad/s, derivative_of: elbow}
  shoulder_motor: {role: action, unit: N*m, limits: [-2, 2]}
  elbow_motor: {role: action, unit: N*m, limits: [-1, 1]}
learn: {type: dynamics, model: {type: mlp}}
control:
  plant: arm.xml
  seconds: 2
  hold: 0.5
  derived: {distance: sqrt((site_tip_x - 0.3) ** 2 + (site_tip_z - 0.25) ** 2)}
  cost: [{of: distance, terminal: 0.3}, {of: shoulder_velocity, weight: 0.01}]
  success: [{of: distance, within: 0.1}]
  controller: {type: mppi, samples: 64, horizon: 20, knots: 5, noise: 0.5}
"""


@pytest.fixture
def arm(tmp_path):
    (tmp_path / "arm.xml").write_text(ARM)
    (tmp_path / "arm.yaml").write_text(TASK)
    return load_task(tmp_path / "arm.yaml")


def test_site_in_costs_is_that_of_the_joint_angles(arm):
    random = np.random.default_rng(0)
    states = random.uniform(-2.0, 2.0, (3, 5, 4))  # elbow, shoulder, rates
    actions = np.zeros((3, 5, 2))
    distance = Cost(arm).quantities(states, actions, ["distance"])["distance"]
    elbow, shoulder = states[..., 0], states[..., 1]
    x = 0.3 * np.cos(shoulder) + 0.2 * np.cos(shoulder + elbow)
    z = 0.3 * np.sin(shoulder) + 0.2 * np.sin(shoulder + elbow)
    np.testing.assert_allclose(distance, np.hypot(x - 0.3, z - 0.25), atol=1e-9)


def test_cost_of_a_state_that_is_not_finite_is_not_finite(arm):
    states = np.zeros((2, 3, 4))
    states[1, 1] = np.nan
    total = Cost(arm).total(states, np.zeros((2, 3, 2)), np.zeros(2), np.zeros(4))
    assert np.isfinite(total).tolist() == [True, False]


@pytest.mark.ci
def test_planner_moves_the_tip_of_a_file_to_its_target(arm):
    planner = make_planner(arm, [TruePhysics(arm)])
    episode = run_episode(arm, planner, seed=0)
    assert episode.success
    assert len(episode.actions) == 100


def test_plant_of_a_file_is_the_plant_that_wrote_it(tmp_path):
    """The double cart-pole of this package, as a file: equal states after 50 random commands."""
    built_in = SIMULATORS["double_cart_pole"]()
    (tmp_path / "cart.xml").write_text(built_in.mjcf())
    plant = ModelPlant.of(str(tmp_path / "cart.xml"), 0.02)
    assert plant.measured[:3] == ("cart", "inner", "outer")
    assert (plant.period, plant.dt) == (2, 0.02)
    start = np.array([0.1, 0.2, -0.1, 0.0, 0.0, 0.0])
    advance, low, high = plant.stepper(start)
    expected, _, _ = built_in.stepper(start)
    for command in np.random.default_rng(0).uniform(low, high, (50, 1)):
        assert advance(command, 2) == pytest.approx(expected(command, 2), abs=1e-12)


def test_key_of_a_task_has_the_content_of_the_plant_and_no_path(arm, tmp_path):
    content = arm.part("control")["control"]
    assert content["plant"] == "arm.xml"
    (tmp_path / "arm.xml").write_text(ARM.replace('mass="0.5"', 'mass="0.6"'))
    assert arm.part("control")["control"]["files"] != content["files"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("site_tip_x", "site_tp_x", r"'site_tp_x' is no quantity of .*arm\.xml.*site_tip_x"),
        ("dt: 0.02", "dt: 0.018", "has steps of 0.005 s, dt is 0.018 s"),
        ("plant: arm.xml", "plant: leg.xml", "no such file"),
    ],
)
def test_plant_that_does_not_fit_names_what_it_has(arm, tmp_path, old, new, message):
    (tmp_path / "arm.yaml").write_text(TASK.replace(old, new))
    with pytest.raises(BadInput, match=message):
        Robot(load_task(tmp_path / "arm.yaml")).sense(np.zeros((1, 4)), np.zeros((1, 2)))


def test_factors_of_a_file_change_its_mass(arm):
    heavy = make_plant(arm, {"mass": 2.0})
    assert heavy.model().body_mass[1] == pytest.approx(2 * make_plant(arm).model().body_mass[1])
