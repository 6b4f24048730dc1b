"""Clocks and time steps of drafts, also of logs that hold durations instead of timestamps."""

import numpy as np
import pytest

from kinemill.draft.builder import build, draft
from kinemill.draft.draft_check import check_draft
from kinemill.draft.logs import read_tables
from kinemill.draft.timing import nice
from kinemill.errors import BadLog
from tests.conftest import load_task_in
from tests.draft.tables import load, table
from tests.draft.test_derivatives import TIME, motion


@pytest.mark.parametrize(
    ("form", "name"), [("csv", "duration"), ("npz", "cycle_duration"), ("csv", "dt")]
)
def test_time_is_the_sum_of_durations(tmp_path, form, name):
    """A control loop of 1 kHz that misses each 50th cycle, as libfranka logs it."""
    steps = np.where(np.arange(len(TIME)) % 50 == 49, 0.002, 0.001)
    steps[0] = 0.0
    angle, speed = motion(np.random.default_rng(0))
    seconds = np.cumsum(steps)
    columns = {name: steps, "q": np.interp(seconds, TIME, angle)}
    columns |= {"dq": np.interp(seconds, TIME, speed), "tau_J_d": np.sin(40.0 * seconds)}
    path = tmp_path / f"log.{form}"
    save = np.savez if form == "npz" else table
    save(path, **columns)
    checked = check_draft(build("arm", path))
    task = checked.task
    assert (task.dt, task.ingest.time, task.ingest.time_kind) == (0.02, [name], "steps")
    assert task.channels["dq"].derivative_of == "q"
    (entry,) = checked.entries
    assert (entry["outcome"], entry["rows"]) == ("episodes", int(seconds[-1] / 0.02) + 1)
    assert (checked.refused, checked.cut) == ([], [])


def test_a_constant_duration_is_the_time_step(tmp_path):
    angle, _ = motion(np.random.default_rng(0))
    columns = {"duration": np.full(len(TIME), 0.004), "q": angle, "tau": np.sin(TIME)}
    draft = build("arm", table(tmp_path / "a.csv", **columns))
    assert draft.dt == pytest.approx(0.004)
    assert [column.channel for column in draft.columns] == ["q", "tau"]


def test_stamps_of_the_sensor_are_preferred_to_those_of_messages_that_came_in_bursts(
    tmp_path, time
):
    measured = 1.7e9 + time
    received = np.repeat(measured[::4] + 0.05, 4) + np.tile([0.0, 1e-4, 2e-4, 3e-4], 200)
    columns = {"header.stamp": measured, "pos": np.sin(time), "u": time % 3}
    rows = np.column_stack([received, *columns.values()])
    path = tmp_path / "a.csv"
    header = ",".join(["%time", *columns])
    np.savetxt(path, rows, "%.6f", delimiter=",", header=header, comments="")
    task, text = load(tmp_path, "diver", path)
    assert (task.dt, task.ingest.time) == (0.01, ["header.stamp"])
    assert list(task.channels) == ["pos", "u"]
    assert "left out, another clock: it rises with time: time" in text


def test_a_clock_may_repeat_stamps_in_some_rows(tmp_path, time):
    """A logger at 100 Hz with a source that is a third slower writes every third row twice."""
    stamps = 1e6 * (5.0 + time - 0.01 * (np.arange(800) % 3 == 2))
    path = table(tmp_path / "a.csv", timestamp_us=stamps, pos=np.sin(time), u=time % 3)
    task, _ = load(tmp_path, "drone", path)
    assert (task.ingest.time, task.ingest.time_unit) == (["timestamp_us"], "us")
    assert task.dt == pytest.approx(0.015, abs=0.006)  # steps are 10 ms and 20 ms


def test_a_log_without_stamps_asks_for_their_rate_and_takes_it(tmp_path, time):
    path = table(tmp_path / "a.csv", u=np.sin(50 * time), y=np.cos(40 * time))
    with pytest.raises(BadLog, match="--rate HZ"):
        draft("asks", path)
    task = load_task_in(tmp_path, draft("stated", path, 50.0))
    assert (task.dt, task.ingest.rate, task.columns) == (0.02, 50.0, ["y", "u"])


