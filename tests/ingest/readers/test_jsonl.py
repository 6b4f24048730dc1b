"""Reading JSON Lines: fields by path, rows that lack a field, damaged rows."""

import json
import math

import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers.jsonl import read

FIELDS = {
    "channels.angle.source": "joint.position",
    "channels.velocity.source": "gyro[1]",
    "channels.torque.source": "torque",
}


def row(k: int, **changes: object) -> dict[str, object]:
    own = {"time": k / 100, "joint": {"position": 0.1 * k}, "gyro": [7.0, 1.0 * k], "torque": 2}
    return own | changes


def lines(rows) -> str:
    return "".join(json.dumps(one) + "\n" for one in rows)


@pytest.fixture
def nested(make_task):
    return make_task(**{key.replace(".", "__"): name for key, name in FIELDS.items()})


def test_fields_and_elements_are_found_by_their_path(write, nested):
    log = read(write("a.jsonl", lines(row(k) for k in range(3))), nested)
    assert log.frame.rows() == [(0.0, 0.0, 0.0, 2.0), (0.01, 0.1, 1.0, 2.0), (0.02, 0.2, 2.0, 2.0)]


def test_seconds_and_nanoseconds_are_one_timestamp(write, make_task):
    changes = {key.replace(".", "__"): name for key, name in FIELDS.items()}
    task = make_task(**changes, ingest__time="stamp.sec")
    rows = [row(k, stamp={"sec": 1785000000 + k // 2, "nanosec": 5 * k}) for k in range(3)]
    log = read(write("a.jsonl", lines(rows)), task)
    stamps = [1785000000_000000000, 1785000000_000000005, 1785000001_000000010]
    assert (log.frame["time_s"].to_list(), log.ticks) == (stamps, 1e9)


def test_a_damaged_row_is_left_out_and_named_and_nan_is_kept(write, nested):
    text = lines([row(0), row(1, torque=math.nan)]) + '{"time": 0.0\n' + lines([row(3)])
    log = read(write("a.jsonl", text), nested)
    assert log.frame["time_s"].to_list() == [0.0, 0.01, 0.03]
    assert math.isnan(log.frame["torque"][1])
    assert [(reason["where"], reason["found"]) for reason in log.reasons] == [
        ("row 3", "no JSON object")
    ]
    assert log.dropped_rows == 1


def test_a_file_without_objects_is_refused(write, nested):
    with pytest.raises(Unreadable, match="no JSON object"):
        read(write("a.jsonl", "1\n2\n"), nested)


def test_a_field_that_every_second_row_has_is_interpolated(write, logs, home, nested):
    rows = [row(k) if k % 2 == 0 else row(k, joint=None) for k in range(41)]
    write("a.jsonl", lines(rows))
    summary = ingest.run(nested, home, logs).artifact.summary
    assert (summary["rows"], summary["quarantined"]) == (41 + 21, 0)  # samples of two clocks


def test_dates_as_text_are_timestamps(write, nested):
    rows = [row(k, time=f"2024-05-01T12:00:00.{k}0Z") for k in range(3)]
    log = read(write("a.jsonl", lines(rows)), nested)
    assert log.frame["time_s"].diff().to_list() == [None, 100_000_000, 100_000_000]
    assert log.ticks == 1e9


def test_a_field_separates_the_episodes_of_a_file(write, nested):
    content = lines(row(k, episode_id=["x", "x", "y"][k]) for k in range(3)) + "[1]\n"
    first, last = read(write("a.jsonl", content), nested)
    assert [log.frame["angle"].to_list() for log in (first, last)] == [[0.0, 0.1], [0.2]]
    assert (first.dropped_rows, last.dropped_rows) == (0, 1)  # the line that is no object
