"""Logs of policies: they hold what was applied, within limits, and their own task takes them whole.

Experts, environments and plants come from the shipped tasks; a new one is tested without an edit.
"""

import json
import re

import h5py
import numpy as np
import polars as pl
import pytest

from kinemill.control.closed_loop import Episode, run_episode
from kinemill.control.physics import Robot
from kinemill.control.recorded_runs import run_and_log
from kinemill.control.sim.pendulum import Pendulum
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.evaluation import run_episode as run_trial
from kinemill.policies.environments.evaluation import try_policy
from kinemill.policies.environments.layout import action_limits
from kinemill.policies.environments.logs import step_table, write_episode, write_steps
from kinemill.policies.environments.rollout_logs import demonstrations
from kinemill.policies.environments.video import Video, renders
from kinemill.policies.verification.viewer import episode_viewer
from kinemill.task import load_task
from kinemill.validate import stage as validate
from tests.conftest import EXAMPLES
from tests.policies.environments.plants import Point, Toward
from tests.policies.environments.test_environments import POINT, task_in

TASKS = {path.stem: load_task(path) for path in sorted(EXAMPLES.glob("*.yaml"))}
LEARNS = [name for name, task in TASKS.items() if task.environment and task.learn.from_logs]
REWARD = "cart_pole_reward"  # its simulated plant lacks the reward
CONTROLLED = [name for name, task in TASKS.items() if task.control and name != REWARD]


class Wild:
    """Wants a hundred times what any motor gives, one way and the other."""

    history = 1

    def __init__(self, actions: int) -> None:
        self.actions, self.sign = actions, 1.0

    def reset(self, seed):
        self.sign = 1.0

    def act(self, *observed):
        self.sign = -self.sign
        return np.full(self.actions, 100.0 * self.sign, np.float32)


def accepted(task, home, folder):
    """Ingest and validate logs; return how many recordings are accepted, and rows cut."""
    report = ingest.run(task, home, folder)
    assert report.artifact.summary["dropped_rows"] == 0
    assert not report.artifact.summary["quarantined"]
    summary = validate.run(task, home, report.artifact.ref).summary
    assert summary["quarantined"] == 0
    return summary["accepted"], summary["dropped_rows"]


@pytest.mark.ci
@pytest.mark.parametrize("name", LEARNS)
def test_a_task_takes_every_row_of_its_own_expert(name, home, tmp_path):
    task = TASKS[name]
    try:
        episodes = list(demonstrations(task, tmp_path / "logs", range(8)))
    except BadInput as error:
        pytest.skip(f"no expert: {error}")
    assert all(episode.file for episode in episodes)
    assert accepted(task, home, tmp_path / "logs") == (8, 0)


def test_at_least_three_tasks_have_an_expert():
    assert {"obstacle", "reach", "targets"} <= set(LEARNS)


@pytest.mark.parametrize("name", LEARNS)
def test_an_action_beyond_the_limits_is_logged_as_applied_and_as_commanded(name, tmp_path):
    task = TASKS[name]
    environment = make_environment(task)
    layout = layout_of(task, environment)
    limits = action_limits(task, environment, layout)
    run = run_trial(task, environment, Wild(len(layout.actions)), seed=0)
    assert run.commands is not None
    assert np.abs(run.commands).min() == 100.0
    assert ((limits[0] <= run.actions) & (run.actions <= limits[1])).all()
    for column, channel in enumerate(layout.actions):
        low, high = task.channels[channel].limits or (-np.inf, np.inf)
        assert low <= run.actions[:, column].min() <= run.actions[:, column].max() <= high
    replayed = run_trial(task, environment, Replay(run.actions), seed=0)
    assert replayed.commands is None
    np.testing.assert_array_equal(replayed.rewards, run.rewards)  # the log holds what happened
    if task.ingest.format != "hdf5":
        return
    with h5py.File(write_episode(task, run, tmp_path)) as file:
        np.testing.assert_array_equal(file["episode_0/actions"], run.actions)
        np.testing.assert_array_equal(file["episode_0/commands"], run.commands)


class Replay:
    """Does again what a log holds."""

    def __init__(self, actions) -> None:
        self.actions, self.row = actions, 0

    def reset(self, seed):
        self.row = 0

    def act(self, observation):
        self.row += 1
        return self.actions[self.row - 1]


