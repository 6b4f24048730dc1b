"""Tables of numbers alone, and tables aligned by spaces: read as the CSV text they stand for."""

import numpy as np
import pytest

from kinemill.draft.builder import build
from kinemill.draft.schema_inference import columns_of
from kinemill.draft.text_table import read_text
from kinemill.ingest.files import recognize, scan
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers._plain_table import rate_above
from kinemill.ingest.readers.csv import read

ROWS = np.column_stack(
    [0.01 * np.arange(40), np.sin(np.arange(40.0)), 2.5 * np.cos(np.arange(40)), np.arange(40) % 3]
)
NAMES = ["time", "position", "velocity", "torque"]
NUMBERED = {
    f"channels__{channel}__source": f"column_{at}"
    for at, channel in enumerate(("angle", "velocity", "torque"), 2)
} | {"ingest__time": ["column_1"]}


def aligned(header=NAMES, width=14, start=""):
    lines = ["".join(f"{name:>{width}}" for name in header)] if header else []
    lines += ["".join(f"{value:>{width}.5f}" for value in row) for row in ROWS]
    return start + "\n".join(lines) + "\n"


def plain(separator, comma=False, end="\n"):
    lines = [separator.join(f"{value:.5f}" for value in row) for row in ROWS]
    text = end.join(lines) + end
    return text.replace(".", ",") if comma else text


def check(log):
    assert log.frame.columns == ["time_s", "angle", "velocity", "torque"]
    assert np.allclose(log.frame.to_numpy(), ROWS, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "text",
    [
        aligned(),
        aligned(width=10).replace("\n", "\r\n"),
        "# recorded on Monday\n" + aligned(),
        aligned(header=None, start="#       time    position    velocity      torque\n"),
        aligned().replace("     ", " \t  "),
        aligned(["time", "position", "velocity", "torque"], width=24),
    ],
)
def test_columns_aligned_by_spaces(logs, write, task, text):
    check(read(path := write("a.dat", text), task))
    assert [log.name for log in scan(task, logs).logs] == ["a.dat"]
    assert recognize(task, path) in {"csv", "text"}


def test_names_with_spaces_are_two_spaces_apart(write, make_task):
    text = aligned(["time", "joint pos", "joint vel", "motor torque"], width=20)
    sources = {"angle": "joint pos", "velocity": "joint vel", "torque": "motor torque"}
    task = make_task(**{f"channels__{name}__source": own for name, own in sources.items()})
    check(read(write("a.txt", text), task))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", plain(",")),
        ("a.csv", plain(";", comma=True)),
        ("a.tsv", plain("\t", end="\r\n")),
        ("a.dat", plain(" ")),
        ("a.txt", plain("   ")),
        ("a.txt", plain("  ", comma=True)),
        ("a.txt", "# recorded on Monday\n" + plain("  ")),
    ],
)
def test_without_a_header_columns_are_numbered(logs, write, make_task, name, text):
    task = make_task(**NUMBERED)
    check(read(write(name, text), task))
    assert [log.name for log in scan(task, logs).logs] == [name]


def test_without_a_header_a_text_in_each_row_is_no_name(write, make_task):
    """A text at the end of the first row would be the header of columns named 0.1 and 0.2."""
    lines = [f"{line},251213_0{at:02}" for at, line in enumerate(plain(",").splitlines())]
    path = write("a.csv", "\n".join(lines) + "\n")
    check(read(path, make_task(**NUMBERED)))
    assert build("soft", path).left_out == {"column_5": "holds no numbers"}


def test_a_line_of_other_width_and_a_text_are_named_by_row(write, make_task):
    lines = plain(" ").splitlines()
    wide = [*lines[:9], f"{lines[9]} 7", *lines[10:]]
    with pytest.raises(Unreadable, match="row 10: 5 fields"):
        read(write("a.txt", "\n".join(wide) + "\n"), make_task(**NUMBERED))
    text = [*lines[:9], lines[9].replace("0.09000", "start"), *lines[10:]]
    (reason,) = read(write("b.txt", "\n".join(text) + "\n"), make_task(**NUMBERED)).reasons
    assert (reason["where"], reason["found"]) == ("row 10", "the text 'start'")


def test_the_last_line_of_a_cut_file_is_left_out(write, make_task):
    log = read(write("a.txt", plain("  ")[:-4]), make_task(**NUMBERED))
    assert log.frame.height == len(ROWS) - 1
    assert [reason["check"] for reason in log.reasons] == ["cut_line"]


@pytest.mark.parametrize(
    "text", ["Measured on 2024-05-01\n3 robots, 4 logs\n", "1\n2\n3\n", "1 2\n"]
)
def test_other_text_is_no_log(logs, write, task, text):
    write("readme.txt", text)
    assert "readme.txt" in scan(task, logs).ignored


def test_the_error_of_a_log_that_lost_its_header_shows_its_columns(write, task):
    with pytest.raises(Unreadable, match="the log has 'column_1', 'column_2'"):
        read(write("a.csv", plain(",")), task)


