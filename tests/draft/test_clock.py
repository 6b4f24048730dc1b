"""Clock of a draft among columns, and its unit."""

import numpy as np
import pytest

from kinemill.draft.clock import choose_clock, spell_unit, step_column

K = np.arange(400.0)
VELOCITY = {"pos": np.sin(0.02 * K), "vel": 2.0 * np.cos(0.02 * K)}  # rows 0.01 s apart


@pytest.mark.parametrize(
    ("stamps", "unit"),
    [
        (1.8e9 + 1e4 * K, "us"),
        (1.7e9 + 60.0 * K, "s"),
        (1.7e12 + 10.0 * K, "ms"),
        (1.3e17 + 1e5 * K, "1e-07"),
        (45_413.5 + K / 86_400.0, "86400"),
        (10.0 * K, "ms"),
        (5.5 * K, "s"),
        (K, "s"),
    ],
)
def test_unit_of_a_clock_without_other_columns(stamps, unit):
    choice = choose_clock({"time": stamps})
    assert choice is not None
    assert spell_unit(choice.unit) == unit


def test_velocities_decide_between_units():
    choice = choose_clock({"t": 10_000.0 * K, **VELOCITY})
    assert choice is not None
    assert (choice.spelled_unit, choice.remarks) == ("us", ())


@pytest.mark.parametrize("name", ["ticker", "s"])
def test_clock_by_its_rate_alone_is_asked_about(name):
    choice = choose_clock({name: 0.01 * K, "u": np.sin(K)})
    assert choice is not None
    assert not choice.is_stated
    assert choice.remarks[-1].startswith(f"{name} is taken for the clock, as it rises evenly")


def test_path_at_varying_speed_is_no_clock():
    assert choose_clock({"s": np.cumsum(1.5 + np.sin(0.1 * K)), "u": np.sin(K)}) is None


@pytest.mark.parametrize("name", ["duration_ms", "duration", "dt"])
def test_column_that_rises_in_each_row_is_no_time_step(name):
    numbers = {name: 10.0 * np.arange(900.0), "q": np.sin(np.arange(900.0))}
    clock = choose_clock(numbers)
    assert step_column(numbers) is None
    assert clock is None or clock.spelled_unit == "ms"


def test_rising_column_behind_settings_of_few_rows_is_the_clock_of_a_table_without_names():
    settings = np.where(K < 5.0, 2.5, np.nan)
    numbers = {"column_2": settings, "column_4": 2e-5 * K - 0.01, "column_5": np.sin(K)}
    choice = choose_clock(numbers)
    assert choice is not None
    assert choice.name == "column_4"


def test_dates_of_another_unit_than_the_stated_one_are_in_it():
    choice = choose_clock({"time_us": 1.7e18 + 1e7 * K, "u": np.sin(K)})
    assert choice is not None
    assert choice.spelled_unit == "ns"
    assert choice.remarks == ("time_us states us, but holds dates of our time in ns",)


@pytest.mark.parametrize(
    ("name", "unit"), [("Time (x10 ms)", 0.01), ("Zeit in 1/10 ms", 1e-4), ("time in ms", 1e-3)]
)
def test_unit_of_a_clock_may_have_a_factor(name, unit):
    choice = choose_clock({name: 10.0 * K, "u": np.sin(K)})
    assert choice is not None
    assert choice.unit == unit