def test_limits_of_the_task_that_are_narrower_than_the_robots_hold():
    narrow = {"channels.shoulder_torque.limits": [-0.3, 0.1]}
    task = load_task(EXAMPLES / "reach.yaml", narrow)
    environment = make_environment(task)
    run = run_trial(task, environment, Wild(2), seed=0)
    torque = run.actions[:, 0].astype(float)  # as a log holds it; float32(0.1) is above 0.1
    assert -0.3 <= torque.min() < -0.29
    assert 0.09 < torque.max() <= 0.1


def test_a_csv_holds_the_commanded_action_in_a_column_beside(tmp_path):
    task = load_task(EXAMPLES / "reach.yaml", {"ingest.format": "csv"})
    run = run_trial(task, make_environment(task), Wild(2), seed=0)
    log = pl.read_csv(write_episode(task, run, tmp_path))
    assert log["elbow_torque_commanded"].abs().min() == 100.0
    assert log["actions[1]"].abs().max() <= 0.5


@pytest.mark.parametrize("name", CONTROLLED)
def test_a_task_takes_every_row_of_a_wild_controller_of_its_plant(name, home, tmp_path):
    task = TASKS[name]
    run_and_log(task, ("wild", Wild(len(task.actions))), [0], tmp_path, seconds=2.0, explore=0.5)
    (path,) = tmp_path.glob("*.csv")
    log = pl.read_csv(path)
    for action in task.actions:
        source = task.channels[action].source
        low, high = task.channels[action].limits
        values = log[source[0].name if source else action]
        assert low <= values.min() <= values.max() <= high


def test_the_log_of_a_weak_motor_holds_what_it_gives():
    """The task allows 1 N*m, the motor gives 0.2."""
    task = TASKS["pendulum_swing_up"]
    weak = Robot(task, Pendulum(torque=0.2))
    episode: Episode = run_episode(task, Wild(1), 0, robot=weak, seconds=1.0)
    assert np.abs(episode.actions).max() == pytest.approx(0.2)


def episodes():
    return try_policy(task_in({**POINT, "steps": 5}), Toward(), [3, 4], record=2).episodes


def test_a_step_is_a_row_with_reward_action_observation_and_events(tmp_path):
    first, second = episodes()
    table = pl.read_parquet(write_steps([first, second], tmp_path))
    assert table.equals(step_table([first, second]))
    assert table["seed"].to_list() == [3] * 5 + [4] * 5
    assert table["time_s"][:5].to_list() == [0.0, 0.1, 0.2, 0.1 * 3, 0.4]
    assert table["reward"].sum() == first.episode_return + second.episode_return
    pushed = table.filter(pl.col("seed") == 3)
    np.testing.assert_allclose(
        pushed["action/action_0"], np.clip(-pushed["observation/position"], -2, 2)
    )
    np.testing.assert_allclose(pushed["event/pushed"].sum(), np.nansum(first.step_events["pushed"]))
    assert not table["terminated"].any()  # the limit of time cut them off


def data_of(page: str) -> dict:
    return json.loads(re.search(r'application/json">(.*?)</script>', page, re.S)[1])


def test_the_viewer_holds_frames_rewards_actions_and_events_of_each_step():
    first = episodes()[0]
    frames = np.zeros((6, 8, 8, 3), np.uint8)
    page = episode_viewer(first, Video(frames))
    data = data_of(page)
    assert data["step"] == [0, 1, 2, 3, 4]
    assert data["values"][0] == [float(f"{reward:.5g}") for reward in first.rewards]
    np.testing.assert_allclose(data["values"][1], np.cumsum(first.rewards), rtol=1e-4)
    assert [len(data["frames"]), data["frame"]] == [5, [0, 1, 2, 3, 4]]
    names = re.findall(r'<tr data-row="\d+"><th>(.*?)</th>', page)
    text = " ".join(re.sub("<.*?>", "", name) for name in names)
    for name in ("reward", "action_0", "pushed"):
        assert name in text
    assert not re.search(r'(src|href)="?https?:', page)


def test_a_long_episode_is_thinned_and_one_without_pictures_says_so():
    task = task_in({**POINT, "steps": 1000, "arguments": {"edge": 1e9}})
    long = try_policy(task, Toward(), [0], record=1).episodes[0]
    data = data_of(episode_viewer(long, Video(np.zeros((1001, 4, 4, 3), np.uint8))))
    assert len(data["step"]) <= 400
    assert len(data["frames"]) <= 120
    assert max(data["frame"]) == len(data["frames"]) - 1
    assert "draws no pictures" in episode_viewer(long, None)


def test_an_environment_that_cannot_draw_here_is_no_error():
    class Blind(Point):
        def render(self):
            raise RuntimeError("no display")

    assert renders(Point())
    assert not renders(Blind())
