"""Numbers that text columns spell: dates as timestamps, digits in groups, and true and false."""

import re

import numpy as np
import polars as pl

from kinemill.ingest.terms import word_set
from kinemill.task.units import read_unit

_AM = "上午|午前|오전"
_PM = "下午|午後|오후"
_TIME = (
    r"(?P<H>\d{1,3}):(?P<M>\d\d?)(?::(?P<S>\d\d?)(?:(?P<sign>[.,:;])(?P<fraction>\d{1,9}))?)?"
    rf"\s*(?P<half>[AaPp]|{_AM}|{_PM})?(?:\.?\s?[Mm]\.?)?"
    r"\s*(?P<zone>Z|[A-Z]{3,4}|[+-]\d\d:?\d\d)?"
)
_DAY = (
    r"(?:(?P<year>\d{4})[-/.](?P<month>\d\d?)[-/.](?P<day>\d\d?)"
    r"|(?P<first>\d\d?)(?:(?P<mark>[-/.])[ ]?|[ ](?:de[ ])?)"
    r"(?P<second>\d\d?|[^\W\d_]{3,12}\.?)(?:[-/.][ ]?|[ ](?:de[ ])?)"
    r"(?P<last>\d{4}|\d\d))[T ,;]+"
)
_STAMP = rf"^(?:{_DAY}|(?P<days>\d+) ?d(?:ays?)?,? )?{_TIME}(?:\s*\[[^\]]*\])?$"
_IS_STAMP = re.compile(_STAMP)
# The same without signs between the numbers: `20240501T120000.25Z`, `20240501120000`.
_COMPACT = (
    r"^((?:19|20)\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])[T _-]?([01]\d|2[0-3])([0-5]\d)([0-5]\d)"
    r"(?:[.,]?(\d{3}|\d{6})|[.,](\d+))?(Z|[+-]\d\d:?\d\d)?$"
)
_IS_COMPACT = re.compile(_COMPACT)
MOST_FRAMES = 240  # in a second of a timecode
_COUNTED_DIGITS = (3, 6, 9)  # of a fourth number of a time: ms, us or ns without leading zeros
_MONTHS = {
    spelling: f"{number:02d}"
    for number, spellings in enumerate(
        ("jan gen ene sty янв", "feb fev lut фев", "mar mrz mrt maa мар", "apr abr avr kwi апр",
         "may mai mag mei maj маи мая", "jun giu cze июн", "jul lug lip июл", "aug ago aou sie авг",
         "sep set wrz сен", "oct okt ott out paz окт", "nov lis ноя", "dec dez dic des gru дек"),
        start=1)
    for spelling in spellings.split()
}  # fmt: skip
_AMERICAN = ("second", "first", "last")
# Numbers of a date that are its day, month and year.
_ORDERS = (("first", "second", "last"), _AMERICAN, ("last", "second", "first"))
_DAY_NS = 86_400_000_000_000
_FAST = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ")
_TRUE = word_set("""true on yes ein an wahr ja vrai marche oui vero verdadero si sí aan
    open opened""")
_FALSE = word_set("""false off no aus falsch nein faux arrêt arret non falso uit nee
    close closed""")
_BOOLEANS = dict.fromkeys(_TRUE, "1") | dict.fromkeys(_FALSE, "0")
MISSING = (
    *("-", "--", "---", "NA", "N/A", "na", "n/a", "#N/A", "null", "NULL", "None", "none"),
    *("#DIV/0!", "#NUM!", "#VALUE!", "#REF!", "#NAME?", "#NULL!"),  # errors of a spreadsheet
    *("#WERT!", "#ZAHL!", "#BEZUG!", "#NV", "#VALEUR!", "#NOMBRE!", "#REF"),
    *("n.a.", "N.A.", "k.A.", "n/d", "N/D", "ND", "n.v.", "nil", "undefined", "Invalid", "invalid"),
    *("No data", "no data", "NO DATA", "Bad Input", "BAD", "OVER", "OL", "***", "<NA>", "(null)"),
    *("No Data", "Bad", "I/O Timeout", "<null>", "missing", "?"),  # of historians
)  # spellings of a missing value
# Infinity and NaN as C libraries spell them, and exponents of Fortran, as float() reads them.
_SPELLINGS = {
    r"^([+-]?)1\.#INF\d*$": "${1}inf",
    r"(?i)^[+-]?1\.#(IND|QNAN|SNAN)\d*$": "nan",
    r"(?i)^[+-]?nan\(?[a-z0-9]*\)?$": "nan",
    r"(?i)^([+-]?)inf(inity)?$": "${1}inf",
    r"^([+-]?[0-9.,]+)[dD]([+-]?\d+)$": "${1}e${2}",
}
# Quotes, and negative numbers of accountants: `="1.5"`, `'1.5'`, `1.5-`, `(1.5)`.
_MARKED = {r"^(?:=\"?|')([^\"']*)[\"']?$": "${1}", r"^(?:\(([\d.,]+)\)|([\d.,]+)-)$": "-${1}${2}"}
_MINUS = "^[−–—－]"
_HAS_MARK = rf"{_MINUS}|^[='(]|-$"
_HAS_SPELLING = r"#|[nN][aA][nN]|[iI][nN][fF]|[dD]"
# Digits in groups of three. Without a decimal part, `1,234` may also be 1.234.
_GROUPS = r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$"
_SURE_GROUPS = r"^[+-]?[1-9]\d{0,2}(,\d{3}){2,}(\.\d*)?$|^[+-]?[1-9]\d{0,2}(,\d{3})+\.\d*$"
_POINTS = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?$|^[+-]?\d*,\d*$"
_FEWEST_COMMAS = 3  # numbers of a column that show what its commas mean
# A decimal comma without doubt, if some of the numbers are no `_GROUPS`.
_COMMAS = r"^[+-]?(\d*|[1-9]\d{0,2}(\.\d{3})+),\d+([eE][+-]?\d+)?$"
_SPACED_GROUPS = r"^[+-]?[1-9]\d{0,2}(['’\u00a0\u202f ]\d{3})+([.,]\d*)?$"
_WITH_UNIT = r"^([+-]?[\d.,]+(?:[eE][+-]?\d+)?)\s*([A-Za-zµ°%][A-Za-zµ°%/*^0-9]*)$"
_WHOLE = r"^[+-]?\d{1,3}$"  # a number below 1,000
_ZERO = r"^[+-]?0$"  # also one of the numbers with three decimals


