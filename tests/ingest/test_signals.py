"""Signals with stamps of their own on one grid: methods, gaps, resets; logs in parts."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import recordings as stage
from kinemill.ingest import stage as ingest
from kinemill.ingest.raw import (
    RawLog,
    Reader,
    Signal,
    Unreadable,
    elements,
    match_columns,
    reason,
    refused_part,
    row_numbers,
    split_index,
)
from kinemill.ingest.topics import Stamps, count_resets
from kinemill.ingest.tracks import make_tracks
from kinemill.task import Source

UNITS = {"angle": "rad", "velocity": "rad/s", "torque": "N*m"}


def topic(times, **channels) -> dict[str, Signal]:
    """Signals on one clock, s; a channel without values is 0."""
    stamps = pl.Series(np.asarray(times, dtype=float))
    return {
        name: Signal(stamps, pl.Series(name, values, dtype=pl.Float64))
        for name, values in channels.items()
    }


def raw(signals: dict[str, Signal], **more) -> RawLog:
    sources = {name: Source(name=name, unit=unit) for name, unit in UNITS.items()}
    return RawLog(pl.DataFrame(), sources, 1.0, signals=signals, **more)


def every(step: float, until: float, start: float = 0.0) -> np.ndarray:
    return start + step * np.arange(round((until - start) / step) + 1)


def two_topics(fast, slow) -> RawLog:
    states = topic(fast, angle=np.asarray(fast), velocity=np.ones(len(fast)))
    return raw(states | topic(slow, torque=np.asarray(slow)))


def checks(tracks) -> list[str]:
    return [item["check"] for item in tracks.reasons]


def test_each_channel_comes_to_the_grid_by_its_own_method(make_task):
    task = make_task(channels__torque__resample="hold")
    tracks = make_tracks(two_topics(every(0.004, 0.1), every(0.025, 0.1)), task)
    (frame,) = tracks.frames
    np.testing.assert_allclose(frame["angle"], every(0.01, 0.1), atol=1e-12)  # linear
    expected = np.floor(every(0.01, 0.1) / 0.025 + 1e-9) * 0.025
    np.testing.assert_allclose(frame["torque"], expected, atol=1e-12)
    assert (tracks.rows, tracks.dropped_rows, tracks.reasons) == (26 + 5, 0, [])


def test_a_gap_in_one_signal_splits_all_and_is_named_after_it(task):
    slow = np.concatenate([every(0.02, 0.3), every(0.02, 0.8, start=0.5)])
    tracks = make_tracks(two_topics(every(0.01, 0.8), slow), task)
    assert [frame.height for frame in tracks.frames] == [31, 31]
    (gap,) = tracks.reasons
    expected = ("gap", "torque", "after sample 16, 0.3-0.5 s")
    assert (gap["check"], gap["channel"], gap["where"]) == expected
    assert (tracks.rows, tracks.dropped_rows) == (62 + 32, 19)


def test_a_slow_signal_may_bridge_a_longer_silence_than_the_others(make_task):
    log = two_topics(every(0.01, 1.0), every(0.25, 1.0))
    assert "too_short" in checks(make_tracks(log, make_task()))
    bridged = make_task(channels__torque__resample__max_gap=0.3)
    assert [frame.height for frame in make_tracks(log, bridged).frames] == [101]


def test_time_in_which_one_signal_has_not_begun_is_said(task):
    tracks = make_tracks(two_topics(every(0.01, 1.0), every(0.01, 0.9, start=0.4)), task)
    assert [frame.height for frame in tracks.frames] == [51]
    where = [(item["check"], item["channel"], item["where"]) for item in tracks.reasons]
    assert where == [("coverage", "torque", "0-0.4 s"), ("coverage", "torque", "0.9-1 s")]
    assert tracks.dropped_rows == 50


def test_repeated_stamps_of_a_signal_are_dropped_and_counted(task):
    fast = [0.0, 0.0, *every(0.01, 0.5, start=0.01)]
    tracks = make_tracks(two_topics(fast, every(0.01, 0.5)), task)
    (item,) = tracks.reasons
    assert (item["check"], item["where"]) == ("repeated_stamp", "sample 2")
    assert (tracks.rows, tracks.dropped_rows) == (102, 1)


def test_signals_that_never_meet_make_no_track(task):
    tracks = make_tracks(two_topics(every(0.01, 0.2), every(0.01, 0.9, start=0.5)), task)
    assert (tracks.frames, tracks.rows, tracks.dropped_rows) == ([], 0, 62)
    assert set(checks(tracks)) == {"coverage", "too_short"}


def test_a_break_splits_without_a_gap_in_the_stamps(task):
    log = two_topics(every(0.01, 0.5), every(0.01, 0.5))
    stamped = RawLog(log.frame, log.sources, 1e3, signals={
        name: Signal(one.time * 1e3, one.values) for name, one in log.signals.items()
    }, breaks=[205])  # fmt: skip
    assert [frame.height for frame in make_tracks(stamped, task).frames] == [21, 30]


def test_resets_are_where_the_fewest_explain_all_topics():
    fast = Stamps(np.array([0.0, 1.0, 2.0, 0.0, 1.0, 0.0]), np.array([1, 3, 5, 7, 8, 11]))
    slow = Stamps(np.array([0.5, 1.5, 0.5]), np.array([2, 4, 12]))
    late = Stamps(np.array([0.2, 0.1, 0.6]), np.array([6, 9, 10]))
    expected = [[0, 0, 0, 1, 1, 2], [0, 0, 2], [0, 1, 1]]
    assert [counts.tolist() for counts in count_resets([fast, slow, late])] == expected


def test_without_places_in_the_file_resets_are_counted():
    one = Stamps(np.array([0.0, 1.0, 0.0, 1.0]), None)
    other = Stamps(np.array([0.5, 0.4]), np.array([1, 2]))
    assert [counts.tolist() for counts in count_resets([one, other])] == [[0, 0, 1, 1], [0, 1]]


def test_empty_cells_of_a_slow_column_are_bridged_if_its_channel_says_how_far(make_task):
    times = every(0.01, 1.0)
    torque = [float(k) if k % 10 == 0 else None for k in range(101)]
    sources = {name: Source(name=name, unit=unit) for name, unit in UNITS.items()}
    frame = pl.DataFrame(
        {"time_s": times, "angle": times, "velocity": times, "torque": torque},
        schema_overrides={"torque": pl.Float64},
    )
    log = RawLog(frame, sources, 1.0)
    assert "too_short" in checks(make_tracks(log, make_task()))
    tracks = make_tracks(log, make_task(channels__torque__resample__max_gap=0.1))
    np.testing.assert_allclose(tracks.frames[0]["torque"], np.arange(101.0), atol=1e-9)
    assert tracks.reasons == []


def test_scale_and_offset_turn_encoder_ticks_into_the_sources_unit(task):
    signals = two_topics(every(0.01, 0.1), every(0.01, 0.1)).signals
    signals["angle"] = Signal(
        signals["angle"].time, pl.Series([1024.0 + 2048 * k for k in range(11)])
    )
    turned = Source(name="ticks", unit="deg", scale=-360 / 4096, offset=90.0)
    sources = {name: Source(name=name, unit=unit) for name, unit in UNITS.items()}
    log = RawLog(pl.DataFrame(), sources | {"angle": turned}, 1.0, signals=signals)
    # a tick of 4096 a turn, zero at 1024, counted the other way round
    np.testing.assert_allclose(
        make_tracks(log, task).frames[0]["angle"], -np.pi * np.arange(11), atol=1e-12
    )


def test_hint_at_a_close_column_leaves_out_columns_in_use(make_task):
    header = ["time", "position", "torque2", "torque3"]
    task = make_task(["position", "torque2", "torque"])
    with pytest.raises(Unreadable, match="did you mean 'torque3'"):
        match_columns(header, task)
    with pytest.raises(Unreadable) as error:
        match_columns(header[:3], task)
    assert "did you mean" not in str(error.value)


def test_a_log_without_stamps_counts_its_rows_at_the_tasks_rate(make_task):
    header = ["position", "velocity", "torque"]
    columns = match_columns(header, make_task(ingest__rate=250.0), rate=100.0)
    assert (columns.time, columns.rate) == (None, 250.0)
    assert match_columns(header, make_task(), rate=100.0).rate == 100.0
    stamped = match_columns([*header, "time"], make_task(ingest__rate=250.0))
    assert (stamped.time, stamped.rate) == (3, None)
    assert row_numbers(3).to_list() == [0, 1, 2]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("x[3]", ("x", 3)),
        ("a.b[1][22]", ("a.b[1]", 22)),
        ("x", ("x", None)),
        ("x[-1]", ("x[-1]", None)),
        ("x[]", ("x[]", None)),
        ("[3]", ("[3]", None)),
        ("x[3] ", ("x[3] ", None)),
    ],
)
def test_elements_of_vectors_are_named_by_place(name, split):
    assert split_index(name) == split
    if split[1] == 3:
        assert elements(*split) == ["x[0]", "x[1]", "x[2]"]


def test_parts_of_a_log_are_numbered_through_and_a_bad_one_spoils_none(
    task, home, logs, write, monkeypatch
):
    def read(path, task):
        good = two_topics(every(0.01, 0.3), every(0.01, 0.3))
        gappy = two_topics(
            np.concatenate([every(0.01, 0.3), every(0.01, 0.9, start=0.5)]), every(0.01, 0.9)
        )
        broken = reason("format", "dataset", "is cut", expected="rows", fix="copy it")
        return [
            RawLog(one.frame, one.sources, 1.0, part=part, signals=one.signals)
            for part, one in (("demo_0", good), ("demo_1", gappy))
        ] + [refused_part("demo_2", [broken])]

    monkeypatch.setattr(
        stage, "readers", lambda task: {"csv": Reader((".csv",), lambda head: True, read)}
    )
    write("a.csv", "time,position\n0,1\n")
    report = ingest.run(task, home, logs)
    (recording,) = load_recordings(home, report.artifact.ref)
    listed = [(track.index, track.rows, track.part) for track in recording.summary.tracks]
    assert listed == [(0, 31, "demo_0"), (1, 31, "demo_1"), (2, 41, "demo_1")]
    locations = [item["where"] for item in recording.summary.reasons]
    assert locations == ["demo_1, after sample 31, 0.3-0.5 s", "demo_2, dataset"]
    assert recording.summary.tracks[2].start_s == pytest.approx(0.5)
