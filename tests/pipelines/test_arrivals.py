"""What the arrival sensor asks for: once for every set of contents, never for a growing file."""

import os
import time

import pytest

from kinemill.spec import load_task
from pipelines.sensors import next_run
from tests.pipelines.conftest import TASK

LOG = "timestamp,qpos_cart,qpos_pole,qvel_cart,qvel_pole,ctrl_cart\n0.0,0,0,0,0,{}\n"


@pytest.fixture
def drop(place):
    folder = place.home.logs(TASK)
    folder.mkdir(parents=True)

    def write(name, content, age=10.0):
        path = folder / name
        path.write_text(LOG.format(content))
        os.utime(path, (time.time() - age,) * 2)
        return path

    return write


def look(place, seen, **overrides):
    return next_run(load_task(TASK, overrides), place.home, seen)


def test_an_empty_drop_folder_asks_for_nothing(place):
    assert look(place, {}) == (None, {})


def test_new_logs_are_asked_for_once(place, drop):
    drop("a.csv", 1)
    request, seen = look(place, {})
    assert request is not None
    assert request.asset_selection is None
    assert look(place, seen) == (None, seen)


def test_a_second_log_is_asked_for_under_another_key(place, drop):
    drop("a.csv", 1)
    first, seen = look(place, {})
    drop("b.csv", 2)
    second, _ = look(place, seen)
    assert first.run_key != second.run_key


def test_a_copy_or_a_rename_asks_for_nothing(place, drop):
    path = drop("a.csv", 1)
    _, seen = look(place, {})
    drop("copy.csv", 1)
    path.rename(path.with_name("renamed.csv"))
    assert look(place, seen) == (None, seen)


def test_a_lost_cursor_asks_under_the_same_key_which_dagster_starts_once(place, drop):
    drop("a.csv", 1)
    first, _ = look(place, {})
    again, _ = look(place, {})
    assert first.run_key == again.run_key


def test_a_file_that_still_grows_is_left_alone(place, drop):
    path = drop("a.csv", 1, age=0.0)
    settle = {"ingest.settle": 5.0}
    assert look(place, {}, **settle)[0] is None
    os.utime(path, (time.time() - 6.0,) * 2)
    assert look(place, {}, **settle)[0] is not None


def test_a_changed_task_file_asks_again(place, drop):
    drop("a.csv", 1)
    _, seen = look(place, {})
    assert look(place, seen, **{"learn.seed": 7})[0] is not None


def test_below_the_threshold_logs_go_only_up_to_the_dataset(place, drop):
    drop("a.csv", 1)
    three = {"retrain.after_new_recordings": 3}
    request, seen = look(place, {}, **three)
    assert [key.path[1] for key in request.asset_selection] == ["recordings", "episodes", "dataset"]
    members = place.home.store / "members" / TASK
    members.mkdir(parents=True)
    for name in "ab":
        (members / f"{name}.json").write_text("{}")
    assert look(place, seen, **three)[0] is None
    (members / "c.json").write_text("{}")
    whole, seen = look(place, seen, **three)
    assert whole.asset_selection is None
    assert seen["trained"] == 3
    assert look(place, seen, **three)[0] is None