# Other layouts of dates and times, and the usual one.
_LAYOUTS = {
    r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +": "",
    r"^(?:L?DT|DTL|L?TOD|DATE_AND_TIME|TIME_OF_DAY)#": "",  # of PLCs
    r"^(\d{4})[年.] ?(\d\d?)[月.] ?(\d\d?)[日.]? *": "${1}-${2}-${3} ",
    rf"({_AM}|{_PM}) ?(\d.*)$": "${2} ${1}",
    r"(\d\d?)[h時时시] ?(\d\d?)[m分분](?:in)? ?(\d\d?(?:[.,]\d+)?)[s秒초]?": "${1}:${2}:${3}",
    r"^([A-Z][a-z]{2}) (\d\d) (\d{4}) ([\d:]+) GMT([+-]\d{4}).*$": "${2} ${1} ${3} ${4} ${5}",
    r"^(\d\d?:\d\d:\d\d\S*(?: ?[AaPp][Mm])?)[ ,;]+(\d+[-./]\d\d?[-./]\d+)$": "${2} ${1}",
    r"^(\d\d?[-./]\d\d?[-./]\d{2,4}[ ,]+\d\d?)\.(\d\d)\.(\d\d)": "${1}:${2}:${3}",
    r"^(?:\d{4}[-:/ ])?(\d{3})[:T ](\d\d:\d\d:\d\d)": "${1} days ${2}",  # day of the year
    r",? (?:at|à|um) (\d)": " ${1}",
    r" Uhr$": "",
    r"^([A-Z][a-z]{2}) +(\d\d?) ([\d:.,]+) (?:[A-Z]{3,4} )?(\d{4})$": "${2} ${1} ${4} ${3}",
    r"^([A-Z][a-z]{2,8}) (\d\d?), (\d{4}),? ": "${2} ${1} ${3} ",
    r"^\[?(\d\d)/([A-Z][a-z]{2})/(\d{4}):": "${1}-${2}-${3} ",
    r"^(\d{4}-\d\d-\d\d)[_ T-](\d\d)([-_.:])(\d\d)[-_.:](\d\d)": "${1} ${2}:${4}:${5}",
    r"^(\d\d?:\d\d[.,]\d+)$": "0:${1}",  # minutes, seconds
    r"^(\d+)\.(\d\d:\d\d:\d\d)": "${1} days ${2}",
}
_IS_LAYOUT = re.compile("|".join(_LAYOUTS))


def is_date(text: str) -> bool:
    """Return whether a text is a date and a time, or a time of the day with seconds.

    Examples are `2024-05-01T12:00:00.25Z`, `1.5.24 12:00`, `5/1/2024 12:00:00 PM`,
    `01-May-2024 12:00:00,25`, `12:00:00.25`, `12:00:00:250`, `0 days 00:00:01` and
    `20240501T120000.25Z`.
    """
    if _IS_COMPACT.match(text):
        return True
    if _IS_LAYOUT.search(text):
        text = _usual_layout(pl.Series([text]))[0]
    match = _IS_STAMP.match(text)
    return match is not None and bool(match["S"] or match["year"] or match["last"])


