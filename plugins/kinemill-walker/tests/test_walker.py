"""The biped stands without control, falls when pushed over, and standing still is no success."""

from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kinemill_walker.environment import BODY as BODY_FILE

from kinemill.errors import BadInput
from kinemill.policies.environments import make_environment
from kinemill.policies.environments.legged.body import Body, load_body
from kinemill.policies.environments.legged.physics import MujocoThreads, MujocoWarp
from kinemill.policies.environments.legged.robot_file import RobotOptions
from kinemill.policies.environments.legged.robots import Gauge, LeggedRobots
from kinemill.policies.motion.gait_policy import ClipScale, GaitPolicy, GaitSizes
from kinemill.policies.motion.gait_reference import GaitReference
from kinemill.policies.motion.gaits import fit_gaits
from kinemill.policies.motion.motion_prior import BATCH, MotionPrior
from kinemill.policies.motion.motion_tracking import REACH, Tracking
from kinemill.policies.motion.policy_inputs import input_size, policy_inputs
from kinemill.policies.motion.settings import TrackingReward, TrackingSettings
from kinemill.policies.motion.tracking_fit import _TrackingLoop
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.policies.rl.networks import Perceptron
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import load_task
from kinemill.task.document import Task

BODY: Body = load_body(BODY_FILE)
GAUGE = Gauge(0.1, 0.5, 0.13)
WIDTH = input_size(10)
WALKER = Path(__file__).parents[1] / "tasks" / "walker.yaml"


def task(**environment) -> Task:
    return Task.model_validate(
        {
            "task": "biped",
            "dt": 0.02,
            "environment": {"type": "walker", "steps": 250, **environment},
            "learn": {"type": "reinforcement"},
        }
    )


def stands(environment, seed: int) -> tuple[int, dict, np.ndarray]:
    observation, _ = environment.reset(seed=seed)
    targets = BODY.stance.astype(np.float32)
    rows = 0
    info = {}
    while True:
        observation, _, over, cut, info = environment.step(targets)
        rows += 1
        if over or cut:
            return rows, info, observation


def test_it_stands_still_for_five_seconds_which_is_no_success():
    environment = make_environment(task(push=0.0))
    rows, info, observation = stands(environment, 3)
    assert rows == 250
    assert info["is_success"] is False  # 0.13 m/s are commanded, and 0.1 of them may be missing
    height = environment.unwrapped.robots.position[0, 2]
    assert height == pytest.approx(0.143, abs=0.005)  # as in the clips
    assert abs(observation[7:17] - BODY.stance).max() < 0.05


def test_it_falls_when_it_is_pushed_over():
    rows, info, _ = stands(make_environment(task(push=3.0, push_every=0.5)), 0)
    assert rows < 100
    assert info["is_success"] is False


def test_an_episode_follows_from_its_seed():
    first, second = (stands(make_environment(task(push=0.5)), 5) for _ in range(2))
    np.testing.assert_array_equal(first[2], second[2])
    assert not np.array_equal(first[2], stands(make_environment(task(push=0.5)), 6)[2])


def test_its_mirror_image_moves_as_the_mirror_of_the_task_says():
    """Two robots in mirrored states, with mirrored targets, stay mirror images."""
    (mirror,) = load_task(WALKER).augment
    robots = robots_of(2)
    random = np.random.default_rng(0)
    order, signs = mirror.image_of(BODY.observation_names)
    actions, action_signs = mirror.image_of(BODY.action_names)
    command = np.array([[0.1, 0.05, 0.3], [0.1, -0.05, -0.3]])
    stances = np.tile(BODY.stance, (2, 1))
    rest = np.zeros((2, 10))
    robots.begin(slice(None), command, stances, rest, command[:, :2])
    for _ in range(20):
        targets = BODY.stance + random.uniform(-0.1, 0.1, 10)
        robots.advance(np.stack([targets, targets[actions] * action_signs]))
    first, second = robots.observe(random)
    assert abs(first[7:17] - BODY.stance).max() > 0.02
    assert abs(robots.velocity[0, 1]) > 0.01
    np.testing.assert_allclose(first[order] * signs, second, atol=1e-4)
    mirrored = robots.heading_velocity() * [[1, 1, 1], [1, -1, -1]]
    np.testing.assert_allclose(*mirrored, atol=1e-4)


