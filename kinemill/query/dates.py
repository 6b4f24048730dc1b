"""Dates of queries: a text such as `2026-11-01` is a span of time in UTC."""

import re
from datetime import UTC, datetime, timedelta

_CLOCK = r"[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d:\d\d)?"
_ISO = re.compile(rf"(\d{{4}})-(\d\d)(?:-(\d\d)(?:{_CLOCK})?)?\Z")


def read_span(text: str) -> tuple[datetime, datetime] | None:
    """Return start and end of a span of time; None if the text is not a date.

    Spans are months, days, minutes and seconds. A time without an offset is in UTC.
    """
    match = _ISO.match(text.strip())
    if match is None:
        return None
    _, _, day, hour, _, second, fraction, _ = match.groups()
    try:
        start = datetime.fromisoformat(text.strip() if day else f"{text.strip()}-01")
        start = start.replace(tzinfo=start.tzinfo or UTC).astimezone(UTC)
        return start, start + _length(start, day, hour, second, fraction)
    except (ValueError, OverflowError):  # such as February 30, or the end of the calendar
        return None


def _length(
    start: datetime, day: str | None, hour: str | None, second: str | None, fraction: str | None
) -> timedelta:
    if day is None:
        following = start.replace(day=28) + timedelta(days=4)
        return following.replace(day=1) - start
    if hour is None:
        return timedelta(days=1)
    if second is None:
        return timedelta(minutes=1)
    return timedelta(microseconds=1) if fraction else timedelta(seconds=1)