def parse_dates(text: pl.Series) -> pl.Series:
    """Return dates (n,) as Int64 nanoseconds since 1970, times since midnight; others are null.

    Whether day, month or year is first shows in the whole column: by AM or PM, by a number above
    12, or because the log is shorter. Times continue after midnight: a step back by more than half
    a day is the next day.
    """
    for form in _FAST:
        if text.head(1).str.to_datetime(form, strict=False).count():
            dates = text.str.to_datetime(form, time_unit="ns", strict=False)
            if dates.count() == text.count():
                return dates.cast(pl.Int64)
    text = text.str.strip_chars()
    text = _usual_layout(text)
    if text.head(1).str.contains(_COMPACT).any():
        text = text.str.replace(_COMPACT, "$1-$2-$3 $4:$5:$6.${7}${8}0$9")
    parts = text.str.extract_groups(_STAMP).struct.unnest()
    time = _time_of_day(parts)
    if parts["year"].count() + parts["last"].count() == 0:
        days = parts["days"].cast(pl.Int64)
        times = time + _DAY_NS * days.fill_null(0)
        return (times + _DAY_NS * _midnights(times) if not days.count() else times).rename(
            text.name
        )
    is_american = parts["half"].count() > 0 and bool((parts["mark"] == "/").any())
    readings = {order: _days(parts, *order) for order in _ORDERS}

    def preference(order: tuple[str, str, str]) -> tuple[int, bool, float]:
        days = readings[order].drop_nulls().to_numpy()
        return len(days), is_american and order == _AMERICAN, -np.ptp(days) if len(days) else 0

    return (readings[max(_ORDERS, key=preference)] + time).rename(text.name)


def _usual_layout(text: pl.Series) -> pl.Series:
    """Return dates (n,) in the layouts of `_STAMP`."""
    for layout, usual in _LAYOUTS.items():
        if text.head(1).str.contains(layout).any():
            text = text.str.replace(layout, usual)
    return text


def _days(parts: pl.DataFrame, day: str, month: str, year: str) -> pl.Series:
    """Return the days of dates (n,), ns since 1970; null for what is no date in this order."""
    digits = pl.col(year).str.len_chars()
    century = pl.when(digits == 2).then("20" + pl.col(year))
    year_digits = pl.coalesce("year", century, pl.when(digits == 4).then(year))
    plain = pl.col(month).str.to_lowercase().str.normalize("NFD").str.replace_all(r"\p{M}", "")
    number = plain.str.replace("^jui", "ju").str.head(3).replace(_MONTHS)  # juin, juillet
    spelled = pl.concat_str(
        year_digits,
        pl.coalesce("month", number).str.zfill(2),
        pl.coalesce("day", pl.col(day)).str.zfill(2),
    )
    days = parts.select(spelled.str.to_date("%Y%m%d", strict=False)).to_series()
    return days.cast(pl.Datetime("ns")).cast(pl.Int64)


def _time_of_day(parts: pl.DataFrame) -> pl.Series:
    """Return the times of the day (n,), ns in UTC if the zone is an offset."""
    counted = parts["fraction"].filter(parts["sign"].is_in([":", ";"])).drop_nulls()
    longest = int(counted.str.len_chars().max() or 0)  # pyright: ignore
    digits = next(count for count in _COUNTED_DIGITS if longest <= count)
    frames = _frames_per_second(counted.cast(pl.Int64, strict=False))
    fraction = pl.when(pl.col("sign").is_in([":", ";"])).then(
        pl.col("fraction").str.zfill(digits)).otherwise("fraction")  # fmt: skip
    hours = pl.col("H").cast(pl.Int64)
    is_afternoon = pl.col("half").is_in(["p", "P", *_PM.split("|")])
    # 12 AM is midnight, 12 PM noon.
    hours = (
        pl.when(pl.col("half").is_null()).then(hours)
        .otherwise(hours % 12 + pl.when(is_afternoon).then(12).otherwise(0))
    )  # fmt: skip
    offset = pl.col("zone").str.extract_groups(r"^(?P<sign>[+-])(?P<h>\d\d):?(?P<m>\d\d)$")
    minutes = 60 * offset.struct["h"].cast(pl.Int64) + offset.struct["m"].cast(pl.Int64)
    minutes = pl.when(offset.struct["sign"] == "-").then(-minutes).otherwise(minutes)
    minutes = 60 * hours + pl.col("M").cast(pl.Int64) - minutes.fill_null(0)
    seconds = 60 * minutes + pl.col("S").cast(pl.Int64).fill_null(0)
    rest = pl.when(pl.lit(frames > 0)).then(
        pl.col("fraction").cast(pl.Int64) * 1_000_000_000 // max(frames, 1)
    ).otherwise(fraction.str.pad_end(9, "0").cast(pl.Int64)).fill_null(0)  # fmt: skip
    is_elapsed = pl.col("year").is_null() & pl.col("last").is_null()  # 75:12.5, 100:00:00
    is_time = is_elapsed | ((hours < 24) & (pl.col("M").cast(pl.Int64) < 60))
    return parts.select(pl.when(is_time).then(1_000_000_000 * seconds + rest)).to_series()


