"""Header blocks: names, units and rates in several lines above the rows of a text table.

Measurement software, scopes, controllers and motion capture write them. The rows show the width of
the table; lines of that width above them hold names, units or descriptions. A name that repeats
gets the name of its group, of a line above: `Position.X`. Narrower lines describe the recording,
such as its sampling rate.
"""

import re
from collections.abc import Mapping, Sequence

from kinemill.ingest.name_heuristics import is_stamp, plain_letters
from kinemill.ingest.readers._csv_layout import is_value
from kinemill.ingest.terms import word_set
from kinemill.task.units import read_unit

CLOCK = "time"  # name of a clock that has none
_NAMES = {"name", "channel", "channels", "signal", "kanalname", "kanal"}  # first word of names
_UNITS = {"unit", "units", "einheit", "y_unit_label", "vertical units"}
_TYPES = word_set("""double single float float32 float64 real lreal int int16 int32 int64 uint8
    uint16 uint32 f4 f8 dint bool string text object""", {""})  # fmt: skip
_X = {"x_value"}  # of LabVIEW
# Words before a stated rate, Hz, and a stated time step, s. Nexus writes the rate below a title.
_RATES = word_set("fs fps hz ratehz frequency framerate captureframerate trajectories devices")
_STEPS = word_set("""deltat deltax dt timestep xincrement raster cycletime zykluszeit taktzeit
    zeitschritt tempsdecycle pasdetemps tiempodeciclo tempodiciclo tempodeciclo cyclustijd
    czascyklu cykeltid 时间步长""")
# The same of compound words without accents, as in `Abtastintervall`. `Messzeit` is a duration.
_SAMPLING = (
    "sampl|abtast|echantillon|muestreo|campionament|amostrag|bemonster|probkowan|дискретизац|опрос"
    "|采样|取样|採樣|サンフリンク"
)
_LOGGING = f"{_SAMPLING}|acqui|aufzeichnung|logg|scan(?!n)|record|mess|meet|measure"
_RATE = "rate|frequen|frecuen|frekven|taxa|czestotliwosc|частот|率|周波数"
_INTERVAL = "interval|интервал|间隔|間隔"
_PERIOD = f"{_INTERVAL}|period|zeit|time|temps|tiempo|tempo|tid|okres|период|周期"
_SCALES = {
    **{unit: ("Hz", 1.0) for unit in ("hz", "гц", "s/s", "sa/s", "scans/s", "1/s", "/s", "sps")},
    **{unit: ("Hz", 1e3) for unit in ("khz", "кгц", "ks/s", "ksps")},
    **{unit: ("Hz", 1e6) for unit in ("mhz", "ms/s")},
    **{unit: ("s", 1.0) for unit in ("s", "sec", "с", "秒")},
    **{unit: ("s", 1e-3) for unit in ("ms", "msec", "мс", "毫秒")},
    **{unit: ("s", 1e-6) for unit in ("us", "µs", "мкс")},
    "min": ("s", 60.0),
}  # what a unit measures, and its factor
_NUMBER = re.compile(r"(\d+[.,]?\d*(?:[eE][-+]?\d+)?)\s*(1?[^\W\d_]*(?:/s)?)")
_AMBIGUOUS = re.compile(r"[1-9]\d*,\d{3}(?!\d)")  # 1,000 Hz may be 1 kHz

Row = Sequence[str]


def names_and_units(lines: Sequence[Row], row: Row) -> tuple[list[str], list[str]] | None:
    """Return the names and units of columns that lines of cells above the first row hold.

    None if the only such lines are the names, alone or above the units, as in plain CSV.
    """
    width = len(row)
    index = lines[-1][0] if lines and lines[-1] and not any(lines[-1][1:]) else ""
    if index and len(lines[-1]) == width:  # pandas writes the name of the index below the others
        names, units = names_and_units(lines[:-1], row) or (list(lines[-2]), [""] * width)
        return [index, *names[1:]], units
    rows = {
        at: [*cells[:width], *[""] * (width - len(cells))]
        for at, cells in reversed([*enumerate(lines)])
        if max(2, width - 1) <= len(cells) <= width + 2 and any(cells)
    }
    typed = [at for at, cells in rows.items() if {*map(str.lower, cells)} <= _TYPES]
    rows = {at: cells for at, cells in rows.items() if at not in typed}
    # A row with a quote, above rows without, is no header.
    if len(rows) + len(typed) < 2 or not rows or 2 * sum(map(is_value, lines[-1])) > width:
        return None
    unit_rows = [at for at, cells in rows.items() if _are_units(cells)]
    texts = [
        at for at, cells in rows.items()
        if at not in unit_rows and not any(map(is_value, filter(None, cells)))
    ]  # fmt: skip
    full = [at for at in texts if sum(map(bool, rows[at])) >= max(2, width - 1)]
    labeled = [at for at in texts if _label_columns(rows[at], row)]
    if not (labeled or full):
        return None
    at = labeled[0] if labeled else _names_line(rows, full)
    names = rows[at]
    units = rows[unit_rows[0]] if unit_rows else _known_units(rows.get(at + 1, [""] * width))
    if labeled:
        unnamed = CLOCK if row[0] else ""
        columns = _label_columns(names, row)
        names = [unnamed if column in columns else name for column, name in enumerate(names)]
        units = ["" if column in columns else unit for column, unit in enumerate(units)]
    groups = [_filled(rows[above]) for above in texts if above < at]
    is_grouped = _repeats(names) and not labeled
    while is_grouped and groups and _repeats(names):
        joined = [[f"{g}.{n}".strip(".") for g, n in zip(group, names, strict=True)]
                  for group in groups]  # fmt: skip
        best = max(range(len(groups)), key=lambda index: (len({*joined[index]}), index))
        names = joined[best] if len({*joined[best]}) > len({*names}) else names
        del groups[best]
    is_plain = at + len(unit_rows) == len(lines) - 1 and unit_rows in ([], [at + 1])
    if is_plain and min(rows) == at and not labeled and not is_grouped:
        return None
    if names[-1].lower() == "comment" and not row[-1]:  # of LabVIEW
        names = [*names[:-1], ""]
    clock = CLOCK if row[0] else ""
    units = ["" if name.lower() in _X else unit for name, unit in zip(names, units, strict=True)]
    return [clock if name.lower() in _X else name for name in names], units