def test_parameters_can_be_varied_and_others_are_refused():
    environment = make_environment(task(randomize={"mass": [2.0, 2.0], "friction": [0.5, 0.5]}))
    environment.reset(seed=0)
    model = environment.unwrapped.robots.physics.models[0]
    assert model.body_mass.sum() == pytest.approx(2.0 * 1.62)
    assert model.geom_friction[1, 0] == pytest.approx(0.45)
    with pytest.raises(BadInput, match="gravity"):
        make_environment(task(randomize={"gravity": [1.0, 2.0]})).reset(seed=0)


def test_the_physics_fits_any_time_step():
    robots = make_environment(task().model_copy(update={"dt": 1 / 30})).unwrapped.robots
    assert robots.physics.models[0].opt.timestep == pytest.approx(1 / 30 / 7)  # 0.005 s in the file


@pytest.fixture(scope="module")
def family() -> GaitPolicy:
    """Gaits of two commands: legs half a cycle of 20 rows apart."""
    phase = 2.0 * np.pi * np.arange(200)[:, None] / 20.0
    turn = np.repeat([0.0, np.pi], 5) + np.tile(np.arange(5) * 0.4, 2)
    middle = np.array([0.0, 0.0, 0.95, -1.6, 0.75] * 2)
    clips = [middle + size * np.sin(phase + turn) for size in (0.1, 0.2)]
    gaits = fit_gaits(clips, [np.array([k, 0.0, 0.0]) for k in (-1.0, 1.0)], 6, 8)
    targets = BODY.action_names
    ends = zip(BODY.low.tolist(), BODY.high.tolist(), strict=True)
    limits = dict(zip(targets, ends, strict=True))
    layout = PolicyLayout(0.02, BODY.observation_names, targets, {}, limits, (0,) * 10)
    sizes = GaitSizes(
        20, tuple(range(7, 17)), (27, 28, 29), tuple(range(10)), len(gaits.mean), 1, 32
    )
    policy = GaitPolicy(layout, sizes)
    policy.load_gaits(gaits, ClipScale(np.array([0.1, 0, 0]), np.array([0.05, 1, 1]), middle))
    return policy.eval()


def test_feet_are_where_mujoco_has_them():
    import mujoco

    model = BODY.model
    data = mujoco.MjData(model)
    random = np.random.default_rng(0)
    joints = random.uniform(-0.5, 0.5, (5, 10))
    for own in joints:
        data.qpos[:3], data.qpos[7:] = 0.0, own
        data.qpos[3:7] = BODY.attitude
        mujoco.mj_kinematics(model, data)
        actual = BODY.to_level(BODY.soles(own)).reshape(8, 3)
        np.testing.assert_allclose(actual, data.geom_xpos[1:], atol=1e-12)
        assert BODY.height(own) == pytest.approx(0.008 - data.geom_xpos[1:, 2].min())
    assert BODY.soles(joints).shape == (5, 2, 4, 3)


def robots_of(count: int, physics=MujocoThreads) -> LeggedRobots:
    return LeggedRobots(BODY, GAUGE, count, 0.02, physics)


def walked(walkers: LeggedRobots, rows: int = 25) -> np.ndarray:
    count = len(walkers.position)
    random = np.random.default_rng(3)
    joints = BODY.stance + random.normal(0.0, 0.02, (count, 10))
    command = np.zeros((count, 3))
    rates = random.normal(0.0, 0.05, (count, 2))
    walkers.begin(np.arange(count), command, joints, np.zeros((count, 10)), rates)
    for _ in range(rows):
        walkers.advance(BODY.stance + random.normal(0.0, 0.1, (count, 10)))
    return walkers.position


def test_many_walk_as_one_does():
    """On threads and one by one: to the last bit, heavier ones among them."""
    many = robots_of(9)
    many.vary(4, {"mass": 1.2, "gain": 0.9})
    actual = walked(many)
    random = np.random.default_rng(3)
    joints = BODY.stance + random.normal(0.0, 0.02, (9, 10))
    rates = random.normal(0.0, 0.05, (9, 2))
    targets = [BODY.stance + random.normal(0.0, 0.1, (9, 10)) for _ in range(25)]
    for row in (0, 4):
        one = robots_of(1)
        one.vary(0, {"mass": 1.2, "gain": 0.9} if row == 4 else {})
        still = np.zeros((1, 10))
        one.begin([0], np.zeros((1, 3)), joints[[row]], still, rates[[row]])
        for own in targets:
            one.advance(own[[row]])
        np.testing.assert_array_equal(one.position[0], actual[row])


