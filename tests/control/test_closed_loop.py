"""A few short closed loops on the shipped plants; `make prove-control` runs all of them."""

import re

import numpy as np
import pytest

from kinemill.control import (
    Robot,
    TruePhysics,
    make_planner,
    make_plant,
    plain_policy,
    run_episode,
    uncertain_physics,
)
from kinemill.control.exploration import Exploration
from kinemill.control.recorded_runs import run_and_log
from kinemill.control.report import animated_links, page
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.task import load_task

TASKS = ("pendulum", "cart_pole_swing_up", "double_cart_pole")


@pytest.mark.parametrize("name", TASKS)
def test_true_physics_foresees_what_the_robot_does(name):
    task, random = load_task(name), np.random.default_rng(0)
    robot, model = Robot(task), TruePhysics(task)
    start = random.normal(size=len(task.states))
    low, high = np.array([task.channels[action].limits for action in task.actions]).T
    actions = random.uniform(1.2 * low, 1.2 * high, size=(3, 20, len(task.actions)))
    foreseen = model.rollout(start[None], np.zeros((0, 1)), actions)
    for plan, expected in zip(actions, foreseen, strict=True):
        robot.reset(start)
        np.testing.assert_allclose([robot.step(action) for action in plan], expected, atol=1e-12)


def test_any_number_of_threads_foresees_the_same():
    task = load_task("double_cart_pole")
    actions = np.random.default_rng(0).uniform(-20, 20, size=(9, 15, 1))
    single, threaded = (TruePhysics(task, threads=n) for n in (1, 2))
    history = np.full((1, 6), 0.1)
    np.testing.assert_array_equal(
        single.rollout(history, None, actions), threaded.rollout(history, None, actions)
    )


@pytest.mark.slow
def test_the_pendulum_is_swung_up_and_held_and_no_policy_without_a_plan_does_it():
    # A quarter of the plans, to be quick; the swing-up takes about four seconds.
    task = load_task("pendulum", {"control.controller.samples": 32, "control.seconds": 7})
    planner = make_planner(task, [TruePhysics(task)])
    assert run_episode(task, planner, 0).success
    for name in ("zero", "random"):
        policy = plain_policy(task, name)
        assert not any(run_episode(task, policy, seed).success for seed in range(3))


def test_exploring_adds_noise_of_the_size_asked_for():
    task = load_task("pendulum", {"control.seconds": 40})
    result = run_episode(task, plain_policy(task, "zero"), 0, explore=Exploration(0.1))
    # 2,000 normal numbers know their standard deviation to 1.6 %; 4 of these.
    assert result.actions.std() == pytest.approx(0.1, rel=0.065)  # N·m, of a half range of 1


def test_uncertain_physics_varies_what_the_task_says():
    key = "control.uncertainty"
    task = load_task("pendulum", {key: {"members": 3, "vary": {"mass": 0.2}}})
    history, actions = np.array([[1.0, 0.0]]), np.zeros((1, 10, 1))
    plain, *others = [model.rollout(history, None, actions) for model in uncertain_physics(task)]
    exact = TruePhysics(task).rollout(history, None, actions)
    np.testing.assert_array_equal(plain, exact)
    assert all(0.0 < np.abs(single - exact).max() < 0.1 for single in others)
    with pytest.raises(BadInput, match="did you mean 'mass'"):
        uncertain_physics(load_task("pendulum", {key: {"members": 2, "vary": {"mas": 0.2}}}))


def test_runs_are_logs_that_ingest_takes(home, tmp_path):
    task = load_task("pendulum", {"control.seconds": 2, "ingest.min_file_age": 0})
    logs = tmp_path / "logs"
    episodes, summary = run_and_log(task, ("random", plain_policy(task, "random")), range(2), logs)
    assert len(list(logs.iterdir())) == 2
    _, repeated = run_and_log(task, ("random", plain_policy(task, "random")), range(2), logs)
    assert repeated["cost"] == summary["cost"]
    assert len(list(logs.iterdir())) == 2
    report = ingest.run(task, home, logs)
    assert report.artifact.summary["recordings"] == 2
    import polars as pl

    log = pl.read_csv(sorted(logs.iterdir())[0])
    assert log.columns == ["timestamp", "qpos_rod", "qvel_rod", "ctrl_rod"]
    np.testing.assert_allclose(log["qpos_rod"], episodes[0].states[:-1, 0], atol=1e-7)


def test_the_page_is_whole_and_holds_a_moving_picture():
    task = load_task("double_cart_pole", {"control.seconds": 0.4})
    runs = [run_episode(task, plain_policy(task, "random"), seed) for seed in range(2)]
    text = page(task, "random", runs, range(2))
    assert text.count('<animate attributeName="points"') == 2
    assert "http" not in text
    assert "tip_height" in text


def test_a_moving_picture_ends_where_a_run_is_lost_and_lasts_as_long_as_it():
    run = np.zeros((101, 2, 2))
    run[:, 1, 0] = 0.5
    run[61:] = np.nan
    text = animated_links([run], 0.02, "one")
    (positions,) = re.findall(r'attributeName="points" values="([^"]*)" dur="([^"]*)"', text)
    # 61 rows of 20 ms, every second one, as 25 a second are drawn; 0.5 m of 0.55 are 109.1 px.
    assert positions == (";".join(["0,0 109.1,0"] * 31), "1.2s")
    assert "nan" not in text


def test_a_plant_of_another_step_or_without_a_joint_is_refused():
    with pytest.raises(BadInput, match=r"period of 0\.02 s"):
        make_plant(load_task("pendulum", {"dt": 0.01}))
    with pytest.raises(BadInput, match="is not a column of the plant"):
        Robot(load_task("pendulum", {"control.plant": "cart_pole_swing_up"}))


def test_a_task_without_a_plant_plans_on_a_model_and_names_what_a_rollout_needs():
    task = load_task("pendulum", {"control.plant": None})
    planner = make_planner(task, [TruePhysics(load_task("pendulum"))])
    low, high = task.channels[task.actions[0]].limits
    assert low <= planner.act(np.zeros((1, 2)), np.zeros((0, 1)))[0] <= high
    message = r"control\.plant: is missing; expected an MJCF or URDF file"
    with pytest.raises(BadInput, match=message):
        Robot(task)
