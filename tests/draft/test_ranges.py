"""Ranges of a draft: one log warns, agreeing recordings limit, and no sound row is lost."""

import numpy as np
import pytest

from kinemill.draft.builder import build, draft
from kinemill.draft.constants import RANGE_AGREEING
from kinemill.draft.ranges import recordings_agree
from kinemill.validate.dry_run import dry_run
from tests.conftest import load_task_in
from tests.draft.tables import table

TIME = 0.01 * np.arange(400)


def write(path, position, torque):
    return table(path, time=TIME, pos=position, tau=torque)


def test_a_log_that_pulls_the_other_way_loses_no_row(tmp_path, home):
    # Torques of the first log lie between 0.51 and 1.3 N*m.
    one = write(tmp_path / "one.csv", np.sin(TIME), 0.905 + 0.395 * np.sin(3 * TIME))
    other = write(tmp_path / "other.csv", 3 * np.sin(2 * TIME), -6.0 * np.cos(TIME))
    task = load_task_in(tmp_path, draft("drafted", one))
    assert task.channels["tau"].limits is None
    (entry,) = dry_run(task, home, other)
    assert (entry["rows"], entry["dropped_rows"]) == (400, 0)
    (reason,) = [item for item in entry["reasons"] if item["channel"] == "tau"]
    assert reason["check"] == "observed_range"
    assert str(reason["found"]).startswith("-6 N*m")
    assert str(reason["found"]).endswith("; a warning")


def test_a_person_can_make_the_observed_range_cut(tmp_path, home):
    one = write(tmp_path / "one.csv", np.sin(TIME), np.sin(3 * TIME))
    other = write(tmp_path / "other.csv", np.sin(TIME), np.where(TIME > 3.0, 9.0, np.sin(TIME)))
    text = draft("drafted", one).replace("observed_range", "limits")
    (entry,) = dry_run(load_task_in(tmp_path, text), home, other)
    assert entry["dropped_rows"] == 99
    assert {item["check"] for item in entry["reasons"]} == {"limits"}


@pytest.mark.parametrize(("count", "hard"), [(RANGE_AGREEING - 1, False), (RANGE_AGREEING, True)])
def test_limits_need_agreeing_recordings(tmp_path, count, hard):
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(count):
        write(folder / f"{number:02}.csv", np.sin(TIME + number), 2.0 * np.sin(3 * TIME + number))
    tau = next(item for item in build("drafted", folder).columns if item.channel == "tau")
    assert (tau.limits is not None) == hard
    if hard:
        # 2 N*m, half of the range of 4 N*m, and a tenth of 2 N*m.
        assert tau.limits == (-4.2, 4.2)


def test_one_recording_beyond_the_others_is_no_agreement():
    similar = [(-1.0, 1.0)] * RANGE_AGREEING
    assert recordings_agree(similar)
    assert recordings_agree([*similar, (-1.0, 1.19)])
    assert not recordings_agree([*similar, (-1.0, 1.21)])


def test_a_slow_log_of_a_robot_drafted_from_a_fast_one_has_no_gaps(tmp_path, home):
    for name, step in (("fast", 0.002), ("slow", 0.02)):
        seconds = np.arange(0.0, 6.0, step)
        columns = {"pos": np.sin(17 * seconds), "tau": np.cos(3 * seconds)}
        table(tmp_path / f"{name}.csv", time=seconds, **columns)
    task = load_task_in(tmp_path, draft("drafted", tmp_path / "fast.csv"))
    assert task.dt == 0.002
    (entry,) = dry_run(task, home, tmp_path / "slow.csv")
    assert (entry["episodes"], entry["reasons"]) == (1, [])