@pytest.mark.slow  # the kernels of MuJoCo Warp take two minutes to compile for a CPU
def test_warp_moves_them_as_mujoco_does():
    pytest.importorskip("mujoco_warp", reason="pip install 'kinemill[warp]'")
    from functools import partial

    one = robots_of(8)
    other = robots_of(8, partial(MujocoWarp, device="cpu"))
    for row in range(8):
        for walkers in (one, other):
            walkers.vary(row, {"mass": 0.9 + 0.03 * row, "friction": 1.1 - 0.03 * row})
    walked(one, 1)  # feet press the ground: one that just touches does or does not, by rounding
    random = np.random.default_rng(4)
    still = one.position.copy()
    for _ in range(20):
        other.position, other.velocity = one.position.copy(), one.velocity.copy()
        targets = BODY.stance + random.normal(0.0, 0.1, (8, 10))
        one.advance(targets)
        other.advance(targets)
        np.testing.assert_allclose(other.position, one.position, atol=1e-4)  # float32
        np.testing.assert_allclose(other.velocity, one.velocity, atol=2e-2)
    assert abs(one.position - still).max() > 0.05


def test_warp_that_is_not_installed_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "mujoco_warp", None)
    environment = task(physics="warp").environment
    with pytest.raises(BadInput, match=r"environment.physics: warp.*kinemill\[warp\]"):
        environment.many(task(), 2, torch.device("cpu"))


def test_what_is_exported_does_in_torch_what_it_learned_in_numpy(family):
    torch.manual_seed(0)
    core = Perceptron([WIDTH, 16, 10], "tanh")
    policy = TrackingPolicy(family.layout, family, core).eval()
    reference = GaitReference(family, np.array([[0.13, 0.0, 0.0]]), BODY)
    environment = make_environment(task())
    observation, _ = environment.reset(seed=1)
    phase = np.array([reference.nearest_phase(observation[7:17], observation[27:30])])
    which = [reference.row_of(observation[27:30])]
    added = np.zeros((1, 10))
    carry = policy.initial_carry(1)
    with torch.no_grad():
        for _ in range(20):
            inputs = policy_inputs(observation[None], phase, added, reference, which)
            added = core(torch.from_numpy(inputs))[0].numpy().clip(-1, 1)
            phase = phase + reference.phase_step
            target = reference.at(phase, which).joints[0] + REACH * added[0]
            actual, *carry = policy(torch.from_numpy(observation)[None], *carry)
            np.testing.assert_allclose(
                actual[0].numpy(), target.clip(BODY.low, BODY.high), atol=1e-5
            )
            observation = environment.step(actual[0].numpy())[0]


def walks(
    family: GaitPolicy, count: int, settings: TrackingSettings | None = None, **environment
) -> Tracking:
    """The tracking of one command, to be learned in."""
    own = task(**environment)
    walkers = own.environment.many(own, count, torch.device("cpu"))
    reference = GaitReference(family, np.array([[0.13, 0.0, 0.0]]), BODY)
    settings = settings or TrackingSettings()
    return Tracking(own.environment, walkers, reference, settings=settings)


def test_the_gait_itself_is_what_imitation_pays_most(family):
    paid = []
    for added in (0.0, 1.0):
        tracking = walks(family, 32, push=0.0)
        tracking.reset([0, *[None] * 31])
        paid.append(float(tracking.step(np.full((32, 10), added))[1].mean()))
    assert paid[0] > paid[1] + 0.05
    assert 0.6 < paid[0] <= 1.0


def test_the_reward_of_the_velocity_has_the_scale_of_the_commands(family):
    """0.05 m²/s² is the mean square of 0.3 and 0.1 m/s; turns do not count."""
    commands = np.array([[0.3, 0.0, 0.0], [0.1, 0.0, 0.1]])
    reference = GaitReference(family, commands, BODY)
    robots = walks(family, 2)._robots
    robots.command[:] = commands[0]
    robots.smooth[:] = [[0.0, 0.0, 0.0], [0.3, 0.0, 0.5]]
    at_rest = np.exp(-(0.3**2) / 0.05)
    np.testing.assert_allclose(reference.speed_reward(robots), [at_rest, 1.0], rtol=1e-6)


def test_the_reward_of_the_velocity_is_weighted(family):
    paid = list[float]()
    for weight, speed in ((0.0, 0.13), (0.5, 0.13), (0.5, 0.0)):
        reward = TrackingReward(task=0.0, imitation=0.0, command_weight=weight)
        tracking = walks(family, 4, TrackingSettings(reward=reward), push=0.0)
        tracking.reset([0, None, None, None])
        tracking._robots.smooth[:] = [speed, 0.0, 0.0]
        paid.append(float(tracking.step(np.zeros((4, 10)))[1].mean()))
    np.testing.assert_allclose(paid, [0.0, 0.5, 0.5 / np.e], atol=0.05)


