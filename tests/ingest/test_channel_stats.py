"""Statistics of channels, compared with numpy over all rows at once."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.channel_stats import channel_stats
from kinemill.ingest.recordings import load_recordings
from tests.conftest import learning_task


def frames(*columns):
    return [pl.DataFrame({"x": np.asarray(column, dtype=np.float64)}) for column in columns]


def stats(*columns):
    return channel_stats(frames(*columns), ["x"]).get("x")


def test_tracks_and_blocks_are_merged_as_if_they_were_one():
    random = np.random.default_rng(0)
    parts = [random.normal(3.0, 2.0, rows) for rows in (70_000, 2, 150_000)]
    every, own = np.concatenate(parts), stats(*parts)
    assert (own.min, own.max) == (every.min(), every.max())
    assert own.mean == pytest.approx(every.mean(), rel=1e-12)
    assert own.std == pytest.approx(every.std(), rel=1e-12)


def test_a_large_offset_costs_no_digits():
    # 1e9 + {0, 1}: the deviation is 0.5; sums of squares about zero would give 0 or NaN
    own = stats(1e9 + np.tile([0.0, 1.0], 100_000))
    assert own.std == pytest.approx(0.5, rel=1e-12)
    assert own.mean == 1e9 + 0.5


def test_values_that_are_not_finite_are_left_out():
    own = stats([np.nan, 2.0, np.inf, 4.0, -np.inf], [np.nan, np.nan], [6.0])
    assert (own.min, own.max, own.mean) == (2.0, 6.0, 4.0)
    assert own.std == pytest.approx(np.std([2.0, 4.0, 6.0]), rel=1e-15)


def test_a_channel_without_a_usable_number_has_no_statistics():
    assert stats([np.nan, np.nan]) is None
    assert stats([1e308, -1e308, 1e308]) is None  # the deviation overflows
    assert channel_stats([], ["x"]) == {}
    assert channel_stats(frames([1.0]), []) == {}


@pytest.mark.parametrize(
    ("unit", "step", "first", "start"),
    [
        ("s", 0.01, 1_767_225_600.0, 1_767_225_600.0),  # 2026-01-01
        ("s", 0.01, 12.5, None),
        ("us", 10_000, 1_767_225_600_000_000, 1_767_225_600.0),
    ],
)
def test_the_start_is_known_if_the_clock_counts_from_1970(home, tmp_path, unit, step, first, start):
    channels = {
        "position": {"role": "state", "unit": "m"},
        "force": {"role": "action", "unit": "N"},
    }
    task = learning_task("arm", 0.01, channels, ingest={"min_file_age": 0.0, "time_unit": unit})
    lines = [f"{first + step * k:.6f},{k * 0.01:.6f},0.5" for k in range(60)]
    (tmp_path / "log.csv").write_text("\n".join(["time,position,force", *lines, ""]))
    report = ingest.run(task, home, tmp_path / "log.csv")
    (recording,) = load_recordings(home, report.artifact.ref)
    assert recording.summary.tracks
    assert recording.summary.start == start
