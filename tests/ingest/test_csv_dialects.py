"""CSV as the world writes it: tabs, decimal commas, dates, comments, counters, no stamps at all."""

import math

import numpy as np
import polars as pl
import pytest

from kinemill.draft.text_table import read_text
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers._csv_layout import decode
from kinemill.ingest.readers.csv import is_wide, read
from kinemill.ingest.tracks import make_tracks
from tests.ingest.conftest import refusals

ENCODED = {
    "cp1252": "temps;vélocité mesurée;Größe [°]",
    "cp1250": "czas;kąt;prędkość [obr/min];prąd",
    "cp1251": "Время, с;Угол, град;Момент, Н·м",
    "euc_kr": "시간(ms),각도(deg),토크(Nm)",
    "gb2312": "时间(s),角度(°),角速度(rad/s)",
    "big5": "時間(s),關節角度(deg),電壓(V)",
    "euc_jp": "時刻,位置(mm),モータトルク[N・m]",
    "koi8_r": "Время, с;Угол, град",
    "cp866": "Время, с;Угол, град",
    "mac_roman": "Längswinkel [°];Drehmoment für Rad",
    "cp932": "時刻,位置(mm),速度(mm/s),電流(A)",
}
HEADER = "time,position,velocity,torque\n"
NOON = 1_714_564_800_000_000_000  # 2024-05-01 12:00:00 UTC in ns


@pytest.mark.parametrize("encoding", ENCODED)
def test_encoding_of_a_text_without_utf_8_is_found_by_its_letters(encoding):
    # gbk is gb2312 and more.
    content = ENCODED[encoding].encode("gbk" if encoding == "gb2312" else encoding)
    assert decode(content) == ENCODED[encoding]


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("note", ["", "x", " "])
def test_a_decimal_comma_between_semicolons_or_tabs(write, task, separator, note):
    rows = [f"0,0;1,5;-2;3{note};x", f"0,01;1,25e-3;,5;4{note};x"]
    header = "time;position;velocity;torque;note"
    content = (
        "\n".join([header, *rows]).replace(";", separator).replace("3x", "3").replace("4x", "4")
    )
    log = read(write("a.csv", content + "\n"), task)
    assert log.frame.rows() == [(0.0, 1.5, -2.0, 3.0), (0.01, 1.25e-3, 0.5, 4.0)]


def test_commas_of_whole_numbers_next_to_decimal_points_group_digits(write, task):
    log = read(write("a.csv", "time;position;velocity;torque\n0.0;1,500;2;3\n0.01;1;2;3\n"), task)
    assert [row[1] for row in log.frame.rows()] == [1500.0, 1.0]


@pytest.mark.parametrize("proof", ["0,5", "3"])
@pytest.mark.parametrize("rows", [3, 40])
def test_three_digits_behind_a_comma_are_decimals_next_to_decimal_commas_or_only_zeros(
    write, task, rows, proof
):
    still = [f"{k};0;0;0" for k in range(rows)]
    text = "\n".join(["time;position;velocity;torque", *still, f"50;12,345;{proof};3"]) + "\n"
    path = write("a.csv", text)
    assert read(path, task).frame.row(-1)[1:] == (12.345, float(proof.replace(",", ".")), 3.0)
    assert read_text(path).values["position"][1][-1] == 12.345


@pytest.mark.parametrize(
    "stamps",
    [
        ("2024-05-01T12:00:00Z", "2024-05-01T12:00:00.25Z"),
        ("2024-05-01 12:00:00", "2024-05-01 12:00:00.250000000"),
        ("2024-05-01T14:00:00.000+02:00", "2024-05-01T14:00:00.250+0200"),
        ("2024-05-01T12:00:00,000", "2024-05-01T12:00:00,250"),
    ],
)
def test_dates_are_stamps(write, task, stamps):
    rows = "".join(f"{stamp};1;2;3\n" for stamp in stamps)
    log = read(write("a.csv", HEADER.replace(",", ";") + rows), task)
    assert log.frame["time_s"].to_list() == [NOON, NOON + 250_000_000]
    assert (log.frame["time_s"].dtype, log.ticks) == (pl.Int64, 1e9)


def test_a_date_that_is_none_is_refused_with_its_row(write, task):
    rows = "2024-05-01T12:00:00Z,1,2,3\n2024-05-32T12:00:01Z,1,2,3\n"
    assert refusals(read, write("a.csv", HEADER + rows), task)[0]["where"] == "row 2"


@pytest.mark.parametrize(
    "content",
    [
        f"# robot: a\n# date: today, noon\n{HEADER}0,1,2,3\n0.01,4,5,6\n",
        f"{HEADER}# units: s,rad,rad/s,N*m\n0,1,2,3\n0.01,4,5,6\n",
        f"{HEADER}0,1,2,3\n# paused\n0.01,4,5,6\n# end\n",
        f"# robot: a\n# {HEADER}0,1,2,3\n0.01,4,5,6\n",
        f"# {HEADER}0,1,2,3\n# paused, here\n0.01,4,5,6\n",
        f"\ufeff# robot: a\n\n{HEADER}0,1,2,3\n0.01,4,5,6\n# end",
    ],
)
def test_lines_that_start_with_a_hash_are_comments_except_the_header(write, task, content):
    log = read(write("a.csv", content), task)
    assert log.frame.rows() == [(0.0, 1.0, 2.0, 3.0), (0.01, 4.0, 5.0, 6.0)]
    assert (log.dropped_rows, log.reasons) == (0, [])


