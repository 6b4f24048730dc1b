"""Numbers that text columns spell: dates as timestamps, digits in groups, and true and false."""

import re

import polars as pl

_HALF_DAY = r" ?[AaPp][Mm]"
_DATE = re.compile(
    r"(\d{4}([-/])\d\d\2\d\d|\d\d?\.\d\d?\.\d{4})[T ]\d\d?:\d\d"
    rf"|\d\d?/\d\d?/\d{{4}} \d\d?:\d\d(:\d\d(\.\d+)?)?{_HALF_DAY}\Z"  # month first
)
_TIME = re.compile(rf"\d\d?:\d\d:\d\d([.,]\d+|:\d{{1,9}})?({_HALF_DAY})?\Z")
# A fourth number counts milliseconds, microseconds or nanoseconds, often without leading zeros.
_COUNTED = r"^(\d\d?:\d\d:\d\d):(\d{1,9})$"
_COUNTED_DIGITS = (3, 6, 9)
_DAYS = ("%Y-%m-%d", "%d.%m.%Y")
_TIMES = ("%H:%M:%S%.f", "%H:%M:%S%.f%z", "%H:%M")
_HALF_DAY_TIMES = ("%I:%M:%S%.f %p", "%I:%M %p")
_FORMS = (
    *(f"{day} {time}" for day in _DAYS for time in _TIMES),
    *(f"{day} {time}" for day in (*_DAYS, "%m/%d/%Y") for time in _HALF_DAY_TIMES),
)
_DAY = 86_400_000_000_000  # ns
_BOOLEANS = {"true": "1", "false": "0", "on": "1", "off": "0", "yes": "1", "no": "0"}
MISSING = (
    *("-", "--", "---", "NA", "N/A", "na", "n/a", "#N/A", "null", "NULL", "None", "none"),
    *("#DIV/0!", "#NUM!", "#VALUE!", "#REF!", "#NAME?", "#NULL!"),  # errors of a spreadsheet
    *("#WERT!", "#ZAHL!", "#BEZUG!", "#NV", "#VALEUR!", "#NOMBRE!", "#REF"),
    *("No Data", "Bad", "I/O Timeout", "<null>", "missing", "?"),  # of historians
)  # spellings of a missing value
# Infinity and NaN as C libraries spell them, and exponents of Fortran, as float() reads them.
_SPELLINGS = {
    r"^([+-]?)1\.#INF\d*$": "${1}inf",
    r"(?i)^[+-]?1\.#(IND|QNAN|SNAN)\d*$": "nan",
    r"(?i)^[+-]?nan\(?[a-z0-9]*\)?$": "nan",
    r"(?i)^([+-]?)inf(inity)?$": "${1}inf",
    r"^([+-]?[0-9.]+)[dD]([+-]?\d+)$": "${1}e${2}",
}
_HAS_SPELLING = r"#|[nN][aA][nN]|[iI][nN][fF]|[dD]"
# Digits in groups of three. Without a decimal part, `1,234` may also be 1.234.
_GROUPS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$"
_SURE_GROUPS = r"^[+-]?[1-9]\d{0,2}(,\d{3}){2,}(\.\d*)?$|^[+-]?[1-9]\d{0,2}(,\d{3})+\.\d*$"
_GROUPS_BY_POINTS = r"^[+-]?\d{1,3}(\.\d{3})+,\d*$|^[+-]?\d{1,3}(\.\d{3}){2,}$"
_SPACED_GROUPS = r"^[+-]?[1-9]\d{0,2}(['’\u00a0\u202f ]\d{3})+([.,]\d*)?$"
_WHOLE = r"^[+-]?\d{1,3}$"  # a number below 1,000


def is_date(text: str) -> bool:
    """Return whether a text is a date and a time, year first or day first with points, or a time.

    Examples are `2024-05-01T12:00:00.25Z`, `2024/05/01 12:00`, `1.5.2024 12:00`, `12:00:00.25`,
    `12:00:00:250` and `12:00:00 PM`. Dates such as 05/01/2024 are dates only with AM or PM, where
    the month is first: without these, day and month are ambiguous.
    """
    return _DATE.match(text) is not None or _TIME.match(text) is not None