@pytest.mark.parametrize("rate", [{"fs": 50.0}, {"Ts": 0.02}], ids=["fs", "Ts"])
def test_a_log_without_stamps_that_states_its_rate_once_is_drafted_with_it(tmp_path, time, rate):
    ((name, value),) = rate.items()
    path = table(tmp_path / "a.csv", u=np.sin(50 * time), y=np.cos(40 * time))
    first, *rows = path.read_text().splitlines()
    lines = [f"{first},{name}", f"{rows[0]},{value}", *(f"{row}," for row in rows[1:])]
    path.write_text("\n".join(lines))
    task = load_task_in(tmp_path, draft("stated", path))
    assert (task.dt, task.ingest.rate, task.columns) == (0.02, 50.0, ["y", "u"])


@pytest.mark.parametrize("step", [{"fs": 50.0}, {"dt": 0.02}], ids=["fs", "dt"])
def test_row_numbers_called_time_are_no_clock_next_to_a_rate(tmp_path, time, step):
    ((name, value),) = step.items()
    columns = {"u": time % 3, "y": np.cos(40 * time), name: np.full(len(time), value)}
    path = table(tmp_path / "a.csv", Time=np.arange(len(time)) + 1.0, **columns)
    task, _ = load(tmp_path, "counted", path)
    assert (task.dt, task.ingest.rate, task.columns) == (0.02, 50.0, ["y", "u"])


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_rate_above_a_table_counts_and_not_its_row_numbers_called_time(tmp_path, time, newline):
    rows = [f"{k},{t % 3:.4f},{np.cos(40 * t):.4f}" for k, t in enumerate(time)]
    path = tmp_path / "a.csv"
    path.write_bytes(newline.join(["# Sample rate: 500 Hz", "time,u,y", *rows, ""]).encode())
    task, _ = load(tmp_path, "counted", path)
    assert (task.ingest.rate, task.ingest.time) == (500.0, [])


def test_logs_that_state_different_rates_are_not_drafted_together(tmp_path, time):
    for name, rate in {"a.csv": 50.0, "b.csv": 100.0}.items():
        values = {"u": np.sin(50 * time), "y": np.cos(40 * time), "fs": np.full(len(time), rate)}
        table(tmp_path / name, **values)
    logs = read_tables(tmp_path, None)
    assert [one.path.name for one in logs.tables] == ["a.csv"]
    assert logs.problems == {"b.csv": "has 100 Hz, and a.csv 50 Hz"}


def test_even_stamps_give_their_own_step_and_no_rounded_one(tmp_path, time):
    path = table(tmp_path / "a.csv", time=time / 7.5, q=np.sin(20 * time), u=np.cos(time))
    assert load(tmp_path, "even", path)[0].dt == pytest.approx(1 / 750, rel=1e-6)


@pytest.mark.parametrize(
    ("measured", "rounded"),
    [(0.00201, 0.002), (0.0303, 0.03), (0.0333, 0.03333), (0.0164, 0.01667), (0.0199, 0.02)],
)
def test_a_time_step_is_rounded_to_a_usual_one(measured, rounded):
    assert nice(measured) == rounded


def stamped_by(name, stamps, time):
    """Return a text table whose first column is text."""
    rows = zip(stamps, np.sin(time), time % 3, strict=True)
    lines = (f"{stamp},{position:.6f},{force:.6f}" for stamp, position, force in rows)
    return "\n".join([f"{name},pos,u", *lines]) + "\n"


def whole_seconds(time):
    return [f"2024-05-01 12:00:{int(one):02}" for one in time + 0.36]


def test_dates_in_whole_seconds_are_refused_with_the_rate_of_the_rows(tmp_path, time):
    """Of each second, only the first of 100 rows would be used."""
    path = tmp_path / "a.csv"
    path.write_text(stamped_by("Date", whole_seconds(time), time))
    with pytest.raises(BadLog, match=r"Date has 9 different timestamps in 800 rows.*--rate 100"):
        draft("press", path)
    assert build("press", path, 100.0).dt == 0.01


def test_texts_that_only_look_like_dates_leave_out_their_log_or_their_column(tmp_path, time):
    texts = ["30 foo 2024 12:00:00"] * len(time)
    path = tmp_path / "a.csv"
    path.write_text(stamped_by("Date", texts, time))
    with pytest.raises(BadLog, match=r"Date holds no dates, but texts such as '30 foo 2024"):
        draft("press", path)
    assert "holds no dates" in build("press", path, 100.0).tables[0].left_out["Date"]


