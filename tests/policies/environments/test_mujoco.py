"""Any MJCF or URDF file as an environment: physics, names, rows, and the chain up to the gate."""

import mujoco
import numpy as np
import pytest

from kinemill.control.mujoco_batch import MujocoBatch
from kinemill.errors import BadInput, TaskError
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.card import make_card, open_card
from kinemill.task import load_task
from kinemill.task.examples import copy_example
from tests.conftest import EXAMPLES

GRAVITY, STEP = 9.81, 0.005
CART = """
<mujoco>
  <option timestep="0.005" integrator="Euler"/>
  <worldbody>
    <body name="cart">
      <joint name="x" type="slide" axis="1 0 0"/>
      <geom type="sphere" size="0.1" mass="2" contype="0" conaffinity="0"/>
    </body>
    <body name="ball" pos="3 0 1">
      <freejoint name="ball"/>
      <geom type="sphere" size="0.1" mass="1" contype="0" conaffinity="0"/>
      <site name="rim" pos="0.1 0 0"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="x" ctrlrange="-5 5"/></actuator>
  <sensor><jointpos name="position" joint="x"/><gyro name="gyro" site="rim"/></sensor>
  <keyframe><key name="away" qpos="0.5 3 0 1 1 0 0 0"/></keyframe>
</mujoco>
"""
URDF = """
<robot name="door">
  <link name="wall"><inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0"
    izz="1"/></inertial></link>
  <link name="leaf"><inertial><origin xyz="0.4 0 0"/><mass value="5"/><inertia ixx="0.1" ixy="0"
    ixz="0" iyy="0.2" iyz="0" izz="0.2"/></inertial></link>
  <joint name="hinge-1" type="revolute"><parent link="wall"/><child link="leaf"/>
    <axis xyz="0 0 1"/><limit lower="-1" upper="2" effort="10" velocity="3"/></joint>
</robot>
"""


@pytest.fixture
def cart(tmp_path):
    """Return a function that writes a task of the cart and loads it."""

    def write(mjcf=CART, dt=0.02, **changed):
        (tmp_path / "cart.xml").write_text(mjcf)
        environment = {"type": "mujoco", "model": "cart.xml", "reward": "-abs(x)", **changed}
        file = tmp_path / "cart.yaml"
        file.write_text(
            "task: cart\ndt: 0.02\nenvironment: CartPole-v1\nlearn: {type: reinforcement}\n"
        )
        return load_task(file, {"environment": environment, "dt": dt})

    return write


def test_a_ball_falls_and_a_push_accelerates_as_newton_has_it(cart):
    """Semi-implicit Euler falls g h² n (n + 1) / 2 in n steps of h; a mass m gains F t / m."""
    task = cart(
        observe=[
            "time",
            "ball_z",
            "body_ball_z",
            "site_rim_x",
            "body_ball_up",
            "x_velocity",
            "push",
        ],
        keyframe="away",
        steps=25,
    )
    environment = make_environment(task)
    first, _ = environment.reset(seed=0)
    assert first.tolist() == pytest.approx([0.0, 1.0, 1.0, 3.1, 1.0, 0.0, 0.0])
    for _ in range(25):
        last, reward, ended, cut, _ = environment.step(np.array([9.0]))  # above its limit
    fallen, seconds = GRAVITY * STEP**2 * 100 * 101 / 2, 0.5
    speed = 5.0 * seconds / 2.0
    expected = [seconds, 1.0 - fallen, 1.0 - fallen, 3.1, 1.0, speed, 5.0]
    assert last.tolist() == pytest.approx(expected, rel=1e-5)
    assert reward == pytest.approx(-(0.5 + speed * seconds / 2), rel=0.01)
    assert (ended, cut) == (False, True)


def test_without_settings_all_joints_and_sensors_are_observed(cart):
    task = cart()
    environment = make_environment(task)
    layout = layout_of(task, environment)
    assert layout.observation[:8] == (
        *("x", "ball_x", "ball_y", "ball_z", "ball_qw", "ball_qx", "ball_qy", "ball_qz"),
    )
    assert layout.observation[8:12] == (
        *("x_velocity", "ball_velocity_x", "ball_velocity_y", "ball_velocity_z"),
    )
    assert layout.observation[12:] == (
        *("ball_rate_x", "ball_rate_y", "ball_rate_z"),
        *("sensor_position", "sensor_gyro_0", "sensor_gyro_1", "sensor_gyro_2"),
    )
    assert layout.units["x_velocity"] == "m/s"
    assert layout.units["push"] == "N"
    assert layout.limits["push"] == (-5.0, 5.0)
    assert environment.reset(seed=0)[0].shape == (19,)
    environment.reset(seed=0)
    steps = next(k for k in range(1, 2000) if environment.step(np.zeros(1))[3])
    assert steps == 1000


