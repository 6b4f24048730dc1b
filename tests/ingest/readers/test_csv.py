"""Reading CSV: what polars alone would get wrong, without a word."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest.readers._csv_layout import is_table
from kinemill.ingest.readers.csv import is_wide, read
from kinemill.task import Source
from tests.ingest.conftest import refusals, with_ingest

HEADER = "time,position,velocity,torque\n"


def test_columns_are_matched_by_name_whatever_their_order(write, task):
    log = write("a.csv", "torque,velocity,note,position,time\n5,3,hello,2,0\n6,4,,3,0.01\n")
    frame = read(log, task).frame
    assert frame.columns == ["time_s", "angle", "velocity", "torque"]
    assert frame.rows() == [(0.0, 2.0, 3.0, 5.0), (0.01, 3.0, 4.0, 6.0)]


def test_the_first_source_the_log_has_is_taken_with_its_unit(write, task):
    log = read(write("a.csv", "time,q_deg,velocity,torque\n0,90,0,0\n0.01,90,0,0\n"), task)
    assert (log.sources["angle"].name, log.sources["angle"].unit) == ("q_deg", "deg")
    content = "time,q_deg,position,velocity,torque\n0,90,1.5,0,0\n0.01,90,1.5,0,0\n"
    assert read(write("b.csv", content), task).sources["angle"].name == "position"


@pytest.mark.parametrize(
    "end", ["0.02,3.", "0.02,3.,1,1", "0.02,3.,1,1.2", "0.02,-", "0", "0.02,3.,1e"]
)
def test_a_cut_last_line_is_dropped_and_counted(write, task, end):
    log = read(write("a.csv", f"{HEADER}0,1,1,1\n0.01,2,1,1\n{end}"), task)
    assert (log.frame.height, log.dropped_rows) == (2, 1)
    assert log.frame["angle"].to_list() == [1.0, 2.0]
    assert (log.reasons[0]["check"], log.reasons[0]["where"]) == ("cut_line", "row 3")


def test_a_number_that_turns_from_int_to_float_after_row_5000_is_read(write, task):
    rows = "".join(f"{k},{k},1,2\n" for k in range(6000))
    log = read(write("a.csv", f"{HEADER}{rows}6000.5,0.25,1.5,2.5\n"), task)
    assert log.frame.height == 6001
    assert log.frame.row(6000) == (6000.5, 0.25, 1.5, 2.5)


@pytest.mark.parametrize(
    "header",
    [
        "time, position, velocity, torque",
        " time ,position ,velocity ,torque ",
        "\ufefftime,position,velocity,torque",
        '"time","position","velocity","torque"',
        "# time,position,velocity,torque",
        "time;position;velocity;torque",
        "time\tposition\tvelocity\ttorque",
        "\ttime\tposition\tvelocity\ttorque",
        "time\tposition\tvelocity\ttorque\t",
        "time,position,velocity,torque,",
        "\r\ntime,position,velocity,torque\r",
    ],
)
def test_headers_as_programs_write_them(write, task, header):
    separator = next(sign for sign in ";\t," if sign in header)
    rows = "0,1,2,3\n0.01,4,5,6\n".replace(",", separator)
    if header.endswith((",", "\t")):
        rows = rows.replace("\n", f"{separator}\n")
    if header.startswith("\t"):  # as pandas writes its index
        rows = "0\t" + rows.replace("\n", "\n1\t", 1)
    if header.endswith("\r"):
        rows = rows.replace("\n", "\r\n")
    log = read(write("a.csv", f"{header}\n{rows}"), task)
    assert log.frame.rows() == [(0.0, 1.0, 2.0, 3.0), (0.01, 4.0, 5.0, 6.0)]
    assert log.dropped_rows == 0


def test_a_trailing_comma_in_the_rows_alone_is_no_field(write, task):
    log = read(write("a.csv", f"{HEADER}0,1,2,3,\n0.01,4,5,6,\n"), task)
    assert log.frame.rows() == [(0.0, 1.0, 2.0, 3.0), (0.01, 4.0, 5.0, 6.0)]


def test_spaces_around_numbers_and_words_for_missing_are_forgiven(write, task):
    log = read(write("a.csv", f"{HEADER} 0 , 1 ,NA, 3\n0.01\t,4,null,6 \n"), task)
    assert log.frame.rows() == [(0.0, 1.0, None, 3.0), (0.01, 4.0, None, 6.0)]


def test_blank_lines_at_the_end_are_no_rows(write, task):
    assert read(write("a.csv", f"{HEADER}0,1,2,3\n0.01,4,5,6\n\n\n"), task).frame.height == 2


@pytest.mark.parametrize(("texts", "is_read"), [(40, True), (60, False)])
def test_few_texts_in_a_numeric_column_are_missing_values_with_a_reason(
    write, task, texts, is_read
):
    rows = [f"{k / 100},1,{'err!' if k < texts else 1},1\n" for k in range(1000)]
    path = write("a.csv", HEADER + "".join(rows))
    if is_read:
        log = read(path, task)
        assert log.frame["velocity"].null_count() == texts
        (reason,) = log.reasons
    else:
        (reason,) = refusals(read, path, task)
    assert (reason["check"], reason["channel"]) == ("number", "velocity")
    assert reason["where"] == f"row 1 and {texts - 1} more rows"
    assert "'err!'" in str(reason["found"])


def test_lines_with_zeros_of_a_power_loss_are_left_out_with_a_reason(write, task):
    rows = "".join(f"{k / 100},{k},1,1\n" for k in range(9))
    damaged = f"{HEADER}{rows}0.09,9,1".encode() + bytes(600) + b",3\n0.2,20,1,1\n" + bytes(512)
    log = read(write("a.csv", damaged), task)
    assert [row[1] for row in log.frame.rows()] == [*range(9), 20.0]
    assert [(item["check"], item["found"]) for item in log.reasons] == [
        ("damaged_lines", "2 lines hold bytes of no text, as a loss of power leaves them")
    ]


@pytest.mark.parametrize("text", ["1.5abc", "1_000", "0x10", "1,5", "true", "--1"])
def test_nothing_that_is_no_number_becomes_one(write, task, text):
    (reason,) = refusals(read, write("a.csv", f'{HEADER}0,1,"{text}",1\n0.01,1,1,1\n'), task)
    assert (reason["channel"], reason["where"]) == ("velocity", "row 1")


def test_text_in_a_column_nobody_wants_does_no_harm(write, task):
    content = b"time,position,velocity,torque,note\n0,1,2,3,caf\xe9\n0.01,1,2,3,x\n"
    assert read(write("a.csv", content), task).frame.height == 2


def test_a_short_row_in_the_middle_is_missing_values_not_a_shift(write, task):
    frame = read(write("a.csv", f"{HEADER}0,1,2,3\n0.01,4\n0.02,7,8,9\n"), task).frame
    assert frame.row(1) == (0.01, 4.0, None, None)
    assert frame.row(2) == (0.02, 7.0, 8.0, 9.0)


def test_short_and_long_rows_among_many_are_found_though_every_column_is_read(write, task):
    """A long row may stand for the separator that a short one lacks, so that their sum is right."""
    rows = [f"{k / 100},{k},2,3\n" for k in range(3000)]
    log = write("a.csv", HEADER + "".join([*rows[:1500], "15,1500\n", *rows[1501:]]))
    frame = read(log, task).frame
    assert frame.row(1500) == (15.0, 1500.0, None, None)
    assert frame.null_count().row(0) == (0, 0, 1, 1)
    for wide in (["15,1500,2,3,4\n"], ["15,1500,2\n", "15.01,1501,2,3,4\n"]):
        content = HEADER + "".join([*rows[:1500], *wide, *rows[1500 + len(wide) :]])
        (reason,) = refusals(read, write("b.csv", content), task)
        where = f"row {1500 + len(wide)}"
        assert (reason["check"], reason["where"], reason["found"]) == ("fields", where, "5 fields")


def test_a_wanted_name_that_stands_twice_is_refused(write, task):
    log = write("a.csv", "time,position,velocity,torque,position\n0,1,2,3,9\n0.01,1,2,3,9\n")
    (reason,) = refusals(read, log, task)
    assert (reason["channel"], reason["found"]) == ("angle", "2 columns named 'position'")
    assert reason["fix"].endswith("'position[0]', 'position[1]'")


def with_source(task, name):
    angle = task.channels["angle"].model_copy(update={"source": [Source(name=name)]})
    return task.model_copy(update={"channels": task.channels | {"angle": angle}})


def test_a_repeated_name_is_addressed_by_its_number(write, task):
    log = write("a.csv", "time,position,velocity,torque,position\n0,1,2,3,9\n0.01,1,2,3,8\n")
    for source, values in (("position[0]", [1.0, 1.0]), ("position[1]", [9.0, 8.0])):
        assert read(log, with_source(task, source)).frame["angle"].to_list() == values


def test_a_header_that_numbers_a_repeated_name_itself_is_ambiguous(write, task):
    log = write("a.csv", "time,x,x,x[1],velocity,torque\n0,1,2,3,9,9\n0.01,1,2,3,8,9\n")
    (reason,) = refusals(read, log, with_source(task, "x[1]"))
    assert reason["found"] == "column 'x[1]' appears 2 times"


def test_an_unwanted_name_may_stand_twice(write, task):
    log = write("a.csv", "x,time,position,x,velocity,torque\n7,0,1,8,2,3\n7,0.01,1,8,2,3\n")
    assert read(log, task).frame.row(0) == (0.0, 1.0, 2.0, 3.0)


def test_a_missing_column_names_the_nearest(write, task):
    (reason,) = refusals(read, write("a.csv", "time,position,velocitty,torque\n0,1,2,3\n"), task)
    assert (reason["check"], reason["channel"]) == ("columns", "velocity")
    assert "did you mean 'velocitty'?" in str(reason["fix"])


def test_a_missing_time_column_names_the_nearest(write, task):
    (reason,) = refusals(read, write("a.csv", "Time,position,velocity,torque\n0,1,2,3\n"), task)
    assert (reason["channel"], reason["found"]) == (None, "no column 'time' or 'timestamp' or 't'")
    assert "did you mean 'Time'?" in str(reason["fix"])


def test_epoch_nanoseconds_keep_every_nanosecond(write, make_task):
    start = 1_700_000_000_123_456_789
    rows = "".join(f"{start + k * 10_000_001},1,2,3\n" for k in range(3))
    log = read(write("a.csv", HEADER + rows), make_task(ingest__time_unit="ns"))
    assert log.frame["time_s"].dtype == pl.Int64
    assert np.diff(log.frame["time_s"].to_numpy()).tolist() == [10_000_001, 10_000_001]


def test_a_column_of_texts_is_a_channel_and_counts_until_the_next_one(write, make_task):
    task = make_task(channels__mode={"role": "text", "source": "note"})
    header = HEADER.rstrip("\n") + ",note\n"
    rows = '0,1,1,1,\n0.01,1,1,1,"lift, slowly"\n0.02,1,1,1,\n0.03,1,1,1,lower\n0.04,1,1,1,lo'
    log = read(write("a.csv", header + rows), task)  # the last row is cut
    assert log.media["mode"].texts == ["lift, slowly", "lower"]
    assert log.frame["mode"].to_list() == [0, 0, 0, 1]


def test_a_picture_is_no_column_of_csv(write, make_task):
    task = make_task(channels__camera={"role": "image", "source": "note"})
    (item,) = refusals(read, write("a.csv", HEADER.rstrip("\n") + ",note\n0,1,1,1,a.png\n"), task)
    assert (item["channel"], item["found"]) == ("camera", "holds String")


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("episode", ["a", "b", "b"]),
        ("episode_index", [4, 7, 7]),
        ("done", ["True", "False", "True"]),
        ("is_first", [0, 1, 0]),
    ],
)
def test_a_column_separates_the_episodes_of_a_table(write, task, name, marks):
    rows = [f"{at / 100},{at + 1},1,1,{mark}\n" for at, mark in enumerate(marks)]
    parts = read(write("a.csv", f"{HEADER[:-1]},{name}\n" + "".join(rows)), task)
    expected = [("episode 0", [1.0]), ("episode 1", [2.0, 3.0])]
    assert [(log.part, log.frame["angle"].to_list()) for log in parts] == expected


def test_a_cut_line_is_reported_once_with_the_last_episode(write, task):
    content = f"{HEADER[:-1]},episode\n0,1,1,1,0\n0.01,2,1,1,0\n0,3,1,1,1\n0.01,4."
    first, last = read(write("a.csv", content), task)
    assert (first.frame.height, first.dropped_rows, first.reasons) == (2, 0, [])
    assert (last.frame.height, last.dropped_rows) == (1, 1)
    assert last.reasons[0]["check"] == "cut_line"


def test_what_cannot_be_read_is_no_table_and_has_no_episodes(tmp_path):
    assert not is_table(b"a,b\n1,2\r3\n5,6\n")
    path = tmp_path / "odd.csv"
    path.write_bytes(b"\xff\xfea\x00,\x00b\x00\n\x00\x00\xd8")  # half of a UTF-16 pair
    assert is_wide(path)


@pytest.mark.parametrize(
    ("seconds", "rest", "per_second"),
    [("t_s", "t_ns", 10**9), ("tv_sec", "tv_usec", 10**6), ("unix_time", "millis", 1000),
     ("ZeitInSec", "ZeitInNanoSec", 10**9), ("t_s", "t_us", 0)],
)  # fmt: skip
def test_seconds_and_their_rest_in_two_columns_are_one_timestamp(
    write, task, seconds, rest, per_second
):
    ms = range(0, 3000, 250)
    rests = [k % 1000 * per_second // 1000 if per_second else 1000 * k for k in ms]
    rows = [f"{k // 1000},{part},1,2,3" for k, part in zip(ms, rests, strict=True)]
    path = write("a.csv", "\n".join([f"{seconds},{rest},position,velocity,torque", *rows, ""]))
    log = read(path, with_ingest(task, time=[seconds]))
    expected = [k / 1000 if per_second else k // 1000 for k in ms]  # all us are a second clock
    assert (log.frame["time_s"] / log.ticks).to_list() == expected
