"""Numbers that text columns spell: dates as timestamps, and the words true and false."""

import re

import polars as pl

_DATE = re.compile(r"(\d{4}([-/])\d\d\2\d\d|\d\d?\.\d\d?\.\d{4})[T ]\d\d?:\d\d")
_TIME = re.compile(r"\d\d?:\d\d:\d\d([.,]\d+)?\Z")
_DAYS = ("%Y-%m-%d", "%d.%m.%Y")
_BOOLEANS = {"true": "1", "false": "0"}
_TIMES = ("%H:%M:%S%.f", "%H:%M:%S%.f%z", "%H:%M")


def is_date(text: str) -> bool:
    """Return whether a text is a date and a time, year first or day first with points, or a time.

    Examples are `2024-05-01T12:00:00.25Z`, `2024/05/01 12:00`, `1.5.2024 12:00` and `12:00:00.25`.
    Dates such as 05/01/2024 are not dates here: day and month are ambiguous.
    """
    return _DATE.match(text) is not None or _TIME.match(text) is not None


def parse_dates(text: pl.Series) -> pl.Series:
    """Return dates (n,) as Int64 nanoseconds since 1970, times since midnight; others are null."""
    plain = text.str.replace("T", " ").str.replace(",", ".").str.replace("Z$", "")
    plain = plain.str.replace(r"^(\d{4})/(\d\d)/", "$1-$2-")
    dates = pl.Series(text.name, [None] * len(text), dtype=pl.Int64)
    for form in (f"{day} {time}" for day in _DAYS for time in _TIMES):
        if not dates.null_count():
            break
        parsed = plain.str.to_datetime(form, time_unit="ns", strict=False)
        dates = dates.fill_null(parsed.cast(pl.Int64))
    if dates.null_count():
        dates = dates.fill_null(plain.str.to_time(_TIMES[0], strict=False).cast(pl.Int64))
    return dates


def spell_booleans(text: pl.Series) -> pl.Series:
    """Return true and false (n,) as 1 and 0; a column with any other text is unchanged."""
    plain = text.str.strip_chars().str.to_lowercase()
    is_other = ~plain.is_in([*_BOOLEANS, ""])
    return text if is_other.any() else plain.replace(_BOOLEANS)