def test_a_comment_far_from_both_ends_is_no_row(write, task):
    rows = [f"{k / 100:.2f},1,2,{'3' * 20}" for k in range(40_000)]
    text = "\n".join([HEADER.strip(), *rows[:20_000], "# paused", *rows[20_000:]]) + "\n"
    assert read(write("a.csv", text), task).frame.height == 40_000


def test_two_lines_that_ran_into_one_are_seen_in_columns_nobody_wants_too(write, task):
    """polars, asked for some columns, takes the second line for a part of the last column."""
    rows = "0,1,2,3,a\n0.01,1,2,3,a0.02,1,2,3,b\n"
    path = write("a.csv", f"time,position,velocity,torque,note\n{rows}")
    reason = refusals(read, path, task)[0]
    assert (reason["check"], reason["where"]) == ("fields", "row 2")


def test_ticks_of_a_counter_are_stamps(write, make_task):
    rows = "".join(f"{1000 + 40 * k},{k},1,0\n" for k in range(30))
    task = make_task(ingest__time_unit=0.00025)  # s, of a counter at 4 kHz
    (frame,) = make_tracks(read(write("a.csv", HEADER + rows), task), task).frames
    np.testing.assert_allclose(frame["time_s"], 0.01 * np.arange(30), atol=1e-12)
    assert frame["angle"].to_list() == [float(k) for k in range(30)]


def test_rows_without_stamps_are_told_apart_by_the_rate_of_the_task(write, make_task):
    content = "position,velocity,torque\n" + "".join(f"{k},1,0\n" for k in range(30))
    task = make_task(ingest__rate=200.0)
    (frame,) = make_tracks(read(write("a.csv", content), task), task).frames
    assert frame["angle"].to_list() == [2.0 * k for k in range(15)]
    with pytest.raises(Unreadable, match=r"`ingest.rate`"):
        read(write("a.csv", content), make_task())


@pytest.mark.parametrize(("unit", "ticks"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
def test_a_wrong_time_unit_is_guessed_from_the_stamps(write, task, unit, ticks):
    rows = "".join(f"{round(k * ticks / 100)},1,2,3\n" for k in range(30))
    tracks = make_tracks(read(write("a.csv", HEADER + rows), task), task)
    fix = tracks.reasons[-1]["fix"]
    assert fix == f"if the timestamps are in {unit}, set `ingest.time_unit: {unit}`"


@pytest.mark.parametrize("prefix", ["", "# robot, a\n"])
def test_a_carriage_return_inside_a_row_is_refused(write, task, prefix):
    with pytest.raises(Unreadable):
        read(write("a.csv", f"{prefix}{HEADER}0,1\r2,3,4\n0.01,4\r5,6,7\n"), task)


PREAMBLE = 'Model,DL850E\r\nSample Interval,0.01,s\r\nComment,"bench 4, rig B"\r\n\r\n'


@pytest.mark.parametrize("units", ["", "s,rad,rad/s,N*m\r\n"])
def test_an_instrument_describes_its_recording_above_the_header(write, task, units):
    table = HEADER.replace("\n", "\r\n") + units + "0,1,2,3\r\n0.01,1,2,4\r\n0.02,1,2,5\r\n"
    path = write("a.csv", PREAMBLE + table)
    assert read(path, task).frame["torque"].to_list() == [3.0, 4.0, 5.0]
    drafted = read_text(path)
    assert (drafted.time, list(drafted.values)) == ("time", ["position", "velocity", "torque"])
    stated = {name: one.unit for name, one in drafted.attributes.items()}
    assert stated.get("torque") == ("N*m" if units else None)


def test_numbers_in_groups_and_infinities_of_c_are_read(write, task):
    rows = '0,"1,234.5",1.#INF,3,\n0.01,"1,235.5",2,N/A,\n'
    frame = read(write("a.csv", HEADER.replace("\n", ",\n") + rows), task).frame
    assert frame.rows() == [(0.0, 1234.5, math.inf, 3.0), (0.01, 1235.5, 2.0, None)]


def test_fields_between_bars_with_commas_in_their_names(write, make_task):
    rows = ["", " _time, | ____q,__rad | ____v,rad/s | _tau,_Nm ", " 0.00 | 1.0 | 2.0 | 3.0 |"]
    rows += [" 0.01 | 4.0 | 5.0 | 6.0 |", ""]
    sources = {"angle": "____q,__rad", "velocity": "____v,rad/s", "torque": "_tau,_Nm"}
    task = make_task(
        ingest__time=["_time,"],
        **{f"channels__{name}__source": own for name, own in sources.items()},
    )
    log = read(write("a.csv", "\n".join(rows)), task)
    assert log.frame.rows() == [(0.0, 1.0, 2.0, 3.0), (0.01, 4.0, 5.0, 6.0)]


def test_quotes_that_swallow_the_rows_are_refused(write):
    rows = [f'"5/1/2024, 12:00:{k // 60:02d}","{k}.5"' for k in range(400)]
    path = write("a.csv", "\n".join(["Time,value", rows[0][1:], *rows[1:], '"']))
    assert is_wide(path)
    with pytest.raises(Unreadable, match="cannot be read as CSV"):
        read_text(path)


def test_points_group_digits_in_a_table_with_decimal_commas(write, task):
    rows = [f"0,0{k};{k + 1}.500;-1.23{k};{100 + k}" for k in range(9)]
    path = write("a.csv", "\n".join(["time;position;velocity;torque", *rows, ""]))
    assert read(path, task).frame.row(8) == (0.08, 9500.0, -1238.0, 108.0)
    table = read_text(path)
    assert table.values["position"][1][8] == 9500.0
    assert table.remarks == (
        "position: '1.500' is read as 1500, as other numbers of the table have decimal commas",
        "velocity: '-1.230' is read as -1230, as other numbers of the table have decimal commas",
    )
