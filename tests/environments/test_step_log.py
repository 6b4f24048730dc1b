"""Steps of episodes as Parquet, and the viewer of one of them."""

import json
import re

import numpy as np
import polars as pl

from kinemill.environments.evaluation import try_policy
from kinemill.environments.step_log import step_table, write_steps
from kinemill.environments.video import Video, renders
from kinemill.verify.policies.viewer import episode_viewer
from tests.environments.plants import Point, Toward
from tests.environments.test_environments import POINT, task_in


def episodes():
    return try_policy(task_in({**POINT, "steps": 5}), Toward(), [3, 4], record=2).episodes


def test_a_step_is_a_row_with_reward_action_observation_and_events(tmp_path):
    one, other = episodes()
    table = pl.read_parquet(write_steps([one, other], tmp_path))
    assert table.equals(step_table([one, other]))
    assert table["seed"].to_list() == [3] * 5 + [4] * 5
    assert table["time_s"][:5].to_list() == [0.0, 0.1, 0.2, 0.1 * 3, 0.4]
    assert table["reward"].sum() == one.episode_return + other.episode_return
    pushed = table.filter(pl.col("seed") == 3)
    np.testing.assert_allclose(
        pushed["action/action_0"], np.clip(-pushed["observation/position"], -2, 2)
    )
    np.testing.assert_allclose(pushed["event/pushed"].sum(), one.events["pushed"])
    assert not table["terminated"].any()  # the limit of time cut them off


def data_of(page: str) -> dict:
    return json.loads(re.search(r'application/json">(.*?)</script>', page, re.S)[1])


def test_the_viewer_holds_frames_rewards_actions_and_events_of_each_step():
    one = episodes()[0]
    frames = np.zeros((6, 8, 8, 3), np.uint8)
    page = episode_viewer(one, Video(frames))
    data = data_of(page)
    assert data["step"] == [0, 1, 2, 3, 4]
    assert data["values"][0] == [float(f"{reward:.5g}") for reward in one.rewards]
    np.testing.assert_allclose(data["values"][1], np.cumsum(one.rewards), rtol=1e-4)
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
