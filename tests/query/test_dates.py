"""A date is a span of time in UTC."""

from datetime import UTC, datetime

import pytest

from kinemill.query.dates import read_span


@pytest.mark.parametrize(
    ("text", "start", "stop"),
    [
        ("2026-12", (2026, 12, 1), (2027, 1, 1)),
        ("2024-02-29", (2024, 2, 29), (2024, 3, 1)),
        ("2026-11-05T14:30", (2026, 11, 5, 14, 30), (2026, 11, 5, 14, 31)),
        ("2026-11-05 14:30:05", (2026, 11, 5, 14, 30, 5), (2026, 11, 5, 14, 30, 6)),
        ("2026-11-05T14:30:05.25Z", (2026, 11, 5, 14, 30, 5, 250000), None),
        ("2026-11-05T00:30+02:00", (2026, 11, 4, 22, 30), (2026, 11, 4, 22, 31)),
    ],
)
def test_a_month_a_day_a_minute_and_a_second_are_spans(text, start, stop):
    beginning, end = read_span(text)
    assert beginning == datetime(*start, tzinfo=UTC)
    assert end == datetime(*stop, tzinfo=UTC) if stop else end > beginning


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-02-30", "9999-12-31", "0001-01-01T00:00+10:00", "soon"]
)
def test_what_the_calendar_lacks_is_no_date(text):
    assert read_span(text) is None