def test_another_clock_is_preferred_to_dates_in_whole_seconds(tmp_path, time):
    stamps = [f"{date},{one:.2f}" for date, one in zip(whole_seconds(time), time, strict=True)]
    path = tmp_path / "a.csv"
    path.write_text(stamped_by("Date,t", stamps, time))
    task, text = load(tmp_path, "press", path)
    assert (task.dt, task.ingest.time) == (0.01, ["t"])
    assert "left out, most rows repeat its last date: Date" in text


def test_a_short_log_with_epoch_times_in_whole_seconds_is_refused_with_its_rate(tmp_path, time):
    path = tmp_path / "a.csv"
    path.write_text(stamped_by("pc_ts", [int(1.7e9 + one + 0.36) for one in time], time))
    with pytest.raises(BadLog, match=r"pc_ts never falls.*--rate 100 if it is time in s"):
        draft("arm", path)


@pytest.mark.parametrize(
    ("name", "start", "remarks"),
    [
        ("t", 0.0, ["t is taken for ms, as its numbers are 5 apart; if they are s: "
                    "ingest.time_unit: s, and dt: 5"]),
        ("time_ms", 0.0, []),
        ("t", 1.7e12, []),
    ],
)  # fmt: skip
def test_timestamps_that_may_be_ms_or_s_are_remarked(tmp_path, time, name, start, remarks):
    stamps = start + 5.0 * np.arange(len(time))
    columns = {name: stamps, "level": np.sin(time), "u": time % 3}
    rows = np.column_stack([*columns.values()])
    path = tmp_path / "a.csv"
    np.savetxt(path, rows, delimiter=",", header=",".join(columns), comments="", fmt="%.14g")
    assert build("slow", path).remarks == remarks


def test_a_fast_log_is_drafted_at_the_step_of_its_motion(tmp_path):
    """At 1 kHz the motion of one row is less than the steps of the encoder, 5 um."""
    random = np.random.default_rng(0)
    seconds = 0.001 * np.arange(12_000)
    for number in range(3):
        waves = [0.1 / k * np.sin(1.02 * k * seconds + random.uniform(0, 6)) for k in (1, 2, 3, 5)]
        position = np.sum(waves, axis=0) + 5e-6 * random.normal(size=len(seconds))
        columns = {"position": 5e-6 * np.round(position / 5e-6), "force": np.cos(3.0 * position)}
        table(tmp_path / f"{number}.csv", time=seconds, **columns)
    task, text = load(tmp_path, "axis", tmp_path)
    assert (task.dt, task.ingest.resample.method) == (0.02, "mean")
    assert "timestamps are 0.001 s apart; the motion is slower: a row is the mean over dt" in text
    assert 0.4 <= task.verify.horizon * task.dt <= 1.0


def test_a_log_is_not_averaged_over_more_than_a_held_command(tmp_path):
    seconds = 0.001 * np.arange(8000)
    commands = np.repeat(np.random.default_rng(0).uniform(-1, 1, 1600), 5)
    path = table(tmp_path / "a.csv", time=seconds, position=np.sin(seconds), force=commands)
    assert load(tmp_path, "held", path)[0].dt == pytest.approx(0.005)


def test_demonstrations_keep_their_rate(tmp_path):
    seconds = 0.001 * np.arange(8000)
    path = table(tmp_path / "a.csv", time=seconds, position=np.sin(seconds), force=np.cos(seconds))
    assert build("arm", path, is_policy=True).dt == pytest.approx(0.001)


def test_frame_numbers_that_skip_rows_are_the_clock_at_the_stated_rate(tmp_path):
    rows = [f"{k},{np.sin(0.1 * k):.4f},{k % 3}" for k in range(300) if not 100 <= k < 120]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["fps: 50", "frame,y,u", *rows, ""]))
    task, _ = load(tmp_path, "frames", path)
    assert (task.dt, task.ingest.time, task.ingest.time_unit) == (0.02, ["frame"], 0.02)


def test_date_that_never_changes_is_no_clock_next_to_another(tmp_path, time):
    rows = [f"2020-01-01 00:00:00,2024-05-01 12:00:0{k / 100:.2f},{k % 7}" for k in range(300)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["since,stamp,y", *rows, ""]))
    assert load(tmp_path, "dated", path)[0].ingest.time == ["stamp"]
