"""Reading Parquet: columns by name, times of any kind, damage refused."""

from datetime import datetime, time, timedelta

import polars as pl
import pytest

from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers.parquet import read
from tests.ingest.conftest import refusals


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "torque": pl.Series([1, 2, 3], dtype=pl.Int16),
            "note": ["a", "b", "c"],
            "position": pl.Series([0.5, 0.25, None], dtype=pl.Float32),
            "velocity": [1.0, 2.0, 3.0],
            "time": [0.0, 0.01, 0.02],
        }
    )


def test_columns_are_matched_by_name_and_widened(logs, task, frame):
    frame.write_parquet(logs / "a.parquet")
    log = read(logs / "a.parquet", task)
    expected = [(0.0, 0.5, 1.0, 1.0), (0.01, 0.25, 2.0, 2.0), (0.02, None, 3.0, 3.0)]
    assert log.frame.rows() == expected
    assert set(log.frame.dtypes) == {pl.Float64}


def test_datetime_stamps_bring_their_own_unit(logs, task, frame):
    start = datetime(2024, 5, 1, 12, 0, 0)  # noqa: DTZ001 - a log without a time zone
    stamps = [start + timedelta(milliseconds=10 * k) for k in range(3)]
    frame.with_columns(time=pl.Series(stamps, dtype=pl.Datetime("us"))).write_parquet(logs / "a.pq")
    log = read(logs / "a.pq", task)
    assert log.frame["time_s"].diff().to_list() == [None, 10_000, 10_000]
    assert log.ticks == 1e6


def test_integer_nanoseconds_stay_integers(logs, make_task, frame):
    stamps = [1_700_000_000_000_000_001 + k for k in range(3)]
    frame.with_columns(time=pl.Series(stamps)).write_parquet(logs / "a.parquet")
    log = read(logs / "a.parquet", make_task(ingest__time_unit="ns"))
    assert log.frame["time_s"].to_list() == stamps


def test_fields_of_structs_and_their_elements_are_columns(logs, make_task, frame):
    rows = [{"motor": {"torque": float(k)}, "gyro": [0.0, 10.0 * k]} for k in range(3)]
    frame.with_columns(imu=pl.Series(rows)).write_parquet(logs / "a.parquet")
    task = make_task(
        channels__torque__source="imu.motor.torque", channels__velocity__source="imu.gyro[1]"
    )
    log = read(logs / "a.parquet", task)
    assert log.frame.select("torque", "velocity").rows() == [(0.0, 0.0), (1.0, 10.0), (2.0, 20.0)]


def test_a_struct_is_no_number_and_its_field_is_named(logs, task, frame):
    frame.with_columns(torque=pl.Series([{"left": 1.0}] * 3)).write_parquet(logs / "a.parquet")
    (one,) = refusals(read, logs / "a.parquet", task)
    assert (one["channel"], one["found"]) == ("torque", "holds Struct({'left': Float64})")
    assert "`torque.left`" in one["fix"]


def test_text_and_lists_are_no_numbers(logs, task, frame):
    odd = frame.with_columns(velocity=pl.lit("fast"), torque=pl.lit([1.0, 2.0]))
    odd.write_parquet(logs / "a.parquet")
    reasons = refusals(read, logs / "a.parquet", task)
    expected = [("velocity", "holds String"), ("torque", "holds List(Float64)")]
    assert [(item["channel"], item["found"]) for item in reasons] == expected


@pytest.mark.parametrize("keep", [0, 3, 4, 100, 600])
def test_a_cut_file_is_refused(logs, task, frame, keep):
    path = logs / "a.parquet"
    frame.write_parquet(path)
    assert path.stat().st_size > 600
    path.write_bytes(path.read_bytes()[:keep])
    (reason,) = refusals(read, path, task)
    assert (reason["check"], reason["where"]) == ("format", "file")


def test_damage_in_the_footer_is_refused_or_harmless_but_never_a_crash(logs, task, frame):
    path = logs / "a.parquet"
    frame.write_parquet(path)
    whole, refused = path.read_bytes(), 0
    for offset in range(len(whole) - 300, len(whole), 3):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x81]) + whole[offset + 1 :])
        try:
            read(path, task)
        except Unreadable:
            refused += 1
    assert refused > 20  # of 100; the others hit text that nobody needs


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("episode_id", ["a", "b", "b"]),
        pl.Series("episode_index", [4, 7, 7]),
        pl.Series("done", [True, False, True]),
        pl.Series("is_first", [0, 1, 0]),
    ],
    ids=lambda column: column.name,
)
def test_a_column_separates_the_episodes_of_a_table(logs, task, frame, column):
    frame.with_columns(column).write_parquet(logs / "a.parquet")
    parts = read(logs / "a.parquet", task)
    expected = [("episode 0", [0.0]), ("episode 1", [0.01, 0.02])]
    assert [(log.part, log.frame["time_s"].to_list()) for log in parts] == expected


def test_times_of_the_day_are_nanoseconds(logs, task, frame):
    times = pl.Series([time(23, 59, 59, 990_000), time(0), time(0, 0, 0, 10_000)])
    frame.with_columns(time=times).write_parquet(logs / "a.pq")
    log = read(logs / "a.pq", task)
    assert log.frame["time_s"].to_list() == [86_399_990_000_000, 0, 10_000_000]
    assert log.ticks == 1e9