def test_rows_are_the_ordinary_environment_to_the_bit():
    """Nine rows on all cores and one on one core, over episodes that end or are cut off."""
    task = load_task(EXAMPLES / "arm.yaml")
    alone = task.environment.model_copy(update={"randomize": {}, "steps": 20})
    task = task.model_copy(update={"environment": alone})
    rows = task.environment.vectorized(task)(9)
    singles = [make_environment(task) for _ in range(9)]
    observed, _ = rows.reset(range(9))
    for seed, single in enumerate(singles):
        assert np.array_equal(single.reset(seed=seed)[0], observed[seed])
    random = np.random.default_rng(1)
    for _ in range(45):
        actions = random.uniform(-5.0, 5.0, (9, 2)).astype(np.float32)
        observed, rewards, dones, infos, _ = rows.step(actions)
        for row, single in enumerate(singles):
            alone, reward, ended, cut, info = single.step(actions[row])
            assert rewards[row] == pytest.approx(reward, abs=1e-6)  # float32
            assert dones[row] == (ended or cut)
            if dones[row]:
                assert infos[row]["TimeLimit.truncated"] == (not ended)
                assert np.array_equal(infos[row]["terminal_observation"], alone)
                assert infos[row]["kinemill_episode"]["success"] == info["is_success"]
                alone, _ = single.reset()
            assert np.array_equal(observed[row], alone)


def test_factors_change_mass_and_gain_of_each_row(cart):
    randomize = {"mass": [0.5, 2.0], "gain": [0.5, 2.0]}
    task = cart(observe=["x_velocity"], randomize=randomize, steps=10)
    environment = make_environment(task)
    environment.unwrapped.vary({"mass": 2.0, "gain": 3.0})
    environment.unwrapped.reset(seed=0)
    assert environment.unwrapped.step(np.ones(1))[0][0] == pytest.approx(3.0 / 4.0 * 0.02)
    rows = task.environment.vectorized(task)(4)
    rows.reset(range(4))
    speeds, *_, _, later = [rows.step(np.ones((4, 1)))[0][:, 0] for _ in range(11)]
    assert len({*speeds}) == 4
    assert (np.abs(np.log(speeds / (0.5 * 0.02))) <= np.log(4.0)).all()
    assert not np.isclose(later, speeds).any()  # other factors in the next episode
    with pytest.raises(BadInput, match=r"weight.*is no parameter"):
        environment.unwrapped.vary({"weight": 2.0})


def test_rewards_have_parts_and_an_episode_ends_outside_of_its_range(cart):
    task = cart(
        reward={"speed": "2 * x_velocity", "effort": "-0.1 * push ** 2"},
        derived={"kinetic": "x_velocity ** 2"},
        healthy={"kinetic": [-1.0, 0.01]},
        success=[{"of": "x", "target": 0.0, "within": 0.5}],
        start={"x": [-0.2, 0.2]},
    )
    environment = make_environment(task)
    starts = [environment.reset(seed=seed)[0][0] for seed in range(20)]
    assert -0.2 <= min(starts) < -0.1 < 0.1 < max(starts) <= 0.2
    _, reward, ended, _, info = environment.step(np.ones(1))
    assert info["reward_speed"] == pytest.approx(2 * 0.01)
    assert reward == pytest.approx(info["reward_speed"] + info["reward_effort"])
    assert (ended, info["is_success"]) == (False, True)
    ends = [environment.step(np.full(1, 5.0)) for _ in range(2)]
    assert [end[2] for end in ends] == [False, True]  # 0.06 and 0.11 m/s
    assert not ends[1][4]["is_success"]


def test_a_simulation_that_diverges_ends_its_episode_alone(cart):
    loose = CART.replace('ctrlrange="-5 5"', 'ctrlrange="-1e12 1e12"')
    rows = (task := cart(loose)).environment.vectorized(task)(2)
    rows.reset([0, 1])
    for _ in range(3):
        observed, rewards, dones, _, _ = rows.step(np.array([[1e12], [0.0]]))
        if dones.any():
            break
    assert dones.tolist() == [True, False]
    assert np.isfinite(observed).all()
    assert np.isfinite(rewards).all()


