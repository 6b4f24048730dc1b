"""A legged robot of any body: a quadruped of eight joints, and what other files lack."""

import mujoco
import numpy as np
import pytest
import torch

from kinemill.control.mujoco_model import model_sources
from kinemill.errors import BadInput, TaskError
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.legged.body import load_body
from kinemill.policies.environments.legged.commands import SAMPLES, sample_commands
from kinemill.policies.environments.legged.robot_file import RobotOptions
from kinemill.task import load_task

HIPS = {"front_left": (0.1, 0.06), "front_right": (0.1, -0.06), "back_left": (-0.1, 0.06),
         "back_right": (-0.1, -0.06)}  # fmt: skip
LEG = """
<body name="{name}" pos="{x} {y} 0" euler="0 0 {yaw}">
  <inertial pos="0 0 -0.04" mass="0.1" diaginertia="6e-5 6e-5 3e-5"/>
  <joint name="{name}_hip" type="hinge" pos="0.01 0 0.005" axis="0 1 0" range="-1.5 1.5"/>
  <body name="{name}_shank" pos="0 0 -0.08">
    <inertial pos="0 0 -0.04" mass="0.05" diaginertia="3e-5 3e-5 2e-5"/>
    <joint name="{name}_knee" type="hinge" axis="0 1 0" range="-2.0 2.0"/>
    <geom type="sphere" size="0.01" pos="0 0 -0.08" contype="1" conaffinity="0"/>
  </body>
</body>
"""


def quadruped(**changed) -> str:
    parts = {
        "compiler": '<compiler angle="radian"/>',
        "key": '<key name="stance" qpos="0 0 0.17 1 0 0 0 0 0 0 0 0 0 0 0"/>',
        "joint": "<freejoint/>",
        "ground": '<geom type="plane" size="0 0 1" contype="0" conaffinity="1"/>',
        "more": "",
        "servos": "".join(
            f'<position joint="{name}_{joint}" kp="20" kv="0.5"/>'
            for name in HIPS
            for joint in ("hip", "knee")
        ),
    } | changed
    legs = "".join(LEG.format(name=name, x=x, y=y, yaw=0.2 * y) for name, (x, y) in HIPS.items())
    return f"""
<mujoco>
  {parts["compiler"]}
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    {parts["ground"]}
    {parts["more"]}
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
environment: {type: legged, robot: dog.xml, steps: 100, commands: [[0, 0, 0]], push: 0}
learn: {type: reinforcement}
"""
RANGE = [[-0.1, 0.3], 0.0, [-0.5, 0.5]]


@pytest.fixture
def task(tmp_path):
    (tmp_path / "dog.xml").write_text(quadruped())
    (tmp_path / "dog.yaml").write_text(TASK)
    return load_task(tmp_path / "dog.yaml")


def test_keys_depend_on_what_the_model_file_holds_and_not_on_where_it_is(task, tmp_path):
    settings = task.part("environment")
    (moved := tmp_path / "moved").mkdir()
    for name in ("dog.xml", "dog.yaml"):
        (moved / name).write_bytes((tmp_path / name).read_bytes())
    assert load_task(moved / "dog.yaml").part("environment") == settings
    (tmp_path / "dog.xml").write_text(quadruped().replace('kp="20"', 'kp="21"'))
    assert task.part("environment") != settings
    (tmp_path / "dog.xml").unlink()
    with pytest.raises(BadInput, match=r"dog\.xml"):
        task.part("environment")


@pytest.fixture
def body_of(tmp_path):
    def load(mjcf: str, name: str = "dog.xml", **options):
        (tmp_path / name).write_text(mjcf)
        return load_body(tmp_path / name, RobotOptions(**options))

    return load


def test_feet_are_where_mujoco_has_them(body_of):
    body, random = body_of(quadruped()), np.random.default_rng(0)
    model = mujoco.MjModel.from_xml_string(quadruped())
    data = mujoco.MjData(model)
    joints = random.uniform(-1.0, 1.0, (5, 8))
    assert body.soles(joints).shape == (5, 4, 4, 3)  # of one sphere, four times the same point
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


