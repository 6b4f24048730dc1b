"""Report page of a learning loop: contribution of each round, and videos."""

import re

import numpy as np
import pytest

from kinemill.control.learning_loop import EpisodeRecord, RoundRecord
from kinemill.control.loop_report import loop_page, new_states
from kinemill.control.policies import plain_policy
from kinemill.control.recorded_runs import read_states, run_and_log
from kinemill.errors import BadInput
from kinemill.task import load_task

TASK = load_task("pendulum", {"control.seconds": 0.4})


def record(number, logs, successes, **changed):
    episodes = [EpisodeRecord(seed, 50, False, 1.0, log) for seed, log in enumerate(logs)]
    values = {"version": number + 1, "alias": None, "gate": [], "trials": 4}
    values |= {"nrmse": 0.5 / (number + 1), "coverage": None, "wall": 1.0, "cpu": 1.0}
    values |= {"steps": 50 * len(logs) * (number + 1), "successes": successes}
    return RoundRecord(number=number, episodes=episodes, **(values | changed))


def test_new_states_are_cells_that_no_earlier_round_visited():
    """Angles 0 to 1 rad; then half of them repeated and half new; then all repeated."""
    first = np.stack([np.linspace(0.0, 0.99, 100), np.zeros(100)], axis=1)
    second = np.stack([np.linspace(0.5, 1.99, 100), np.zeros(100)], axis=1)
    whole, half, none = new_states(TASK, [[first], [second], [first, second]])
    assert (whole, none) == (1.0, 0.0)
    assert half == pytest.approx(2 / 3, abs=0.14)  # a cell of 0.4 rad is 27 of 100 rows
    turned = first + np.array([2 * np.pi, 0.0])  # the same angles
    assert new_states(TASK, [[first], [turned], []])[1] == pytest.approx(0.0, abs=0.02)
    assert np.isnan(new_states(TASK, [[first], []])[1])


def test_the_page_has_videos_of_the_logs_and_says_what_each_round_added(tmp_path):
    logs = run_and_log(TASK, ("random", plain_policy(TASK, "random")), range(3), tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    runs = {name: read_states(TASK, tmp_path / name) for name in names[:2]}
    np.testing.assert_allclose(runs[names[0]], logs.episodes[0].states[:-1], atol=1e-7)
    rounds = [record(0, names[:1], 1), record(1, names[1:], 3)]
    text = loop_page(TASK, rounds, runs)
    assert text.count('<animate attributeName="points"') == 2  # the third log is not there
    assert "Round 1, version 1: 0 of 2 episodes succeed" in text
    assert ">+2</td>" in text  # successes, from 1 to 3
    assert ">\u221250.0</td>" in text  # % of the nrmse, from 0.5 to 0.25
    assert "http" not in text
    plain = loop_page(TASK, rounds, {})
    assert "animate" not in plain
    assert "closed loop, last version" in plain
    without_trials = loop_page(TASK, [record(0, names, 0, trials=0)], {})
    assert "episodes of the last round" in without_trials


def test_the_page_has_no_video_of_a_robot_whose_joints_are_no_states(tmp_path):
    """States beyond those of the plant are left out; without a joint there is nothing to draw."""
    run_and_log(TASK, ("random", plain_policy(TASK, "random")), range(1), tmp_path)
    (path,) = tmp_path.iterdir()
    states, rounds = read_states(TASK, path), [record(0, [path.name], 1)]
    drawn = loop_page(TASK, rounds, {path.name: states})
    reward = {"channels.reward": {"role": "state", "unit": "1"}}
    more = {path.name: np.column_stack([states, np.ones(len(states))])}
    page = loop_page(load_task("pendulum", {"control.seconds": 0.4, **reward}), rounds, more)
    points = re.compile(r'<animate attributeName="points"[^>]*>')
    assert points.findall(page) == points.findall(drawn) != []
    renamed = {f"channels.{TASK.states[0]}.source": "encoder"}
    renamed_task = load_task("pendulum", {"control.seconds": 0.4, **renamed})
    other = loop_page(renamed_task, rounds, {path.name: states})
    assert "the logs lack the position of a joint" in other
    assert "animate" not in other


def test_a_log_that_is_not_there_or_lacks_a_column_is_an_error(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        read_states(TASK, tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("timestamp,qpos_rod\n0,1\n")
    with pytest.raises(BadInput, match="no column 'qvel_rod'"):
        read_states(TASK, tmp_path / "a.csv")
