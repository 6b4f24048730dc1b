"""The small robots in a plane: their experts, what varies, their pictures, and demonstrations."""

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments._raster import Bar, Disc, draw
from kinemill.policies.environments.evaluation import run_episode
from kinemill.policies.environments.kinds.reach import posture, tip
from kinemill.policies.environments.rollout_logs import demonstrations
from kinemill.task import load_task
from tests.conftest import EXAMPLES

KINDS = ("reach", "obstacle", "targets")


def task_of(name, **environment):
    changed = {f"environment.{key}": value for key, value in environment.items()}
    return load_task(EXAMPLES / f"{name}.yaml", changed)


def demonstrated(task, seeds):
    environment = make_environment(task)
    expert = task.environment.expert(environment)
    return [run_episode(task, environment, expert, seed) for seed in seeds]


@pytest.mark.parametrize("name", KINDS)
def test_the_expert_succeeds_from_every_start(name):
    runs = demonstrated(task_of(name), range(12))
    assert all(run.success and run.terminated for run in runs)
    assert all(run.commands is None for run in runs)  # every action is within the limits
    assert all(np.isfinite(run.observations["observation"]).all() for run in runs)


def test_a_posture_brings_the_tip_where_it_is_wanted():
    """To 1e-12 m, for places in reach."""
    random = np.random.default_rng(0)
    for angles in random.uniform([-1.5, 0.6], [1.5, 2.2], (20, 2)):
        assert posture(tip(angles)) == pytest.approx(angles, abs=1e-9)


def test_both_ways_round_the_obstacle_are_shown_and_the_middle_never():
    runs = demonstrated(task_of("obstacle"), range(30))
    sides_passed = [
        run.observations["observation"][:, 1][np.abs(run.rewards).argmin() // 2] for run in runs
    ]
    share = np.mean(np.array(sides_passed) > 0)
    assert 0.2 < share < 0.8
    for run in runs:
        position = run.observations["observation"][:, :2]
        assert np.linalg.norm(position, axis=1).min() > 0.14


def test_parameters_change_what_happens_and_a_wrong_name_is_told():
    """A weak motor (half the gain) reaches half the speed, a delay of 3 rows acts 3 rows later."""

    def speeds(**fixed):
        task = task_of("obstacle", randomize={name: [v, v + 1e-9] for name, v in fixed.items()})
        environment = make_environment(task)
        environment.reset(seed=0)
        return [environment.step([0.4, 0.0])[0][2] for _ in range(12)]

    usual, weak, late = speeds(), speeds(gain=0.5), speeds(delay=3.0)
    assert weak[-1] == pytest.approx(usual[-1] / 2, rel=1e-3)
    assert late[:3] == [0.0] * 3
    assert late[3:] == pytest.approx(usual[:9], abs=1e-6)
    with pytest.raises(BadInput, match="did you mean 'friction'"):
        speeds(fricton=2.0)


def test_light_and_camera_change_the_picture_alone():
    def picture(**fixed):
        randomize = {name: [value, value + 1e-9] for name, value in fixed.items()}
        environment = make_environment(task_of("targets", randomize=randomize))
        observation, _ = environment.reset(seed=4)
        return observation["camera"].astype(float), observation["observation"]

    (usual, numbers), (dark, same), (moved, _) = picture(), picture(light=0.5), picture(camera=0.05)
    assert dark == pytest.approx(usual / 2, abs=1.0)
    assert (same == numbers).all()
    # 0.05 m are 3.2 of 64 pixels for 1 m: up in the plane is a smaller row.
    assert np.abs(moved[6:, :-6] - usual[6:, :-6]).mean() > 1.0


def test_a_disc_and_a_bar_cover_what_their_areas_say():
    """Within 3 %: a soft edge counts half."""
    black = (0.0, 0.0, 0.0)
    for shape, area in (
        (Disc((0.1, -0.1), 0.2, black), np.pi * 0.04),
        (Bar((-0.2, 0.0), (0.2, 0.0), 0.1, black), np.pi * 0.01 + 0.08),
    ):
        picture = draw([shape], 64, 0.5)[..., 0].astype(float)
        assert (1 - picture / picture.max()).mean() == pytest.approx(area, rel=0.03)
    left_image = draw([Disc((-0.3, 0.3), 0.1, black)], 64, 0.5)
    assert left_image[:32, :32].min() < 10 < left_image[32:].min()  # y is up


def test_what_a_policy_sees_there_has_names_units_and_limits():
    task = task_of("targets")
    layout = layout_of(task, make_environment(task))
    assert layout.observation == ("x", "y", "x_rate", "y_rate")  # the policy sees two of them
    assert layout.images == {"camera": (64, 64, 3)}
    assert layout.texts == {"instruction": 64}
    assert layout.limits["x_command"] == (-0.5, 0.5)
    assert layout.units["x_command"] == "m/s"


def test_failures_are_left_out_unless_they_are_wanted(tmp_path):
    """In one row nobody reaches anything."""
    task = task_of("reach", steps=1)
    assert [
        demonstration.file for demonstration in list(demonstrations(task, tmp_path, [0, 1]))
    ] == [None, None]
    episodes = list(demonstrations(task, tmp_path, [0, 1], failures=True))
    assert all(episode.file.is_file() and not episode.success for episode in episodes)


def test_an_environment_without_an_expert_says_what_to_do():
    task = load_task(EXAMPLES / "reach.yaml", {"environment": "CartPole-v1"})
    with pytest.raises(BadInput, match="has no expert"):
        task.environment.expert(None)