def test_sensors_measure_the_state_that_is_returned():
    model = mujoco.MjModel.from_xml_string(CART)
    batch, data = MujocoBatch(model, 2, 4), mujoco.MjData(model)
    states = np.zeros((2, batch.state_size))
    states[:, 5] = 1.0  # quaternion of the ball
    states[0, 1], states[0, -3:] = 0.7, [1.0, 2.0, 3.0]
    states, is_lost = batch.advance(states, np.ones((2, 1)))
    sensors = batch.sense(states, np.ones((2, 1)))
    for state, values in zip(states, sensors, strict=True):
        mujoco.mj_setState(model, data, state, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        mujoco.mj_forward(model, data)
        assert values == pytest.approx(data.sensordata)
    assert not is_lost.any()


def test_a_urdf_gets_motors(cart):
    task = cart(URDF, motors={"hinge-1": [-10, 10]}, reward="hinge_1", dt=0.02)
    environment = make_environment(task)
    assert environment.unwrapped.action_names == ("hinge_1_command",)
    environment.reset(seed=0)
    for _ in range(10):
        observed = environment.step(np.full(1, 10.0))[0]
    # 10 N·m on 0.2 + 5 * 0.4² kg·m² for 0.2 s
    assert observed.tolist() == pytest.approx([0.2, 2.0], rel=0.06)


def test_a_position_servo_without_a_range_has_that_of_its_joint(cart):
    joint = '<joint name="x" type="slide" axis="1 0 0" range="-1 2"/>'
    mjcf = CART.replace('<joint name="x" type="slide" axis="1 0 0"/>', joint)
    servo = '<position name="push" joint="x" kp="10" gear="-2"/>'
    motor = '<motor name="push" joint="x" ctrlrange="-5 5"/>'
    environment = make_environment(cart(mjcf.replace(motor, servo)))
    assert environment.action_space.low.tolist() == [-4.0]
    assert environment.action_space.high.tolist() == [2.0]
    general = servo.replace("position", "velocity").replace("kp", "kv")  # targets are no positions
    with pytest.raises(BadInput, match="has no limits"):
        make_environment(cart(mjcf.replace(motor, general))).reset()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reward": "-abs(y)"}, "'y' is no quantity of the model"),
        ({"derived": {"x": "2"}}, "is a quantity of the model"),
        ({"observe": ["body_crt_x"]}, "did you mean 'body_cart_x'"),
        ({"start": {"time": [0, 1]}}, "is no position or velocity"),
        ({"actuators": {"pus": [0, 1]}}, "is no actuator of the model"),
        ({"motors": {"y": [0, 1]}}, "is no joint of the model"),
        ({"keyframe": "awa"}, "is no keyframe of the model"),
        ({"randomize": {"masses": [1, 2]}}, "is no parameter"),
        ({"dt": 0.012}, "has steps of 0.005 s, dt is 0.012 s"),
        ({"mjcf": CART.replace(' ctrlrange="-5 5"', "")}, "has no limits"),
        ({"mjcf": URDF, "reward": "hinge_1"}, "has no actuators"),
        ({"mjcf": CART.replace("slide", "slid")}, "is not usable"),
        ({"model": "nothing.xml"}, "no such file"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(cart, changed, message):
    task = cart(**changed)
    with pytest.raises(BadInput, match=message):
        make_environment(task).reset()


def test_a_formula_is_arithmetic_alone(cart):
    with pytest.raises(TaskError, match="reward"):
        cart(reward="__import__('os').getcwd()")
    with pytest.raises(TaskError, match="first uses second, which is not above it"):
        cart(derived={"first": "second", "second": "first"})


def test_the_card_freezes_the_model_with_the_files_it_refers_to(cart, tmp_path, home):
    (tmp_path / "parts").mkdir()
    corners = "0 0 0  1 0 0  0 1 0  0 0 1"
    faces = "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    points = [corners.split()[k : k + 3] for k in range(0, 12, 3)]
    text = "".join(f"v {' '.join(point)}\n" for point in points)
    (tmp_path / "parts" / "corner.obj").write_text(text + faces)
    (tmp_path / "parts" / "mesh.xml").write_text(
        '<mujoco><asset><mesh name="corner" file="parts/corner.obj"/></asset></mujoco>'
    )
    whole = CART.replace("<worldbody>", '<include file="parts/mesh.xml"/><worldbody>').replace(
        '<geom type="sphere" size="0.1" mass="2"', '<geom type="mesh" mesh="corner" mass="2"'
    )
    task = cart(whole, steps=5, trials={"episodes": 2})
    card = open_card(home, make_card(task, home).ref)
    assert sorted(file.name for file in (card.folder / "sources").rglob("*.*")) == [
        *("cart.xml", "corner.obj", "mesh.xml")
    ]
    expected, _ = make_environment(task).reset(seed=0)
    (tmp_path / "cart.xml").unlink()
    assert np.array_equal(make_environment(card.task(task)).reset(seed=0)[0], expected)


def test_the_image_shows_the_arm():
    environment = make_environment(load_task(EXAMPLES / "arm.yaml"), render=True)
    environment.reset(seed=0)
    image = environment.render()
    assert image.shape == (192, 192, 3)
    below, above = image[96:, :, 0] < 128, image[:96, :, 0] < 128
    assert below.sum() > 5 * above.sum()  # it hangs


def test_an_example_brings_its_model(tmp_path):
    copied = copy_example("arm", tmp_path / "tasks")
    assert (copied.parent / "arm.xml").read_bytes() == (EXAMPLES / "arm.xml").read_bytes()