def test_a_command_is_drawn_from_its_ranges(task):
    ranged = load_task(task.path, {"environment.commands": [RANGE, [1.0, 0.0, 0.0]]})
    robot = ranged.environment.make(ranged)
    commands = []
    for seed in range(300):
        robot.reset(seed=seed)
        commands.append(robot.robots.command[0].copy())
    drawn = np.array([command for command in commands if command[0] != 1.0])
    assert 120 < len(drawn) < 180
    np.testing.assert_allclose(drawn.min(axis=0), [-0.1, 0.0, -0.5], atol=0.03)
    np.testing.assert_allclose(drawn.max(axis=0), [0.3, 0.0, 0.5], atol=0.03)
    np.testing.assert_array_equal(robot.reset(seed=0)[0][-3:], commands[0].astype(np.float32))


def test_a_training_has_as_many_samples_of_each_command():
    fixed, varied = (0.2, 0.0, 0.0), ((-0.1, 0.3), 0.0, (-0.5, 0.5))
    assert [command.tolist() for command in sample_commands([fixed])] == [list(fixed)]
    samples = np.array(sample_commands([fixed, varied]))
    assert len(samples) == 2 * SAMPLES
    np.testing.assert_array_equal(samples[:SAMPLES], np.tile(fixed, (SAMPLES, 1)))
    assert samples[SAMPLES:, 0].min() < 0.0 < 0.2 < samples[SAMPLES:, 0].max() < 0.3
    np.testing.assert_array_equal(samples, sample_commands([fixed, varied]))


def test_a_range_with_its_ends_exchanged_is_refused(task):
    with pytest.raises(TaskError, match=r"range \[0.3, -0.1\]: the lower end must be first"):
        load_task(task.path, {"environment.commands": [[[0.3, -0.1], 0.0, 0.0]]})


def test_latency_delays_targets_by_a_time_step(task):
    """Late targets move a robot as one moves whose targets come a step later."""
    robots = task.environment.many(task, 3, torch.device("cpu"))
    for row, latency in enumerate((1.0, 0.0, 0.0)):
        robots.vary(row, {"latency": latency})
    robots.begin(slice(None), *(np.zeros((3, n)) for n in (3, 8, 8, 2)))
    for step in range(5):
        now, late = 0.2 + 0.02 * step, 0.2 + 0.02 * (step - 1) if step else 0.0
        robots.advance(np.repeat([[now], [late], [now]], 8, axis=1))
        np.testing.assert_allclose(robots.position[0], robots.position[1], atol=1e-12)
    assert robots.position[2, 7] - robots.position[0, 7] > 0.01  # rad


def test_a_new_episode_leaves_the_targets_of_the_caller_alone(task):
    robots, targets = task.environment.many(task, 2, torch.device("cpu")), np.full((2, 8), 0.1)
    robots.advance(targets)
    robots.begin(slice(None), *(np.zeros((2, n)) for n in (3, 8, 8, 2)))
    assert (targets == 0.1).all()


@pytest.mark.slow  # compiles the kernels of MuJoCo Warp for a CPU
def test_warp_moves_robots_of_changed_mass_as_mujoco_does(task):
    pytest.importorskip("mujoco_warp", reason="kinemill[warp] is not installed")
    environment, apart = task.environment, []
    threads = environment.many(task, 8, torch.device("cpu"))
    warp = environment.model_copy(update={"physics": "warp"}).many(task, 8, torch.device("cpu"))
    random = np.random.default_rng(0)
    joints = random.uniform(-0.2, 0.2, (8, 8))
    for robots in (threads, warp):
        for row in range(4, 8):
            robots.vary(row, {"mass": 1.3, "gain": 0.8})
        robots.begin(slice(None), np.zeros((8, 3)), joints, np.zeros((8, 8)), np.zeros((8, 2)))
        robots.position[:, 2] += 1e-3  # m; touching exactly, rounding decides about contact
    for _ in range(20):
        warp.position, warp.velocity = threads.position.copy(), threads.velocity.copy()
        targets = random.uniform(-0.2, 0.2, (8, 8))
        threads.advance(targets)
        warp.advance(targets)
        apart.append(np.abs(threads.velocity - warp.velocity).max(axis=1))
    # rad/s and m/s in float32; a contact that begins in another substep changes some by more
    assert np.quantile(apart, 0.9) < 2e-3
    assert np.max(apart) < 0.2


