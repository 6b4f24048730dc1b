"""A legged robot of any body: a quadruped of eight joints, from MJCF alone."""

import mujoco
import numpy as np
import pytest
import torch

from kinemill.environments import make_environment
from kinemill.environments.legged.body import body_of
from kinemill.errors import BadInput
from kinemill.task import load_task

HIPS = {"front_left": (0.1, 0.06), "front_right": (0.1, -0.06), "back_left": (-0.1, 0.06),
         "back_right": (-0.1, -0.06)}  # fmt: skip
LEG = """
<body name="{name}" pos="{x} {y} 0" euler="0 0 {yaw}">
  <inertial pos="0 0 -0.04" mass="0.1" diaginertia="6e-5 6e-5 3e-5"/>
  <joint name="{name}_hip" type="hinge" pos="0.01 0 0.005" axis="0 1 0" range="-1.5 1.5"/>
  <body pos="0 0 -0.08">
    <inertial pos="0 0 -0.04" mass="0.05" diaginertia="3e-5 3e-5 2e-5"/>
    <joint name="{name}_knee" type="hinge" axis="0 1 0" range="-2.0 2.0"/>
    <geom type="sphere" size="0.01" pos="0 0 -0.08" contype="1" conaffinity="0"/>
  </body>
</body>
"""


def quadruped(**changed) -> str:
    parts = {
        "key": '<key name="stance" qpos="0 0 0.17 1 0 0 0 0 0 0 0 0 0 0 0"/>',
        "joint": "<freejoint/>",
        "servos": "".join(
            f'<position joint="{name}_{joint}" kp="20" kv="0.5"/>'
            for name in HIPS
            for joint in ("hip", "knee")
        ),
    } | changed
    legs = "".join(LEG.format(name=name, x=x, y=y, yaw=0.2 * y) for name, (x, y) in HIPS.items())
    return f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    <geom type="plane" size="0 0 1" contype="0" conaffinity="1"/>
    <body name="trunk" pos="0 0 0.2">
      {parts["joint"]}
      <inertial pos="0 0 0" mass="1.0" diaginertia="3e-3 3e-3 3e-3"/>
      {legs}
    </body>
  </worldbody>
  <actuator>{parts["servos"]}</actuator>
  <keyframe>{parts["key"]}</keyframe>
</mujoco>
"""


TASK = """
task: dog
dt: 0.02
environment: {type: legged, body: dog.xml, steps: 100, commands: [[0, 0, 0]], push: 0}
learn: {type: reinforcement}
"""


@pytest.fixture
def task(tmp_path):
    (tmp_path / "dog.xml").write_text(quadruped())
    (tmp_path / "dog.yaml").write_text(TASK)
    return load_task(tmp_path / "dog.yaml")


def test_feet_are_where_mujoco_has_them():
    body, random = body_of(quadruped(), "here"), np.random.default_rng(0)
    model = mujoco.MjModel.from_xml_string(quadruped())
    data = mujoco.MjData(model)
    joints = random.uniform(-1.0, 1.0, (5, 8))
    assert body.soles(joints).shape == (5, 4, 1, 3)
    for angles in joints:
        data.qpos[:] = [0, 0, 0, 1, 0, 0, 0, *angles]
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(body.soles(angles)[:, 0], data.geom_xpos[1:], atol=1e-12)
        assert body.height(angles) == pytest.approx(0.01 - data.geom_xpos[1:, 2].min())


def test_channels_are_those_of_the_body_and_it_stands_for_two_seconds(task):
    environment = make_environment(task)
    robot = environment.unwrapped
    assert len(robot.observation_names) == 10 + 2 * 8
    assert robot.action_names[0] == "front_left_hip_target"
    environment.reset(seed=0)
    has_fallen = cut = False
    while not (has_fallen or cut):
        _, reward, has_fallen, cut, info = environment.step(np.zeros(8, np.float32))
    assert cut
    assert info["is_success"]  # standing still is commanded
    assert reward == pytest.approx(1.0, abs=0.01)
    assert robot.robots.position[0, 2] == pytest.approx(0.17, abs=0.005)  # m


def test_the_card_freezes_the_body(task, tmp_path):
    (source,) = task.environment.sources().values()
    assert source == tmp_path / "dog.xml"
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "body.xml").write_text(source.read_text())
    pinned = task.environment.at(tmp_path / "copy")
    assert pinned.many(task, 3, torch.device("cpu")).position.shape == (3, 15)


def test_the_image_shows_the_robot(task):
    environment = make_environment(task, render=True)
    environment.reset(seed=0)
    image = environment.render()
    assert image.shape == (192, 192, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 3


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"key": ""}, "no keyframe 'stance'"),
        ({"joint": ""}, "a trunk with a free joint first"),
        ({"servos": '<position joint="front_left_hip" kp="20"/>'}, "has 1 servos for 8 joints"),
        ({"servos": "<oops/>"}, "is not valid MJCF"),
    ],
)
def test_a_body_that_lacks_a_part_is_refused(changed, message):
    key = {} if "joint" not in changed else {"key": ""}
    with pytest.raises(BadInput, match=message):
        body_of(quadruped(**key, **changed), "environment.body: dog.xml")


def test_a_time_step_that_the_physics_cannot_make_is_refused(task):
    with pytest.raises(BadInput, match=r"multiple of 0\.005"):
        make_environment(task.model_copy(update={"dt": 1 / 30}))
