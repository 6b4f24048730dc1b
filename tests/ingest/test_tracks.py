"""Time and grid: units, order, repeats, gaps, resampling, angles."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest.channels import hold, linear, unwrap
from kinemill.ingest.channels import on_grid as resample
from kinemill.ingest.raw import RawLog, stretches
from kinemill.ingest.tracks import make_tracks
from kinemill.task import Source

EXACT = 1e-8


def raw(times, position=None, velocity=None, torque=None, ticks=1.0, unit="rad") -> RawLog:
    """A log with position t, velocity 1, torque 0 unless given."""
    n = len(times)
    frame = pl.DataFrame(
        {
            "time_s": times,
            "angle": position if position is not None else [float(k) for k in range(n)],
            "velocity": velocity if velocity is not None else [1.0] * n,
            "torque": torque if torque is not None else [0.0] * n,
        },
        schema_overrides={"angle": pl.Float64, "velocity": pl.Float64, "torque": pl.Float64},
    )
    sources = {
        "angle": Source(name="position", unit=unit),
        "velocity": Source(name="velocity", unit="rad/s"),
        "torque": Source(name="torque", unit="N*m"),
    }
    return RawLog(frame, sources, ticks)


def on_grid(count: int) -> list[float]:
    return [k / 100 for k in range(count)]


def checks(tracks) -> list[str]:
    return [item["check"] for item in tracks.reasons]


def test_a_log_on_the_grid_is_handed_on_as_it_is(task):
    tracks = make_tracks(raw(on_grid(30), position=[0.1 * k for k in range(30)]), task)
    (frame,) = tracks.frames
    assert frame.columns == ["time_s", "angle", "velocity", "torque"]
    assert frame["angle"].to_list() == [0.1 * k for k in range(30)]
    np.testing.assert_allclose(frame["time_s"], np.arange(30) * 0.01, atol=1e-12)
    assert (tracks.rows, tracks.dropped_rows, tracks.reasons) == (30, 0, [])


def test_jittered_stamps_are_resampled_onto_the_grid(task):
    jitter = np.random.default_rng(3).uniform(0.002, 0.0036, size=2000).cumsum()
    times = np.concatenate([[0.0], jitter])
    log = raw(times, position=np.sin(times), velocity=3.0 * times)
    (frame,) = make_tracks(log, task).frames
    grid = frame["time_s"].to_numpy()
    assert frame.height == int(times[-1] / 0.01) + 1
    np.testing.assert_allclose(np.diff(grid), 0.01, atol=1e-9)
    # linear interpolation of sin over h <= 3.6 ms is off by at most h^2 / 8 = 1.6e-6
    assert np.abs(frame["angle"].to_numpy() - np.sin(grid)).max() < 1.7e-6
    np.testing.assert_allclose(frame["velocity"], 3.0 * grid, atol=1e-9)


@pytest.mark.parametrize(("unit", "ticks"), [("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_time_units_are_converted_and_rebased(task, unit, ticks):
    start = 1_700_000_000 * int(ticks)
    step = ticks / 100
    times = [start + round(k * step) for k in range(20)] if step >= 1 else on_grid(20)
    (frame,) = make_tracks(raw(times, ticks=ticks), task).frames
    np.testing.assert_allclose(frame["time_s"], np.arange(20) * 0.01, atol=1e-12)


def test_units_are_converted_to_the_tasks(task):
    (frame,) = make_tracks(raw(on_grid(3), position=[0.0, 90.0, 180.0], unit="deg"), task).frames
    np.testing.assert_allclose(frame["angle"], [0.0, np.pi / 2, np.pi], rtol=1e-15)


def test_time_that_goes_back_starts_a_new_track_and_says_where(task):
    times = [*on_grid(50), *[k / 100 for k in range(20, 60)]]
    tracks = make_tracks(raw(times), task)
    assert [frame.height for frame in tracks.frames] == [50, 40]
    (reason,) = tracks.reasons
    assert (reason["check"], reason["where"]) == ("time_order", "row 51")
    assert reason["found"] == "time goes back from 0.49 s to 0.2 s"


def test_time_that_goes_back_quarantines_if_the_task_says_so(make_task):
    times = [*on_grid(50), *on_grid(40)]
    tracks = make_tracks(raw(times), make_task(ingest__on_time_reversal="quarantine"))
    assert (tracks.frames, tracks.rows, tracks.dropped_rows) == ([], 0, 90)
    assert checks(tracks) == ["time_order"]


def test_of_equal_stamps_the_first_is_kept_and_the_others_counted(task):
    tracks = make_tracks(raw([0.0, 0.0, 0.0, 0.01, 0.02], position=[5, 6, 7, 8, 9]), task)
    assert tracks.frames[0]["angle"].to_list() == [5.0, 8.0, 9.0]
    assert (tracks.rows, tracks.dropped_rows) == (3, 2)
    expected = ("repeated_stamp", "rows 2-3")
    assert (tracks.reasons[0]["check"], tracks.reasons[0]["where"]) == expected


def test_a_clock_that_repeats_most_stamps_may_have_too_few_digits(task):
    tracks = make_tracks(raw([0.01 * (row // 4) for row in range(40)]), task)
    assert tracks.reasons[0]["found"] == "30 of 40 with the timestamp of the previous row"
    assert "`ingest.rate`" in tracks.reasons[0]["fix"]


def test_a_gap_longer_than_max_gap_splits_the_track(task):
    times = [*on_grid(30), *[0.29 + 0.0501 + k / 100 for k in range(20)]]
    tracks = make_tracks(raw(times), task)  # max_gap is 5 dt = 0.05 s
    assert [frame.height for frame in tracks.frames] == [30, 20]
    assert tracks.frames[1]["time_s"][0] == pytest.approx(0.3401, abs=1e-12)
    assert checks(tracks) == ["gap"]


def test_a_gap_of_exactly_max_gap_is_bridged(task):
    times = [*on_grid(30), *[0.29 + 0.05 + k / 100 for k in range(20)]]
    tracks = make_tracks(raw(times, position=[100 * t for t in times]), task)
    assert [frame.height for frame in tracks.frames] == [54]
    np.testing.assert_allclose(tracks.frames[0]["angle"], np.arange(54.0), atol=1e-9)


def test_a_log_slower_than_max_gap_is_refused_and_says_what_to_change(task):
    tracks = make_tracks(raw([0.0, 0.2, 0.4, 0.6]), task)
    assert (tracks.frames, tracks.rows, tracks.dropped_rows) == ([], 0, 4)
    last = tracks.reasons[-1]
    assert last["check"] == "too_short"
    assert "timestamps are usually 0.2 s apart" in str(last["found"])
    assert "max_gap" in str(last["fix"])


def test_rows_without_a_finite_stamp_are_dropped_and_named(task):
    tracks = make_tracks(raw([0.0, 0.01, float("nan"), None, 0.02, float("inf")]), task)
    assert (tracks.rows, tracks.dropped_rows) == (3, 3)
    assert (tracks.reasons[0]["check"], tracks.reasons[0]["where"]) == ("time", "rows 3-4, 6")


def test_missing_and_infinite_values_become_nan_and_are_named(task):
    velocity = [1.0] * 20
    velocity[4], velocity[5], velocity[12] = None, None, float("inf")
    tracks = make_tracks(raw(on_grid(20), velocity=velocity), task)
    rows = np.flatnonzero(np.isnan(tracks.frames[0]["velocity"].to_numpy()))
    assert rows.tolist() == [4, 5, 12]
    assert tracks.frames[0]["angle"].is_nan().sum() == 0
    assert tracks.frames[0].null_count().sum_horizontal()[0] == 0
    named = [(item["check"], item["channel"], item["where"]) for item in tracks.reasons]
    assert named == [("missing", "velocity", "rows 5-6"), ("finite", "velocity", "row 13")]


def test_nan_reaches_the_steps_beside_it_and_no_further():
    seconds = np.array([0.0, 0.8, 2.2, 3.0, 4.0])
    values = {"x": np.array([0.0, 0.8, np.nan, 3.0, 4.0])}
    out = linear(seconds, values, np.arange(5.0), EXACT)["x"]
    assert np.isnan(out).tolist() == [False, True, True, False, False]
    assert (out[0], out[3], out[4]) == (0.0, 3.0, 4.0)


def test_a_step_on_a_stamp_takes_that_row_alone():
    seconds = np.array([0.0, 1.0 + 1e-10, 2.0])
    values = {"x": np.array([np.nan, 7.0, np.nan])}
    assert linear(seconds, values, np.arange(3.0), EXACT)["x"][1] == 7.0


def test_hold_takes_the_last_row_at_or_before_the_step():
    seconds = np.array([0.0, 0.9, 2.0 + 1e-10, 2.5])
    values = {"x": np.array([1.0, 2.0, 3.0, 4.0])}
    assert hold(seconds, values, np.arange(3.0), EXACT)["x"].tolist() == [1.0, 2.0, 3.0]


def test_the_method_of_the_task_is_used(make_task):
    log = raw([0.0, 0.008, 0.016, 0.024, 0.032], torque=[0.0, 8.0, 16.0, 24.0, 32.0])
    (smooth,) = make_tracks(log, make_task()).frames
    (frame,) = make_tracks(log, make_task(ingest__resample__method="hold")).frames
    np.testing.assert_allclose(smooth["torque"], [0.0, 10.0, 20.0, 30.0], atol=1e-9)
    assert frame["torque"].to_list() == [0.0, 8.0, 16.0, 24.0]


def test_a_wrapped_angle_is_unwrapped_before_it_is_interpolated(task):
    times = np.arange(0, 2, 0.007)
    wrapped = (6.0 * times + np.pi) % (2 * np.pi) - np.pi
    (frame,) = make_tracks(raw(times, position=wrapped), task).frames
    np.testing.assert_allclose(frame["angle"], 6.0 * frame["time_s"].to_numpy(), atol=1e-9)


def test_unwrapping_steps_over_nan():
    angle = np.array([3.0, np.nan, -3.2, -3.1])
    out = unwrap(angle)
    np.testing.assert_allclose(out, [3.0, np.nan, -3.2 + 2 * np.pi, -3.1 + 2 * np.pi])


def test_a_jump_in_an_angle_of_several_turns_is_left_for_validation_to_see():
    angle = np.array([0.0, 4.0, 8.0, 8.1, 14.0])
    assert unwrap(angle).tolist() == angle.tolist()


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([7], "row 7"),
        ([3, 4, 5, 9], "rows 3-5, 9"),
        ([1, 3, 5, 7, 8, 9], "rows 1, 3, 5 and 3 more"),
    ],
)
def test_rows_are_named_in_stretches(rows, text):
    assert stretches(np.array(rows)) == text


@pytest.mark.parametrize(
    ("unit", "true", "ticks"), [("ms", "s", 1.0), ("us", "ms", 1e3), ("ns", "s", 1.0)]
)
def test_stamps_a_thousand_times_too_close_are_named_with_their_unit(make_task, unit, true, ticks):
    """100 Hz, in a unit larger than the one they are read as: too few for two steps."""
    task = make_task(ingest__time_unit=unit)
    tracks = make_tracks(raw([k * ticks / 100 for k in range(50)], ticks=task.ingest.ticks), task)
    assert tracks.frames == []
    assert checks(tracks) == ["too_short"]
    fix = f"if the timestamps are in {true}, set `ingest.time_unit: {true}`"
    assert tracks.reasons[0]["fix"] == fix


@pytest.mark.parametrize(("step", "unit", "true"), [(0.01, "ms", "s"), (10.0, "s", "ms")])
def test_a_long_log_in_another_unit_is_read_and_told(make_task, step, unit, true):
    """40 s of 100 Hz in s read as ms are 4 rows; in ms read as s, each row becomes a thousand."""
    task = make_task(ingest__time_unit=unit, ingest__resample__max_gap=20.0)
    times = [k * step for k in range(4000 if unit == "ms" else 20)]
    tracks = make_tracks(raw(times, ticks=task.ingest.ticks), task)
    assert len(tracks.frames) == 1
    assert checks(tracks) == ["time_unit"]
    (told_reason,) = tracks.reasons
    assert told_reason["found"].endswith(f"apart, as if in {true} and read as {unit}")
    assert told_reason["fix"] == f"if they are in {true}, set `ingest.time_unit: {true}`"


def test_half_way_to_the_same_rotation_with_its_sign_changed_is_that_rotation(make_task):
    names = ["qx", "qy", "qz", "qw"]
    task = make_task()
    element = task.channels["torque"].model_copy(
        update={"role": "state", "kind": "quaternion", "unit": "1", "limits": None}
    )
    task = task.model_copy(update={"channels": dict.fromkeys(names, element), "dt": 0.01})
    seconds = 0.004 * np.arange(100)
    angle = 0.5 * seconds
    truth = {"qx": 0 * angle, "qy": 0 * angle, "qz": np.sin(angle / 2), "qw": np.cos(angle / 2)}
    flipped = {name: np.where(seconds < 0.1, own, -own) for name, own in truth.items()}
    grid = 0.01 * np.arange(39)
    plain = resample(truth, seconds, grid, task)
    rows = resample(flipped, seconds, grid, task)
    for name in names:
        sign = np.where(grid < 0.1 - 1e-9, 1.0, -1.0)
        np.testing.assert_allclose(rows[name], sign * plain[name], atol=1e-12)


def test_a_channel_that_leads_holds_its_later_rows(make_task):
    """A row has the torque of two rows later; the last two, which have none, are left out."""
    log = raw(on_grid(10), torque=[float(k) for k in range(10)])
    (frame,) = make_tracks(log, make_task(channels__torque__resample={"lead": 2})).frames
    assert frame["angle"].to_list() == [float(k) for k in range(8)]
    assert frame["torque"].to_list() == [float(k) for k in range(2, 10)]
    short = make_tracks(raw(on_grid(2)), make_task(channels__torque__resample={"lead": 1}))
    assert short.frames == []