def parse_dates(text: pl.Series) -> pl.Series:
    """Return dates (n,) as Int64 nanoseconds since 1970, times since midnight; others are null.

    Times continue after midnight: a step back by more than half a day is the next day.
    """
    plain = text.str.replace("T", " ").str.replace(",", ".").str.replace("Z$", "")
    plain = plain.str.replace(r"^(\d{4})/(\d\d)/", "$1-$2-")
    plain = _with_decimals(plain.str.replace(r"(?i) ?([ap])m$", " ${1}M"))
    dates = pl.Series(text.name, [None] * len(text), dtype=pl.Int64)
    for form in _FORMS:
        if not dates.null_count():
            break
        parsed = plain.str.to_datetime(form, time_unit="ns", strict=False)
        dates = dates.fill_null(parsed.cast(pl.Int64))
    if dates.null_count() == len(dates):
        for form in (_TIMES[0], _HALF_DAY_TIMES[0]):
            dates = dates.fill_null(plain.str.to_time(form, strict=False).cast(pl.Int64))
        dates = dates + _DAY * _midnights(dates)
    return dates


def _with_decimals(times: pl.Series) -> pl.Series:
    """Return times such as 12:00:00:5 (n,) with decimals of the second: 5 us is .000005.

    The longest count of a column shows its unit: three digits are ms, six are us, nine are ns.
    """
    counts = times.str.extract(_COUNTED, 2)
    if counts.null_count() == len(counts):
        return times
    longest = int(counts.str.len_chars().fill_null(0).to_numpy().max())
    digits = next(count for count in _COUNTED_DIGITS if longest <= count)
    decimals = times.str.extract(_COUNTED, 1) + "." + counts.str.zfill(digits)
    return decimals.fill_null(times)


def _midnights(times: pl.Series) -> pl.Series:
    """Return how often midnight has passed at each time of day (n,), ns, as Int64."""
    steps = times.forward_fill().diff().fill_null(0)
    days = (steps < -_DAY // 2).cast(pl.Int64) - (steps > _DAY // 2).cast(pl.Int64)
    return days.cum_sum()


def spell_booleans(text: pl.Series) -> pl.Series:
    """Return true, on and yes (n,) as 1, and their opposites as 0.

    A column with any other text is unchanged.
    """
    plain = text.str.strip_chars().str.to_lowercase()
    is_other = ~plain.is_in([*_BOOLEANS, ""])
    return text if is_other.any() else plain.replace(_BOOLEANS)


def plain_digits(text: pl.Series, *, decimal_comma: bool) -> pl.Series:
    """Return numbers (n,) as float() reads them, and null for a value that is spelled as missing.

    `1,234.5` is 1234.5. The whole column shows what its commas mean: 1,234 has groups of digits if
    the table has decimal points, or if the numbers below 1,000 are whole.

    Args:
        text: without spaces around it.
        decimal_comma: whether the table has decimal commas. Without them, 1,5 is unchanged.
    """
    text = text.replace([*MISSING, ""], None)
    if text.str.contains(_HAS_SPELLING).any():
        for pattern, spelling in _SPELLINGS.items():
            text = text.str.replace(pattern, spelling)
    if text.str.contains(_SPACED_GROUPS).any():  # 1'234.5 of Switzerland, 1 234,5 of France
        text = text.str.replace_all(r"['’\u00a0\u202f ]", "")
    if not text.str.contains(",", literal=True).any():
        return text
    has_comma = text.str.contains(",", literal=True).fill_null(value=False)
    with_comma = text.filter(has_comma)
    is_grouped = bool(with_comma.str.contains(_GROUPS).all())
    below = text.filter(~has_comma).drop_nulls()
    is_whole = bool(len(below)) and bool(below.str.contains(_WHOLE).all())
    if with_comma.str.contains(_SURE_GROUPS).any() or (
        is_grouped and (is_whole or not decimal_comma)
    ):
        grouped = text.str.contains(_GROUPS).fill_null(value=False)
        return text.zip_with(~grouped, text.str.replace_all(",", "", literal=True))
    if not decimal_comma:
        return text
    by_points = text.str.contains(_GROUPS_BY_POINTS).fill_null(value=False)
    plain = text.zip_with(~by_points, text.str.replace_all(".", "", literal=True))
    return plain.str.replace(",", ".", literal=True)
