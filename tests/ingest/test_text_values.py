"""Texts that are numbers: dates and the words true and false."""

import math

import polars as pl
import pytest

from kinemill.ingest.text_values import (
    is_date,
    parse_dates,
    plain_digits,
    spell_booleans,
    unit_of_cells,
)

NOON = 1_714_564_800_000_000_000  # 2024-05-01 12:00:00 UTC in ns


@pytest.mark.parametrize(
    "text",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00",
        "2024/05/01 12:00:00",
        "01.05.2024 12:00:00",
        "1.5.2024 12:00",
        "01.05.2024 12:00:00,0",
        "1.5.24 12:00",
        "01-May-2024 12:00:00.0",
        "1 Mai 2024, 12:00",
        "2024-05-01 14:00 +0200",
        *("1 mai 2024 12:00:00", "1 de mayo 2024 12:00:00", "1. Mai 2024 12:00:00"),
        *("1-mei-24 12:00:00", "1 maggio 2024 12:00:00", "1 de maio de 2024 12:00:00"),
        *("5/1/2024 12:00:00 p. m.", "2024/05/01 下午12:00:00", "2024. 5. 1. 오후 12:00:00"),
        *("2024年5月1日 12時00分00秒", "1.5.2024 12.00.00", "01/05/2024 à 12:00:00"),
        *("1.5.2024, 12:00:00 Uhr", "12:00:00 01/05/2024", "20240501_120000.000000"),
        *("Wed May 01 2024 14:00:00 GMT+0200 (CEST)", "DT#2024-05-01-12:00:00.000"),
        *("1 мая 2024 12:00:00", "1 maj 2024 12:0:0"),
    ],
)
def test_dates_of_one_moment(text):
    assert is_date(text)
    assert parse_dates(pl.Series([text, None])).to_list() == [NOON, None]


@pytest.mark.parametrize("text", ["12.5", "1.5.2024", "run 1", "12:00"])
def test_other_texts_are_no_dates(text):
    assert not is_date(text)


@pytest.mark.parametrize(
    "texts",
    [
        ("01/05/2024 12:00", "13/05/2024 12:00"),  # no month is 13
        ("5/1/2024 12:00", "5/13/2024 12:00"),
        ("05/01/2024 12:00", "05/13/2024 12:00"),
        ("01/05/2024 12:00", "02/05/2024 12:00"),  # a day, not a month
        ("5/1/2024 12:00", "5/2/2024 12:00"),
        ("5/1/2024 12:00:00 PM", "5/1/2024 12:00:01 PM"),
    ],
)
def test_a_column_shows_whether_day_or_month_is_first(texts):
    assert parse_dates(pl.Series(texts))[0] == NOON


@pytest.mark.parametrize(
    ("texts", "unit", "numbers"),
    [
        (["0 sec", "0.01 sec"], "sec", [0.0, 0.01]),
        (["1.5rpm", "2rpm", None], "rpm", [1.5, 2.0, None]),
        (["1 robot", "2 robot"], "", [None, None]),
        (["1 s", "2 ms"], "", [None, None]),
    ],
)
def test_units_behind_all_numbers_are_read(texts, unit, numbers):
    assert unit_of_cells(pl.Series(texts)) == unit
    plain = plain_digits(pl.Series(texts), decimal_comma=False)
    assert plain.cast(pl.Float64, strict=False).to_list() == numbers


def test_words_for_true_and_false_are_1_and_0():
    words = ["True", "false", "open", "Closed", "on", "OFF", "EIN", "AUS", "Arrêt", "", None]
    digits = ["1", "0", "1", "0", "1", "0", "1", "0", "0", "", None]
    assert spell_booleans(pl.Series(words)).to_list() == digits


def test_a_number_in_the_column_keeps_the_words():
    assert spell_booleans(pl.Series(["true", "1.5"])).to_list() == ["true", "1.5"]


def test_two_digits_in_front_are_the_year_if_the_next_day_follows_then():
    days = parse_dates(pl.Series(["24/04/30 23:59:59", "24/05/01 00:00:00"]))
    assert days.to_list() == [NOON - 43_201_000_000_000, NOON - 43_200_000_000_000]


def test_months_with_accents_and_of_the_same_first_letters_are_told_apart():
    names = ("févr.", "Mär", "août", "déc.", "juin", "juillet")
    days = parse_dates(pl.Series([f"1 {name} 2024 00:00:00" for name in names]))
    assert days.cast(pl.Datetime("ns")).dt.month().to_list() == [2, 3, 8, 12, 6, 7]


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (("11:59:59 PM", "12:00:00 AM"), 86_399_000_000_000),
        (("23:59:59", "00:00:00"), 86_399_000_000_000),
        (("4/30/2024 11:59:59 PM", "5/1/2024 12:00:00 am"), NOON - 43_201_000_000_000),
    ],
)
def test_time_goes_on_after_midnight(texts, first):
    assert all(map(is_date, texts))
    assert parse_dates(pl.Series(texts)).to_list() == [first, first + 1_000_000_000]


@pytest.mark.parametrize(
    ("texts", "step"),
    [
        (("10:00:00:005", "10:00:00:055"), 50_000_000),
        (("10:00:00:999998", "10:00:01:3"), 5_000),  # no leading zeros
        (("10:00:00:999999998", "10:00:01:3"), 5),
    ],
)
def test_a_fourth_number_of_a_time_counts_ms_us_or_ns(texts, step):
    assert all(map(is_date, texts))
    first, second = parse_dates(pl.Series(texts)).to_list()
    assert second - first == step


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,234.5", "-12,345,678", "7"], [1234.5, -12345678.0, 7.0]),
        (["1,234", "12"], [1234.0, 12.0]),  # in quotes between commas
        (["1,234", "1,5"], [None, None]),
        (["-1.#INF", "1.#INF00", "#DIV/0!", "--", "2"], [-math.inf, math.inf, None, None, 2.0]),
        (["-Infinity", "1.5D+02", "#WERT!", "No Data", "2"], [-math.inf, 150.0, None, None, 2.0]),
    ],
)
def test_a_column_shows_what_its_commas_mean(texts, numbers):
    plain = plain_digits(pl.Series(texts), decimal_comma=False)
    assert plain.cast(pl.Float64, strict=False).to_list() == numbers


@pytest.mark.parametrize("spelling", ["-nan(ind)", "nan(snan)", "NaN", "-1.#IND", "1.#QNAN"])
def test_spellings_of_nan_are_nan(spelling):
    (number,) = plain_digits(pl.Series([spelling]), decimal_comma=False).cast(pl.Float64)
    assert math.isnan(number)


def test_whole_numbers_below_a_thousand_show_groups_of_digits():
    plain = plain_digits(pl.Series(["1,234", "-739", "12,000"]), decimal_comma=None)
    assert plain.to_list() == ["1234", "-739", "12000"]


def test_points_group_digits_before_a_decimal_comma():
    plain = plain_digits(pl.Series(["1.234,5", "0,5", "-2"]), decimal_comma=True)
    assert plain.to_list() == ["1234.5", "0.5", "-2"]


@pytest.mark.parametrize(
    "texts",
    [("23:59:59", "24:00:00"), ("9:59.0", "10:00.0"), ("121:23:59:59.0", "122:00:00:00.0")],
)
def test_elapsed_time_and_days_of_the_year_rise(texts):
    assert all(map(is_date, texts))
    first, second = parse_dates(pl.Series(texts)).to_list()
    assert second - first == 1_000_000_000
