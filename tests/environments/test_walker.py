"""The biped: it stands by itself, falls when pushed over, and standing is no success."""

import numpy as np
import pytest
import torch

from kinemill.environments import make_environment
from kinemill.environments.kinds._biped import JOINTS, LEGS, LIMITS, SIDES
from kinemill.environments.kinds.walker import Walker
from kinemill.errors import BadInput
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.spec.task import Task
from kinemill.train.gait_policy import GaitPolicy, GaitSizes
from kinemill.train.gaits import fit_gaits
from kinemill.train.motion_prior import BATCH, MotionPrior
from kinemill.train.reinforcement.nets import Perceptron
from kinemill.train.tracked import WIDTH, TrackedPolicy, reference_of, see
from kinemill.train.tracking import REACH, Tracking

LOW, HIGH = (np.array([LIMITS[name][k] for name in JOINTS * 2]) for k in (0, 1))


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
    stance, rows, told = environment.unwrapped.stance.astype(np.float32), 0, {}
    while True:
        observation, _, over, cut, told = environment.step(stance)
        rows += 1
        if over or cut:
            return rows, told, observation


def test_it_stands_still_for_five_seconds_which_is_no_success():
    environment = make_environment(task(push=0.0))
    rows, told, observation = stands(environment, 3)
    assert rows == 250
    assert told["is_success"] is False  # 0.13 m/s are commanded, and 0.1 of them may be missing
    assert environment.unwrapped.data.qpos[2] == pytest.approx(0.143, abs=0.005)  # as in the clips
    assert abs(observation[7:17] - environment.unwrapped.stance).max() < 0.05


def test_it_falls_when_it_is_pushed_over():
    rows, told, _ = stands(make_environment(task(push=3.0, push_every=0.5)), 0)
    assert rows < 100
    assert told["is_success"] is False


def test_an_episode_follows_from_its_seed():
    first, second = (stands(make_environment(task(push=0.5)), 5) for _ in range(2))
    np.testing.assert_array_equal(first[2], second[2])
    assert not np.array_equal(first[2], stands(make_environment(task(push=0.5)), 6)[2])


def test_parameters_can_be_varied_and_others_are_refused():
    environment = make_environment(task(randomise={"mass": [2.0, 2.0], "friction": [0.5, 0.5]}))
    environment.reset(seed=0)
    core = environment.unwrapped
    assert core.model.body_mass.sum() == pytest.approx(2.0 * 1.62)
    assert core.model.geom_friction[1, 0] == pytest.approx(0.45)
    with pytest.raises(BadInput, match="gravity"):
        make_environment(task(randomise={"gravity": [1.0, 2.0]})).reset(seed=0)


def test_a_time_step_that_the_physics_cannot_make_is_refused():
    odd = task().model_copy(update={"dt": 1 / 30})
    with pytest.raises(BadInput, match=r"multiple of 0\.005"):
        make_environment(odd)


@pytest.fixture(scope="module")
def family() -> GaitPolicy:
    """Gaits of two commands: legs half a cycle of 20 rows apart."""
    phase = 2.0 * np.pi * np.arange(200)[:, None] / 20.0
    turn = np.repeat([0.0, np.pi], 5) + np.tile(np.arange(5) * 0.4, 2)
    middle = np.array([0.0, 0.0, 0.95, -1.6, 0.75] * 2)
    clips = [middle + size * np.sin(phase + turn) for size in (0.1, 0.2)]
    gaits = fit_gaits(clips, [np.array([k, 0.0, 0.0]) for k in (-1.0, 1.0)], 6, 8)
    names = Walker.observation_names
    targets = [f"{side}_{joint}_target" for side in SIDES for joint in JOINTS]
    limits = dict(zip(targets, zip(LOW.tolist(), HIGH.tolist(), strict=True), strict=True))
    layout = PolicyLayout(0.02, names, tuple(targets), {}, limits, (0,) * 10)
    sizes = GaitSizes(
        20, tuple(range(7, 17)), (27, 28, 29), tuple(range(10)), len(gaits.mean), 1, 32
    )
    policy = GaitPolicy(layout, sizes)
    scale = {"command_mean": [0.1, 0, 0], "command_std": [0.05, 1, 1], "rest_mean": middle}
    policy.adopt(gaits, {name: np.array(value) for name, value in scale.items()})
    return policy.eval()


def test_what_is_exported_does_in_torch_what_it_learned_in_numpy(family):
    torch.manual_seed(0)
    core = Perceptron([WIDTH, 16, 10], "tanh")
    policy = TrackedPolicy(family.layout, family, core).eval()
    reference = reference_of(family, np.array([[0.13, 0.0, 0.0]]))
    environment = make_environment(task())
    observation, _ = environment.reset(seed=1)
    phase, added = reference.nearest(observation[7:17], observation[27:30]), np.zeros(10)
    carry = policy.initial_carry(1)
    with torch.no_grad():
        for _ in range(20):
            seen = torch.from_numpy(see(observation, phase, added, reference))
            added = core(seen[None])[0][0].numpy().clip(-1, 1)
            phase += reference.pace
            target = reference.curve(np.array([phase]), observation[27:30])[0] + REACH * added
            found, *carry = policy(torch.from_numpy(observation)[None], *carry)
            np.testing.assert_allclose(found[0].numpy(), target.clip(LOW, HIGH), atol=1e-5)
            observation = environment.step(found[0].numpy())[0]


def test_the_gait_itself_is_what_imitation_pays_most(family):
    """At rest in the gait's own pose and pace, but for gravity within one step of 20 ms."""
    reference = reference_of(family, np.array([[0.13, 0.0, 0.0]]))
    environment = Tracking(make_environment(task(push=0.0)), reference, see)
    paid = []
    for added in (0.0, 1.0):
        rewards = []
        for seed in range(8):
            environment.reset(seed=seed)
            rewards.append(environment.step(np.full(10, added))[1])
        paid.append(np.mean(rewards))
    assert paid[0] > paid[1] + 0.05
    assert 0.6 < paid[0] <= 1.0


def test_names_are_those_of_the_clips_joints():
    assert Walker.action_names == tuple(f"{name}_target" for name in LEGS)
    assert len(Walker.observation_names) == 30


def test_a_motion_prior_learns_to_tell_the_gaits_steps_from_others(family):
    reference = reference_of(family, np.array([[0.05, 0.0, 0.0], [0.15, 0.0, 0.0]]))
    prior, random = MotionPrior(reference, 10, seed=0), np.random.default_rng(1)

    def clip() -> tuple[np.ndarray, np.ndarray]:
        phase = random.uniform(0.0, 2.0 * np.pi)
        return tuple(reference.curve(np.array([phase, phase + reference.pace]), [0.1, 0.0, 0.0]))

    def still() -> tuple[np.ndarray, np.ndarray]:
        return reference.middle, reference.middle + random.normal(0.0, 0.003, 10)

    for _ in range(4 * BATCH):
        prior.reward(*still())
    found = [np.mean([prior.reward(*make()) for _ in range(50)]) for make in (clip, still)]
    assert found[0] > found[1] + 0.15
    twin = MotionPrior(reference, 10, seed=0)
    twin.go_on(prior.tensors())
    step = clip()
    assert twin.reward(*step) == prior.reward(*step)
