"""Reinforcement drafts: everything is read from the environment itself."""

import sys
from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import yaml

from kinemill.draft.environment_writer import write_environment_task
from kinemill.draft.mechanism import is_legged
from kinemill.draft.reinforcement import _ZOO, build_reinforcement
from kinemill.errors import BadInput
from kinemill.policies.rl.learner_context import check_task
from kinemill.task import load_task
from kinemill.task.yaml import read_yaml
from tests.conftest import ROOT

WALKER = ROOT / "plugins" / "kinemill-walker" / "kinemill_walker" / "biped.xml"


def test_choices_are_learned_by_ppo_up_to_the_reward_threshold():
    checked = build_reinforcement("cart", "CartPole-v1")
    task = checked.task
    assert (task.learn.algorithm.type, task.learn.target) == ("ppo", 475.0)
    assert (task.dt, task.environment.id) == (0.02, "CartPole-v1")
    assert [*task.channels] == ["obs_0", "obs_1", "obs_2", "obs_3", "action_0"]
    assert checked.draft.layout.choices == (2,)
    # Random actions keep the pole up for 22 steps on average.
    assert 10 < checked.trials.mean_return < 40


def test_numbers_with_limits_are_learned_by_sac():
    checked = build_reinforcement("swing", "Pendulum-v1")
    task = checked.task
    assert (task.learn.algorithm.type, task.learn.target) == ("sac", None)
    assert (task.dt, task.channels["action_0"].limits) == (0.05, (-2.0, 2.0))
    assert task.learn.steps == 20_000
    assert "goal: none stated" in checked.text


@pytest.mark.ci
@pytest.mark.parametrize("environment", read_yaml(_ZOO).value)
def test_tuned_settings_are_those_of_a_task_that_can_train(environment, monkeypatch):
    monkeypatch.setattr("kinemill.draft.reinforcement.RANDOM_EPISODES", 1)
    checked = build_reinforcement("tuned", environment)
    check_task(checked.task)
    assert checked.task.learn.algorithm.type in checked.text
    assert "algorithm: " in checked.draft.remarks[0]
    assert "with the settings of rl-baselines3-zoo" in checked.draft.remarks[0]


@pytest.mark.parametrize(
    ("steps", "rounds"), [(100_000, 5), (500_000, 2), (1_000_000, 1), (5_000_000, 1)]
)
def test_a_kill_of_a_drafted_training_loses_one_short_round(steps, rounds):
    draft = build_reinforcement("cart", "CartPole-v1").draft
    learn = yaml.safe_load(write_environment_task(replace(draft, steps=steps)))["learn"]
    assert learn.get("evals_per_round", 5) == rounds
    assert rounds * learn["eval_every"] <= 50_000 or rounds == 1
    assert learn["save_every"] <= rounds * learn["eval_every"]


@pytest.mark.parametrize(("env", "inputs"), [("FrozenLake-v1", 16), ("Blackjack-v1", 45)])
def test_observations_that_are_choices_become_one_vector(env, inputs):
    task = build_reinforcement("game", env).task
    assert task.environment.wrappers == []  # they are flattened by default
    assert len(task.channels) == inputs + 1
    assert (task.environment.steps is None) == (env == "FrozenLake-v1")