def _frames_per_second(counted: pl.Series) -> int:
    """Return the number of frames in a second of a timecode (n,); 0 if it counts ms, us or ns.

    Frames count from 0 to 24, 29 or so, all numbers in between, and start again.
    """
    numbers = counted.drop_nulls().to_numpy()
    if len(numbers) < 2 or not (np.diff(numbers) < 0).any():
        return 0
    most = int(numbers.max()) + 1
    return most if most <= MOST_FRAMES and len(np.unique(numbers)) == most else 0


def _midnights(times: pl.Series) -> pl.Series:
    """Return how often midnight has passed at each time of day (n,), ns, as Int64."""
    steps = times.forward_fill().diff().fill_null(0)
    days = (steps < -_DAY_NS // 2).cast(pl.Int64) - (steps > _DAY_NS // 2).cast(pl.Int64)
    return days.cum_sum()


def unit_of_cells(text: pl.Series) -> str:
    """Return the unit that follows each number of a column (n,), as in `0.5 sec`; "" if none does.

    `timetable` of MATLAB and dashboards write such cells.
    """
    filled = text.drop_nulls()
    if not filled.head(1).str.contains(_WITH_UNIT).any():
        return ""
    units = filled.str.extract(_WITH_UNIT, 2).unique()
    return units[0] if len(units) == 1 and units[0] and read_unit(units[0]) else ""


def spell_booleans(text: pl.Series) -> pl.Series:
    """Return true, on and yes (n,) as 1, and their opposites as 0.

    A column with any other text is unchanged.
    """
    plain = text.str.strip_chars().str.to_lowercase()
    is_text = ~plain.is_in([*_BOOLEANS, ""])
    return text if is_text.any() else plain.replace(_BOOLEANS)


def plain_digits(text: pl.Series, *, decimal_comma: bool | None) -> pl.Series:
    """Return numbers (n,) as float() reads them, and null for a value that is spelled as missing.

    `1,234.5` is 1234.5. 1,234 is 1.234 if the table has decimal commas, and has groups of digits if
    it has decimal points. Else the column shows it: groups if its numbers below 1,000 are whole.

    Args:
        text: without spaces around it.
        decimal_comma: whether the table has decimal commas; None if its commas could be both.
            Without them, 1,5 is a number where all numbers of the column are written with commas.
    """
    text = _usual_spelling(text.replace([*MISSING, ""], None))
    has_points = text.str.contains(".", literal=True)
    if decimal_comma is False:
        signed = text.filter(text.str.contains("[.,]"))
        decimal_comma = bool(
            len(signed) >= _FEWEST_COMMAS
            and signed.str.contains(_COMMAS).all()
            and not signed.str.contains(_GROUPS).all()
        )
    if decimal_comma is not False and text.filter(has_points).str.contains(_POINTS).all():
        text = text.str.replace_all(".", "", literal=True)  # 1.234 of Germany, next to 0,5
    if not text.str.contains(",", literal=True).any():
        return text
    has_comma = text.str.contains(",", literal=True).fill_null(value=False)
    with_comma = text.filter(has_comma)
    is_grouped = bool(with_comma.str.contains(_GROUPS).all())
    below = text.filter(~has_comma & ~text.str.contains(_ZERO))
    is_whole = bool(len(below)) and bool(below.str.contains(_WHOLE).all())
    if with_comma.str.contains(_SURE_GROUPS).any() or (
        is_grouped and (decimal_comma is False or (decimal_comma is None and is_whole))
    ):
        grouped = text.str.contains(_GROUPS).fill_null(value=False)
        return text.zip_with(~grouped, text.str.replace_all(",", "", literal=True))
    if decimal_comma is False:
        return text
    return text.str.replace(",", ".", literal=True)


def _usual_spelling(text: pl.Series) -> pl.Series:
    """Return numbers (n,) without units, signs and exponents that float() does not read."""
    if unit_of_cells(text):
        text = text.str.extract(_WITH_UNIT, 1)
    if text.str.contains(_HAS_SPELLING).any():
        for pattern, spelling in _SPELLINGS.items():
            text = text.str.replace(pattern, spelling)
    if text.str.contains(_HAS_MARK).any():
        text = text.str.replace(_MINUS, "-")
        for pattern, spelling in _MARKED.items():
            text = text.str.replace(pattern, spelling)
    if text.str.contains(_SPACED_GROUPS).any():  # 1'234.5 of Switzerland, 1 234,5 of France
        text = text.str.replace_all(r"['’\u00a0\u202f ]", "")
    return text