def test_training_may_use_longer_steps_of_the_physics_than_trials(task):
    """The file has steps of 5 ms, and a time step of the task is a whole number of steps."""
    environment = task.environment.model_copy(update={"training_step": 0.0101})
    robots = environment.many(task, 1, torch.device("cpu"))
    steps = task.dt / robots.body.model.opt.timestep
    assert 0.005 < robots.body.model.opt.timestep <= 0.0101
    assert steps == pytest.approx(round(steps))
    assert environment.make(task).robots.body.model.opt.timestep <= 0.005


def test_noise_has_its_stated_size_and_is_in_observations_alone(task):
    robots = task.environment.many(task, 2000, torch.device("cpu"))
    random = np.random.default_rng(0)
    robots.begin(slice(None), *(np.zeros((2000, n)) for n in (3, 8, 8, 2)))
    exact = robots.observe(random)
    for row in range(2000):
        robots.vary(row, {"noise": 1.0})
    before = robots.position.copy()
    noisy = robots.observe(random)
    np.testing.assert_array_equal(robots.position, before)
    np.testing.assert_allclose(np.linalg.norm(noisy[:, :4], axis=1), 1.0, atol=1e-6)
    largest = np.abs(noisy - exact).max(axis=0)
    expected = [0.025] * 3 + [0.2] * 3 + [0.01] * 8 + [1.5] * 8  # half the angle: quaternions
    np.testing.assert_allclose(np.delete(largest, 3)[:-3], expected, rtol=0.02)
    np.testing.assert_array_equal(noisy[:, -3:], exact[:, -3:])  # commands


@pytest.mark.parametrize(("name", "value"), [("latency", 1.5), ("latency", -0.1), ("noise", -1.0)])
def test_latency_and_noise_out_of_range_are_named(task, name, value):
    robots = task.environment.many(task, 1, torch.device("cpu"))
    with pytest.raises(BadInput, match=rf"randomize, variants: {name}.*{value:g}"):
        robots.vary(0, {name: value})


def test_the_task_states_the_servos_of_its_actions(task):
    servos = task.environment.servos()
    assert len(servos) == 8
    assert servos["front_left_hip_target"] == {"kp": 20.0, "kv": 0.5, "limit": None}


def test_the_card_freezes_the_body(task, tmp_path):
    (source,) = task.environment.sources().values()
    assert source == tmp_path / "dog.xml"
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "dog.xml").write_text(source.read_text())
    pinned = task.environment.at(tmp_path / "copy")
    assert pinned.many(task, 3, torch.device("cpu")).position.shape == (3, 15)


def colors(environment) -> int:
    environment.reset(seed=0)
    image = environment.render()
    assert image.shape == (192, 192, 3)
    return len(np.unique(image.reshape(-1, 3), axis=0))


def test_the_image_shows_a_robot_whose_trunk_frame_is_on_the_ground(task, shared_data):
    robot = str(shared_data / "awd_robots" / "go_bdx" / "scene.xml")
    environment = task.environment.model_copy(update={"robot": robot})
    assert environment.body().height(environment.body().stance) < 0.0
    varied = task.model_copy(update={"environment": environment})
    assert colors(make_environment(varied, render=True)) > 3


