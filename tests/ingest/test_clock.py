"""Timestamps that are repaired: wrapped counters, too few digits, and the newest row first."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest.clock import is_newest_first, read_clock, repair_stamps

TIME = 0.004 * np.arange(500)


@pytest.mark.parametrize(("ticks", "period"), [(1e6, 2.0**32), (1e3, 2.0**16), (1.0, 4294.967296)])
def test_counter_that_wraps_continues(ticks, period):
    stamps = (period / ticks - 1.0 + TIME) % (period / ticks)
    seconds, (reason,) = repair_stamps(stamps, ticks, np.inf)
    assert np.diff(seconds) == pytest.approx(0.004, abs=1e-9)
    assert (reason["check"], reason["where"]) == ("clock_wrap", "row 251")


def test_reset_of_a_clock_is_no_wrap():
    stamps = np.tile(TIME[:250], 2)
    seconds, reasons = repair_stamps(stamps, 1.0, np.inf)
    assert (seconds is stamps, reasons) == (True, [])


def test_stamps_with_two_decimals_are_spread_evenly():
    seconds, (reason,) = repair_stamps(np.floor(TIME * 100) / 100, 1.0, np.inf)
    assert np.diff(seconds) == pytest.approx(0.004, rel=0.01)
    assert np.abs(seconds - TIME).max() < 0.01
    assert reason["check"] == "rounded_stamps"


@pytest.mark.parametrize("case", ["copies of rows", "a rate that changes"])
def test_other_repeated_stamps_are_dropped(case):
    stamps = np.floor(TIME * 100) / 100
    values = pl.Series(np.sin(TIME))
    if case == "copies of rows":
        values = pl.Series(np.sin(stamps))
    else:
        stamps = np.floor(np.where(TIME > 1.0, 4 * TIME - 3.0, TIME) * 100) / 100
    clock = read_clock(pl.Series(stamps), 1.0, 1.0, 0.01, channels=[values])
    assert [reason["check"] for reason in clock.reasons] == ["repeated_stamp"]


@pytest.mark.parametrize("late", [0, 250, 498])
def test_row_with_the_stamp_of_a_neighbor_is_put_into_the_gap_beside_it(late):
    stamps = TIME.copy()
    stamps[late : late + 2] = stamps[late + 1 if late == 0 else late]
    clock = read_clock(pl.Series(stamps), 1.0, 1.0, 0.004, channels=[pl.Series(np.sin(TIME))])
    assert np.diff(clock.seconds) == pytest.approx(0.004, abs=1e-9)
    assert [(r["check"], r["where"]) for r in clock.reasons] == [("late_stamp", f"row {late + 2}")]


def test_falling_stamps_show_the_newest_row_first():
    assert is_newest_first(TIME[::-1])
    assert not is_newest_first(np.tile(TIME[:5], 100))


@pytest.mark.parametrize("period", [3_600.0, 43_200.0])
def test_dates_that_go_back_by_an_hour_or_half_a_day_continue(period):
    stamps = np.where(np.arange(500) < 250, TIME, TIME - period)
    seconds, (reason,) = repair_stamps(stamps, 1e9, np.inf)
    assert np.diff(seconds) == pytest.approx(0.004, abs=1e-9)
    assert (reason["check"], reason["where"]) == ("clock_wrap", "row 251")


def test_number_that_goes_back_by_an_hour_starts_again():
    stamps = np.where(np.arange(500) < 250, TIME, TIME - 3_600.0)
    seconds, reasons = repair_stamps(stamps, 1.0, np.inf)
    assert (seconds is stamps, reasons) == (True, [])
