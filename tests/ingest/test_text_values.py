"""Texts that are numbers: dates and the words true and false."""

import polars as pl
import pytest

from kinemill.ingest.text_values import is_date, parse_dates, spell_booleans

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
    ],
)
def test_dates_of_one_moment(text):
    assert is_date(text)
    assert parse_dates(pl.Series([text, None])).to_list() == [NOON, None]


@pytest.mark.parametrize("text", ["05/01/2024 12:00", "12.5", "1.5.2024", "run 1", "12:00"])
def test_other_texts_are_no_dates(text):
    assert not is_date(text)


def test_a_column_of_true_and_false_is_1_and_0():
    assert spell_booleans(pl.Series(["True", "false", ""])).to_list() == ["1", "0", ""]


def test_a_number_in_the_column_keeps_the_words():
    assert spell_booleans(pl.Series(["true", "1.5"])).to_list() == ["true", "1.5"]