SERVO = '<position joint="front_left_hip" kp="20"/>'
BALL = '<body><joint type="ball" name="hip"/><geom size="0.1"/></body>'
ANOTHER = '<body name="box"><freejoint/><geom size="0.1"/></body>'


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"servos": SERVO}, r"no actuator for front_left_knee.*environment\.gains"),
        ({"servos": "<oops/>"}, "is not valid MJCF"),
        ({"more": ANOTHER}, "free joints in box, trunk; expected one robot"),
        ({"joint": "", "more": BALL}, "2 bodies with joints on the world"),
        (
            {"joint": '<freejoint/></body><body name="other"><joint name="a"/>'},
            "cannot be compiled",
        ),
    ],
)
def test_a_file_that_is_no_legged_robot_is_refused(body_of, changed, message):
    key = {"key": ""} if changed.keys() & {"joint", "more"} else {}
    with pytest.raises(BadInput, match=message):
        body_of(quadruped(**key, **changed))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"locked": ("*_tail",)}, r"environment\.locked: \*_tail is no joint"),
        ({"gains": {"front_left_hop": (1.0, 0.1)}}, r"front_left_hop.*front_left_hip"),
        ({"stance": {"tail": 0.1}}, r"environment\.stance: tail is no joint"),
        ({"feet": ("trunk",)}, r"environment\.feet: trunk is no body"),
    ],
)
def test_an_option_that_names_what_the_robot_lacks_is_refused(body_of, options, message):
    with pytest.raises(BadInput, match=message):
        body_of(quadruped(), **options)


def test_the_physics_fits_any_time_step(task):
    robots = make_environment(task.model_copy(update={"dt": 1 / 30})).unwrapped.robots
    assert robots.physics.models[0].opt.timestep == pytest.approx(1 / 30 / 7)  # 0.005 s in the file


MOTOR = '<motor joint="{}" gear="2" ctrlrange="-3 3" ctrllimited="true"/>'
DEGREES = '<compiler angle="degree"/><default><joint stiffness="30" damping="1.5"/></default>'


def motors() -> str:
    return "".join(MOTOR.format(f"{leg}_{name}") for leg in HIPS for name in ("hip", "knee"))


def inertia(model) -> np.ndarray:
    """The inertia matrix at the position of the file."""
    data, full = mujoco.MjData(model), np.zeros((model.nv, model.nv))
    mujoco.mj_forward(model, data)
    mujoco.mj_fullM(model, data, full)
    return full


def test_torque_motors_become_servos(body_of):
    """With critical damping at the file's pose; the gain reaches 6 N·m at 0.5 rad."""
    model = body_of(quadruped(servos=motors())).model
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], 12.0)
    np.testing.assert_allclose(model.actuator_forcerange, [[-6.0, 6.0]] * 8)
    np.testing.assert_allclose(model.actuator_ctrlrange, model.jnt_range[1:])
    damping = 2.0 * np.sqrt(12.0 * np.diag(inertia(model))[6:])
    np.testing.assert_allclose(-model.actuator_biasprm[:, 2], damping, rtol=1e-6)


def test_stiffness_and_damping_of_joints_with_motors_are_the_gains(body_of):
    model = body_of(quadruped(servos=motors(), compiler=DEGREES)).model
    np.testing.assert_allclose(model.actuator_gainprm[:, 0], 30.0)
    np.testing.assert_allclose(model.actuator_biasprm[:, 1:3], [[-30.0, -1.5]] * 8)
    assert not model.jnt_stiffness.any()
    assert not model.dof_damping.any()
    np.testing.assert_allclose(model.jnt_range[1], np.radians([-1.5, 1.5]))


def test_stiff_damping_of_a_servo_does_not_diverge(task):
    """Damping of 5 N·m·s/rad on 1e-3 kg·m²: Euler's method is unstable from 2 I / dt = 0.4 on."""
    euler = quadruped(servos=motors()).replace("implicitfast", "Euler")
    task.environment.robot_path.write_text(euler)
    stiff = task.environment.model_copy(update={"gains": {"*": (20.0, 5.0)}})
    robots = make_environment(task.model_copy(update={"environment": stiff})).unwrapped.robots
    robots.begin([0], np.zeros((1, 3)), np.full((1, 8), 0.02), np.zeros((1, 8)), np.zeros((1, 2)))
    rates = []
    for _ in range(50):
        robots.advance(np.zeros((1, 8)))
        rates.append(np.abs(robots.velocity[0, 6:]).max())
    assert max(rates[10:]) < 0.1  # rad/s; with Euler's method a thousand