def _names_line(rows: Mapping[int, Row], full: Sequence[int]) -> int:
    """Return the line of names among full lines, the last of which is first.

    It is the first one of different cells, as texts under names are units or comments. Without the
    name of a clock, two cells may describe the recording.
    """
    last = best = full[0]
    for at in full[1:]:
        cells = rows[at]
        is_named = all(cells) and len({*cells}) == len(cells)
        is_weaker = not _has_clock(cells) and (_has_clock(rows[best]) or len(cells) == 2)
        if is_named and not is_weaker and all(below in rows for below in range(at, last)):
            best = at
    return best


def _has_clock(cells: Row) -> bool:
    return any(map(is_stamp, cells))


def _known_units(cells: Row) -> list[str]:
    """Return the known units in a line whose first cell is a unit, and "" for its other cells."""
    return [cell if read_unit(cells[0]) and read_unit(cell) else "" for cell in cells]


def _label_columns(cells: Row, row: Row) -> set[int]:
    """Return the columns of names that only label a line: an empty one, or each clock of pairs."""
    labels = {at for at, cell in enumerate(cells) if cell.lower().strip(": ") in _NAMES}
    is_pairs = labels == {*range(0, len(cells), 2)} and len(cells) > 2
    return labels if is_pairs or (labels == {0} and not row[0]) else set()


def _are_units(cells: Row) -> bool:
    if cells[0].lower().strip(": ") in _UNITS:
        return True
    units = [cell.strip("()[]") for cell in cells if cell]
    are_known = [not unit[:2].isdigit() and read_unit(unit) is not None for unit in units]
    return 2 * sum(are_known) >= len(units) > 0


def _repeats(names: Row) -> bool:
    named = [name for name in names if name and name.lower() not in _X]
    return len({*named}) < len(named)


def _filled(cells: Row) -> list[str]:
    """Return the names of groups, each of which is written above its first column."""
    filled = list[str]()
    for cell in cells:
        filled.append(cell or (filled[-1] if filled else ""))
    return filled


def stated_rate(lines: Sequence[Row]) -> float | None:
    """Return the rate, Hz, that lines of cells above a table state, or None."""
    cells = [cell.strip(' ":\r') for line in lines for cell in line if cell.strip()]
    for key, value, following in zip(cells, cells[1:], [*cells[2:], ""], strict=False):
        word, *bracketed = re.split(r"[\[(\])]", plain_letters(key).lower())
        measures = _stated_by(re.sub(r"[\W_]", "", word))
        match = _NUMBER.fullmatch(value)
        if match is None or not measures or _AMBIGUOUS.match(value):
            continue
        unit = match[2] or "".join(bracketed[:1]) or following
        # A rate in ms is a time step.
        measures, factor = _SCALES.get(unit.lower().replace("μ", "µ"), (measures, 1.0))
        number = float(match[1].replace(",", ".")) * factor
        if number > 0.0:
            return number if measures == "Hz" else 1.0 / number
    return None


def _stated_by(word: str) -> str:
    """Return the unit of what a word without spaces announces: Hz, s, or "" for neither."""
    if word in _RATES or (re.search(_LOGGING, word) and re.search(_RATE, word)):
        return "Hz"
    is_step = re.search(_SAMPLING, word) and re.search(_PERIOD, word)
    is_interval = re.search(_LOGGING, word) and re.search(_INTERVAL, word)
    return "s" if word in _STEPS or is_step or is_interval else ""