class Uneven(gymnasium.Env):
    """Observations of 1 and 1000, numbers without limits as actions."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    dt = 0.1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def observe(self):
        return self.np_random.normal(0.0, [1.0, 1000.0]).astype(np.float32)

    def step(self, action):
        return self.observe(), float(self.reward), False, False, {}

    reward = 0.0


class Broken(Uneven):
    """Counts its steps, and fails after three."""

    steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps > 3:
            raise RuntimeError("no license")
        return super().step(action)


class Wide(Uneven):
    """Observes three numbers where its space has two."""

    def observe(self):
        return np.zeros(3, np.float32)


class Outside(Uneven):
    """Leaves its space."""

    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)


class WithoutSpaces(gymnasium.Env):
    """States no spaces."""


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Broken", "fails with random actions: RuntimeError: no license"),
        ("Wide", r"have the shape \(3,\); expected \(2,\)"),
        ("WithoutSpaces", "has no observation_space"),
    ],
)
def test_faulty_environment_is_refused_with_its_fault(name, problem):
    with pytest.raises(BadInput, match=problem):
        build_reinforcement("own", f"{__name__}:{name}")


def test_observations_outside_of_their_space_are_named():
    remarks = build_reinforcement("own", f"{__name__}:Outside").draft.remarks
    assert any(
        remark.startswith("observations outside of their space: obs_0") for remark in remarks
    )


def test_an_environment_of_the_user_gets_a_limit_of_time_and_normalization(monkeypatch):
    draft = build_reinforcement("own", f"{__name__}:Uneven").draft
    assert draft.settings["steps"] == 1000
    assert draft.settings["wrappers"] == ["normalize_observation"]
    assert (draft.dt, draft.dt_source) == (0.1, "`dt` of the environment")
    assert "ppo, as actions are numbers" in draft.remarks[0]
    monkeypatch.setattr(Uneven, "reward", np.nan)
    with pytest.raises(BadInput, match="not finite"):
        build_reinforcement("own", f"{__name__}:Uneven")


def test_environment_file_of_the_project_is_named_relative_to_the_task(tmp_path, monkeypatch):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "workspace.yaml").touch()
    (tmp_path / "game.py").write_text(f"from {__name__} import Uneven\n")
    monkeypatch.chdir(tmp_path)
    checked = build_reinforcement("own", "game.py:Uneven")
    path = tmp_path / "tasks" / "own.yaml"
    path.write_text(checked.text_in(path.parent))
    assert "path: ../game.py:Uneven" in path.read_text()
    assert load_task(path).environment.path == f"{tmp_path}/tasks/../game.py:Uneven"
    assert checked.text_in(tmp_path.parent) == checked.text


def test_a_robot_in_mjcf_is_learned_in_its_physics():
    checked = build_reinforcement("biped", str(WALKER))
    task = checked.task
    assert (task.environment.type, task.learn.algorithm.type) == ("legged", "ppo")
    assert task.channels["left_knee_target"].unit == "rad"
    assert task.channels["left_knee_velocity"].unit == "rad/s"
    assert "action_scaling" in [wrapper.type for wrapper in task.environment.wrappers]


def test_a_humanoid_with_torque_motors_is_learned_in_its_physics(shared_data):
    checked = build_reinforcement("human", str(shared_data / "awd_robots" / "amp_humanoid.xml"))
    assert len(checked.task.actions) == 28
    assert checked.task.channels["left_knee_target"].limits == pytest.approx(
        (0.0, 2.7925268), rel=1e-5
    )


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ("CartPol-v1", "did you mean 'CartPole-v1'"),
        ("Pusher-v4", "use Pusher-v5"),
        ("FetchReach-v4", "PACKAGE:FetchReach-v4"),
        ("CartPole", "expected a Gymnasium id"),
    ],
    ids=["unknown", "older library", "another package", "no id"],
)
def test_id_that_cannot_be_made_is_refused_with_what_to_name(environment, problem):
    with pytest.raises(BadInput, match=problem):
        build_reinforcement("env", environment)


def test_a_missing_library_is_named(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "Box2D", None)
    with pytest.raises(BadInput, match=r"pip install 'kinemill\[policies\]'"):
        build_reinforcement("lander", "LunarLander-v3")


class Camera(Uneven):
    """Shows images."""

    observation_space = gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8)

    def observe(self):
        return self.observation_space.sample()


def test_images_are_stacked_and_learned_by_ppo():
    checked = build_reinforcement("camera", f"{__name__}:Camera")
    task = checked.task
    assert [wrapper.type for wrapper in task.environment.wrappers] == ["frame_stack"]
    assert (task.learn.algorithm.type, task.learn.algorithm.critic) == ("ppo", "shared")
    assert task.environment.trials.episodes == 10
    assert len(checked.trials.returns) == 1


def test_a_mechanism_without_a_free_joint_holds_the_pose_of_its_file(tmp_path):
    (tmp_path / "cart.xml").write_text(
        '<mujoco><worldbody><body><joint name="cart" type="slide" axis="1 0 0" range="-1 1"/>'
        '<geom size=".1"/><body><joint name="pole" axis="0 1 0"/><geom size=".05" pos="0 0 .5"/>'
        '</body></body></worldbody><actuator><motor joint="cart" ctrlrange="-1 1"/></actuator>'
        '<keyframe><key name="home" qpos="0.2 -0.1"/></keyframe></mujoco>'
    )
    checked = build_reinforcement("cart", str(tmp_path / "cart.xml"))
    environment = checked.task.environment
    assert (environment.type, environment.keyframe) == ("mujoco", "home")
    assert environment.derived["error"] == "sqrt(((cart - 0.2) ** 2 + (pole + 0.1) ** 2) / 2)"
    assert checked.draft.remarks[0].startswith("reward: holds the pose of the file")
    assert checked.task.learn.algorithm.type == "ppo"


def test_an_arm_next_to_a_free_object_does_not_walk(tmp_path):
    limb = '<body><joint name="{}"/><geom size=".1"/>{}</body>'
    arm = limb.format("shoulder", limb.format("elbow", ""))
    cube = "<body><freejoint/><geom size='.1'/></body>"
    robot = f"<body><freejoint/><geom size='.1'/>{arm}</body>"
    for name, bodies in (("arm", arm + cube), ("robot", robot)):
        (tmp_path / f"{name}.xml").write_text(f"<mujoco><worldbody>{bodies}</worldbody></mujoco>")
    assert not is_legged(tmp_path / "arm.xml")
    assert is_legged(tmp_path / "robot.xml")


def write_arm(path, joints=3):
    """Write the URDF of a chain of hinges on a fixed base."""
    link = (
        '<link name="link_{0}"><inertial><mass value="1"/><inertia ixx=".01" iyy=".01" izz=".01" '
        'ixy="0" ixz="0" iyz="0"/></inertial></link>'
    )
    hinge = (
        '<joint name="joint_{1}" type="revolute"><parent link="link_{0}"/><child link="link_{1}"/>'
        '<origin xyz="0 0 .3"/><axis xyz="0 1 0"/>'
        '<limit lower="-2" upper="2" velocity="3" effort="30"/></joint>'
    )
    parts = [link.format(at) for at in range(joints + 1)]
    parts += [hinge.format(at, at + 1) for at in range(joints)]
    path.write_text(f'<robot name="arm">{"".join(parts)}</robot>')
    return path


def test_an_arm_in_urdf_does_not_walk_and_gets_motors_of_its_effort(tmp_path):
    checked = build_reinforcement("arm", str(write_arm(tmp_path / "arm.urdf")))
    assert checked.task.environment.type == "mujoco"
    limits = {name: checked.task.channels[name].limits for name in checked.task.actions}
    assert limits == {f"joint_{at}_command": (-30.0, 30.0) for at in (1, 2, 3)}