def test_a_draft_of_numbers_alone(write):
    """The clock is found by its values; an input by its effect."""
    random, n = np.random.default_rng(0), 1500
    drive, state = np.repeat(random.normal(size=n // 10), 10), np.zeros(n)
    for k in range(n - 1):
        state[k + 1] = 0.95 * state[k] + 0.1 * drive[k]
    rows = np.column_stack([0.02 * np.arange(n), drive, state])
    text = "\n".join("".join(f"{value:16.7e}" for value in row) for row in rows) + "\n"
    draft = build("dryer", write("dryer.dat", text))
    roles = {column.channel: column.role for column in draft.columns}
    assert roles == {"column_2": "action", "column_3": "state"}
    assert draft.dt == pytest.approx(0.02)


@pytest.mark.parametrize(
    "text",
    [
        "Trial of a ship model\nKVLCC2 35°\nTime series\n" + aligned(header=None),
        "MARIN\nTurning circle : 35 (deg)\n\n" + plain("\t"),
        "recorded on Monday\n" + plain(","),
    ],
)
def test_titles_above_rows_without_a_header_are_skipped(logs, write, make_task, text):
    task = make_task(**NUMBERED)
    check(read(write("a.dat", text), task))
    assert [log.name for log in scan(task, logs).logs] == ["a.dat"]


def test_remarks_of_a_logger_are_no_rows_and_no_names(write, make_task):
    """A console writes to the same file as the log."""
    first, *rows = plain(",").splitlines()
    names = ",".join(NAMES)
    lines = [names, "INFO  [log] started: /sd/a.csv", first, *rows, "INFO  [log] end, closed"]
    log = read(write("a.csv", "\n".join(lines) + "\n"), make_task())
    check(log)
    assert not log.reasons


def test_half_a_row_under_remarks_is_counted(write, make_task):
    lines = [",".join(NAMES), "INFO  started", *plain(",").splitlines(), "9.1,2."]
    log = read(write("a.csv", "\n".join(lines)), make_task())
    assert log.frame.height == len(ROWS)
    assert [reason["check"] for reason in log.reasons] == ["cut_line"]


def test_one_number_in_each_line_is_a_column(write):
    path = write("a.txt", "\n".join(str(value) for value in ROWS[:, 1]) + "\n")
    assert np.allclose(columns_of(path)[0]["column_1"], ROWS[:, 1])


def test_names_of_labview_lie_below_its_last_header_though_the_comment_is_empty(write, task):
    """The first row ends with an empty comment, and the others end before it."""
    rows = [f"{k / 100}\t{np.sin(k)}\t{k % 7}\t{k % 5}" for k in range(50)]
    text = [
        "LabVIEW Measurement\t",
        "***End_of_Header***\t",
        "",
        "Y_Unit_Label\trad\trad/s\tV\t",
        "X_Dimension\tTime\tTime\tTime\t",
        "Delta_X\t0.01\t0.01\t0.01\t",
        "***End_of_Header***\t\t\t\t",
        "X_Value\tposition\tvelocity\ttorque\tComment",
        f"{rows[0]}\t",
        *rows[1:],
    ]
    log = read(write("a.lvm", "\r\n".join([*text, ""])), task)
    assert (log.frame.height, log.dropped_rows) == (50, 0)
    assert log.frame["angle"].to_numpy() == pytest.approx(np.sin(np.arange(50)))


@pytest.mark.parametrize("clock", ["time_1", "Time.1", "time (2)", "time"])
def test_columns_behind_a_second_clock_are_read_on_it(write, task, clock):
    rows = [f"{k / 100:.2f},{k},{-k},{k / 50:.2f},{2 * k}" for k in range(50)]
    header = f"time,position,velocity,{clock},torque"
    log = read(write("a.csv", "\n".join([header, *rows, ""])), task)
    assert log.frame["torque"].to_list()[:5] == [0.0, None, 2.0, None, 4.0]
    assert log.frame["angle"].to_list()[:5] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert log.frame["time_s"].to_list()[-1] == pytest.approx(0.98)


def test_a_clock_of_another_start_does_not_shift_the_columns_behind_it(write, task):
    rows = [f"{k / 100},{k},{-k},{5 + k / 100},{2 * k}" for k in range(50)]
    log = read(write("a.csv", "\n".join(["time,position,velocity,time_1,torque", *rows, ""])), task)
    assert log.frame["torque"].to_list()[:3] == [0.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("date;usec", "1.5.2024 12:00:0{};{}0000"),
        ("Timestamp;Millitm", "1.5.2024 12:00:0{};{}0"),
        ("Jahr;Monat;Tag;Stunde;Minute;Sekunde;Millisekunde", "2024;5;1;12;0;{};{}0"),
        ("año;mes;día;hora;minuto;segundo;milisegundo", "2024;5;1;12;0;{};{}0"),
    ],
)
def test_date_in_several_columns_is_one_clock(write, names, cells):
    rows = [f"{cells.format(*divmod(k, 100))};{k % 7};{k % 5}" for k in range(90, 210)]
    table = read_text(write("a.csv", "\n".join([f"{names};q;u", *rows, ""])))
    seconds, _ = table.values["q"]
    assert np.diff(seconds) == pytest.approx(0.01, abs=1e-9)


def test_units_below_names_with_one_space_are_no_row(write, task):
    path = write("a.txt", "time position velocity torque\ns rad rad/s Nm\n" + plain(" "))
    assert recognize(task, path) == "text"
    check(read(path, task))


@pytest.mark.parametrize(
    "line", ["# Abtastrate: 1,5 kHz", "Abtastrate = 1,5 kHz", "采样率：1500Hz"]
)
def test_rate_above_a_table_may_have_a_decimal_comma(line):
    assert rate_above(f"{line}\nangle;torque\n0,1;0,2\n".encode()) == pytest.approx(1500.0)