def test_a_task_states_gains_feet_stance_and_locks_joints(body_of):
    body = body_of(
        quadruped(),
        gains={"*_hip": (9.0, 0.3)},
        locked=("back_right_*",),
        feet=("front_left_shank", "front_right_shank"),
        stance={"front_left_knee": 0.4},
    )
    assert len(body.joints) == 6
    assert body.model.actuator_gainprm[:, 0].tolist() == [9.0, 20.0] * 3
    assert body.stance.tolist() == [0.0, 0.4, 0.0, 0.0, 0.0, 0.0]
    assert [foot.name for foot in body.feet] == ["front_left_shank", "front_right_shank"]


def test_ground_and_free_joint_are_added(body_of):
    model = body_of(quadruped(key="", joint="", ground="")).model
    assert model.nv == 6 + 8
    assert model.geom_type.tolist().count(mujoco.mjtGeom.mjGEOM_PLANE) == 1


URDF = """<robot name="leg"><link name="base">{inertia}</link>
<link name="leg">{inertia}<collision><origin xyz="0 0 -0.3"/><geometry><sphere radius="0.05"/>
</geometry></collision></link><joint name="hip" type="revolute"><parent link="base"/>
<child link="leg"/><axis xyz="0 1 0"/><limit lower="-1" upper="1" effort="10" velocity="5"/></joint>
</robot>"""
INERTIA = """<inertial><mass value="1"/><inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0"
iyz="0"/></inertial>"""


def test_a_urdf_needs_gains_alone(body_of):
    text = URDF.format(inertia=INERTIA)
    with pytest.raises(BadInput, match=r"no actuator for hip.*gains: {hip"):
        body_of(text, "leg.urdf")
    body = body_of(text, "leg.urdf", gains={"hip": (20.0, 1.0)})
    assert (body.joints, body.model.nv) == (("hip",), 7)
    assert body.height(body.stance) == pytest.approx(0.35)


def test_included_files_and_meshes_go_with_the_robot(tmp_path, body_of):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "dog.xml").write_text(quadruped())
    (tmp_path / "scene.xml").write_text('<mujoco><include file="parts/dog.xml"/></mujoco>')
    assert set(model_sources(tmp_path / "scene.xml", "here")) == {"scene.xml", "parts/dog.xml"}
    outside = '<mujoco><include file="../dog.xml"/></mujoco>'
    (tmp_path / "dog.xml").write_text(quadruped())
    (tmp_path / "parts" / "scene.xml").write_text(outside)
    with pytest.raises(BadInput, match="not in its folder; put the files of a robot"):
        model_sources(tmp_path / "parts" / "scene.xml", "here")


@pytest.mark.ci
@pytest.mark.parametrize(
    ("file", "joints", "feet"),
    [
        ("go_bdx/scene.xml", 16, ["left_foot_link", "right_foot_link"]),
        ("mini_bdx/scene.xml", 15, ["foot_module", "foot_module_2"]),
        ("amp_humanoid.xml", 28, ["right_foot", "left_foot"]),
    ],
)
def test_robots_as_their_authors_published_them_are_ready(shared_data, file, joints, feet):
    """Servos or motors, meshes or boxes, three joints in one body, a trunk frame on the ground."""
    path = shared_data / "awd_robots" / file
    body, random = load_body(path), np.random.default_rng(0)
    assert len(body.joints) == joints
    assert mujoco.mj_sizeModel(body.model) < 2e6  # bytes; a batch has hundreds of copies
    np.testing.assert_allclose(
        inertia(body.model), inertia(mujoco.MjModel.from_xml_path(str(path))), atol=1e-9
    )
    assert [foot.name for foot in body.feet] == feet
    data = mujoco.MjData(body.model)
    for _ in range(5):
        angles = random.uniform(body.low, body.high)
        data.qpos[:] = [0, 0, 0, 1, 0, 0, 0, *angles]
        mujoco.mj_kinematics(body.model, data)
        for foot, points in zip(body.feet, body.soles(angles), strict=True):
            body_point = data.body(foot.name)
            expected = foot.centers @ body_point.xmat.reshape(3, 3).T + body_point.xpos
            np.testing.assert_allclose(points, expected, atol=1e-12)
