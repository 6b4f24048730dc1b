"""Logs of one recording with their own timestamps."""

import numpy as np
import pytest

from kinemill.draft.joined_files import write_joined
from kinemill.draft.time_join import join_by_time
from kinemill.errors import BadInput

EPOCH = 1_700_000_000.0


def log(path, start, rate, rows, value, scale=1.0):
    """Write a log of one column, a function of the time in s."""
    times = (start + np.arange(rows) / rate).tolist()
    lines = [f"{scale * time!r},{value(time)!r}" for time in times]
    path.write_text(f"time,{path.stem}\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def pair(tmp_path):
    """A slow log, and a fast one that begins 0.05 s later: both hold twice the time."""
    return [
        log(tmp_path / "angle.csv", 10.0, 50.0, 200, lambda time: 2.0 * time),
        log(tmp_path / "speed.csv", 10.05, 1000.0, 3000, lambda time: 2.0 * time),
    ]


def test_a_line_is_interpolated_exactly_at_the_rows_of_the_first_file(pair):
    # The fast log spans 10.05 to 13.049 s: rows 3 to 152 of the slow one.
    frame, _, (match,) = join_by_time(pair)
    assert frame.columns == ["time", "angle", "speed"]
    assert (frame.height, match.rows) == (150, 150)
    assert frame["time"][0] == pytest.approx(10.06)
    assert np.allclose(frame["speed"], frame["angle"], atol=1e-9)
    assert match.distance <= 0.0005


def test_the_fast_log_can_set_the_rows(pair):
    frame, _, (match,) = join_by_time(pair[::-1])
    assert frame.height == 3000
    assert match.distance == pytest.approx(0.01)  # half of the slow log's period


def test_a_command_is_held(tmp_path):
    first = log(tmp_path / "q.csv", 10.506, 100.0, 100, lambda time: time)
    second = log(tmp_path / "u.csv", 10.09, 50.0, 100, lambda time: round(2.0 * time, 6))
    frame, *_ = join_by_time([first, second])
    assert frame["u"][0] == pytest.approx(20.98)  # at 10.506 s, between 10.49 and 10.51 s


def test_an_offset_moves_the_clocks_of_later_files(pair):
    frame, *_ = join_by_time(pair, offset=0.5)
    shifted = frame.filter(frame["time"] > 10.6)
    assert np.allclose(shifted["speed"], shifted["angle"] - 1.0, atol=1e-9)


def test_units_of_clocks_are_converted(tmp_path):
    first = log(tmp_path / "u.csv", EPOCH, 100.0, 300, lambda time: time - EPOCH)
    second = log(tmp_path / "y.csv", EPOCH + 1.0, 40.0, 100, lambda time: time - EPOCH, scale=1e3)
    frame, _, (match,) = join_by_time([first, second])
    assert (frame.height, match.rows) == (200, 200)  # 1 to 2.99 s
    assert np.allclose(frame["y"], frame["u"], atol=1e-4)


def test_a_pause_of_a_log_leaves_rows_out(pair):
    lines = pair[1].read_text().splitlines()
    pair[1].write_text("\n".join(lines[:1001] + lines[1501:]) + "\n")  # without 11.05 to 11.55 s
    frame, _, (match,) = join_by_time(pair)
    assert np.diff(frame["time"]).max() == pytest.approx(0.52)
    assert match.rows == frame.height == 150 - 25


def test_clocks_that_do_not_overlap_state_the_offset_that_aligns_them(tmp_path):
    first = log(tmp_path / "u.csv", 100.0, 100.0, 100, lambda time: time)
    second = log(tmp_path / "y.csv", 3.0, 100.0, 100, lambda time: time)
    with pytest.raises(BadInput, match=r"y\.csv.*spans 100 to 100.99 s") as refused:
        join_by_time([first, second])
    assert refused.value.fix == "if both began together: --offset 97"
    assert join_by_time([first, second], offset=97.0).frame.height == 100


def test_a_file_without_timestamps_is_refused_by_name(pair, tmp_path):
    plain = tmp_path / "u.csv"
    plain.write_text("u\n" + "\n".join(str(at % 7) for at in range(50)) + "\n")
    with pytest.raises(BadInput, match=r"u\.csv: no column rises as a clock.*--by row"):
        write_joined([pair[0], plain], tmp_path / "run.csv", join_by_time)
    assert not (tmp_path / "run.csv").exists()


def test_a_wrapped_angle_is_not_averaged_across_its_jump(tmp_path):
    first = log(tmp_path / "u.csv", 10.0, 200.0, 400, lambda time: time)
    turn = log(tmp_path / "angle.csv", 10.0, 50.0, 101, lambda time: (4.0 * time) % 6.28 - 3.14)
    frame, *_ = join_by_time([first, turn])
    off = frame["angle"] - ((4.0 * frame["time"]) % 6.28 - 3.14)
    assert np.abs((off + 3.14) % 6.28 - 3.14).max() < 0.05  # half of a period at 4 rad/s: 0.04 rad


def test_command_that_only_its_file_names_keeps_that_name_and_is_held(tmp_path):
    """`rostopic echo -p` writes a file for each topic, with the fields as columns."""
    for topic, rate in (("cmd_vel", 5.0), ("odom", 50.0)):
        path = tmp_path / f"{topic}.csv"
        rows = [f"{k / rate},{k // 2 if rate == 5.0 else k}" for k in range(round(4 * rate))]
        path.write_text(
            "\n".join(["%time,field.linear.x" if rate == 5.0 else "%time,field.v", *rows])
        )
    frame, *_ = join_by_time([tmp_path / "odom.csv", tmp_path / "cmd_vel.csv"])
    assert frame.columns == ["time", "field.v", "cmd_vel.field.linear.x"]
    assert set(frame["cmd_vel.field.linear.x"].to_list()) <= {*map(float, range(10))}