def test_episodes_of_a_training_end_and_begin_anew(family):
    tracking = walks(family, 16, steps=30, push=0.3, push_every=0.2)
    first, _ = tracking.reset([5, *[None] * 15])
    dones = 0
    ends = []
    for _ in range(60):
        inputs, rewards, done, infos, _ = tracking.step(np.zeros((16, 10)))
        assert inputs.shape == (16, WIDTH)
        assert np.isfinite(inputs).all()
        assert ((rewards >= 0.0) & (rewards <= 1.0)).all()
        dones += int(done.sum())
        ends += [info for info in infos if info]
    assert dones == len(ends) > 16
    cut = [end for end in ends if end["TimeLimit.truncated"]]
    assert {one["kinemill_episode"]["ended"] for one in cut} == {0.0}
    assert {one["kinemill_episode"]["length"] for one in cut} == {30.0}
    assert any(not end["TimeLimit.truncated"] for end in ends)  # pushed over
    np.testing.assert_array_equal(tracking.reset([5, *[None] * 15])[0], first)


def test_a_parameter_that_it_lacks_is_refused_before_it_learns(family):
    with pytest.raises(BadInput, match="friction"):
        walks(family, 2, randomize={"frction": [0.9, 1.0]})


def test_a_foot_that_bears_stays_where_it_is(family):
    """The trunk's velocity is the gait's, so that on average it is the command."""
    reference = GaitReference(family, np.array([[0.13, 0.0, 0.0], [0.05, 0.1, 0.3]]), BODY)
    phases = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    for which, command in enumerate(reference.commands):
        pose = reference.at(phases, np.full(400, which))
        np.testing.assert_allclose(pose.velocity.mean(axis=0), command[:2], atol=1e-3)
        following = reference.at(phases + reference.phase_step, np.full(400, which))
        middle = reference.at(phases + 0.5 * reference.phase_step, np.full(400, which))
        np.testing.assert_allclose(
            (following.joints - pose.joints) / 0.02, middle.rates, atol=0.2
        )  # rad/s


@pytest.mark.parametrize(("bend", "warned"), [(0.0, True), (1.0, False)])
def test_gaits_far_below_the_stance_are_reported_with_a_better_one(family, bend, warned):
    stance = dict(zip(BODY.joints, (bend * family.mean[0]).tolist(), strict=True))
    body = load_body(BODY_FILE, RobotOptions(stance=stance))
    messages = list[str]()
    loop = SimpleNamespace(
        _reference=GaitReference(family, np.array([[0.13, 0.0, 0.0]]), body),
        _progress=SimpleNamespace(log_message=messages.append),
    )
    _TrackingLoop._warn_of_stance(loop, body)
    gait = body.trunk_height(family.mean[0].numpy())
    stance = body.standing_height
    assert (gait < 0.9 * stance) is warned
    assert len(messages) == warned
    for text in messages:
        for part in ("left_hip_pitch: 0.95", f"{gait:.3g} m", f"{stance:.3g} m"):
            assert part in text


def test_the_plug_in_joins_by_its_entry_point():
    (point,) = entry_points(group="kinemill.policies.environments.kinds", name="walker")
    assert point.value == "kinemill_walker.environment"
    assert len(BODY.joints) == 10
    assert len(BODY.observation_names) == 30
    assert task().environment.sources() == {"biped.xml": BODY_FILE}


def test_a_motion_prior_learns_to_tell_the_gaits_steps_from_others(family):
    reference = GaitReference(family, np.array([[0.05, 0.0, 0.0], [0.15, 0.0, 0.0]]), BODY)
    prior = MotionPrior(reference, 10, seed=0)
    random = np.random.default_rng(1)

    def clip() -> tuple[np.ndarray, np.ndarray]:
        phases = random.uniform(0.0, 2.0 * np.pi, 64)
        which = random.integers(2, size=64)
        one, other = (reference.at(phases + k * reference.phase_step, which).joints for k in (0, 1))
        return one, other

    def still() -> tuple[np.ndarray, np.ndarray]:
        stays = np.tile(reference.middle, (64, 1))
        return stays, stays + random.normal(0.0, 0.003, (64, 10))

    for _ in range(4 * BATCH // 64):
        prior.reward(*still())
    actual = [prior.reward(*make()).mean() for make in (clip, still)]
    assert actual[0] > actual[1] + 0.15
    copy = MotionPrior(reference, 10, seed=0)
    copy.restore(prior.tensors())
    step = clip()
    np.testing.assert_array_equal(copy.reward(*step), prior.reward(*step))
