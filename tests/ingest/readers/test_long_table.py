"""Tables with one value per row: a wide table with one column per signal, as if written so."""

import json

import numpy as np
import polars as pl
import pytest

from kinemill.draft.builder import build
from kinemill.ingest import stage as ingest
from kinemill.ingest.readers import csv, jsonl, parquet
from tests.ingest.conftest import refusals, stored, with_ingest

N = 600
SIGNALS = {
    "position": [0.001 * k * k % 1.7 for k in range(N)],
    "velocity": [0.5 - 0.01 * (k % 90) for k in range(N)],
    "torque": [float(k // 24 % 3) for k in range(N)],
}
LONG = [(round(0.01 * k, 2), name, values[k]) for k in range(N) for name, values in SIGNALS.items()]


def lines(rows, header="time,signal,value", separator=","):
    return "\n".join([header, *(separator.join(map(str, row)) for row in rows)]) + "\n"


def dated(seconds):
    return f"2026-01-01 10:00:{seconds:09.6f}"


def columns(log):
    return [log.frame[name].to_list() for name in ("angle", "velocity", "torque")]


WIDE = list(SIGNALS.values())


@pytest.mark.parametrize(
    ("header", "rows", "separator"),
    [
        ("time,signal,value", LONG, ","),
        ("time,name,val", sorted(LONG, key=lambda row: row[1]), ","),  # signal after signal
        ("time;Messstelle;Value", [(t, n, str(v).replace(".", ",")) for t, n, v in LONG], ";"),
        ("id\ttime\tquality\tvalue", [(n, t, ["ok", "Good"][t > 2], v) for t, n, v in LONG], "\t"),
        ("time,line,where,value", [(t, "A", n, v) for t, n, v in LONG], ","),  # names by content
        ("time,signal,unit,value", [(t, n, "m", v) for t, n, v in LONG], ","),
        ("Datum;Gruppe;Wert;Info", [(dated(t), n, v, "x") for t, n, v in LONG], ";"),
        ("SourceTimestamp,Gruppe,Zahl", [(dated(t), n, v) for t, n, v in LONG], ","),
        (",time,_field,_value", [("", t, n, v) for t, n, v in LONG], ","),
    ],
)
def test_each_signal_is_a_column(write, task, header, rows, separator):
    if "Messstelle" in header:
        rows = [(str(t).replace(".", ","), n, v) for t, n, v in rows]
    path = write("a.csv", lines(rows, header, separator))
    clock = csv.about(path).clock
    log = csv.read(path, with_ingest(task, time=[clock]))
    assert columns(log) == WIDE
    seconds = (log.frame["time_s"] - log.frame["time_s"][0]) / log.ticks
    assert seconds.to_list() == pytest.approx([round(0.01 * k, 2) for k in range(N)])


@pytest.mark.parametrize("codes", [(192, 0), ("gut", "schlecht"), ("Good", "Bad_NoData")])
def test_values_of_bad_quality_are_missing_with_a_reason_that_counts_them(write, task, codes):
    rows = [(t, n, v, codes[k % 100 == 50]) for k, (t, n, v) in enumerate(LONG)]
    log = csv.read(write("a.csv", lines(rows, "time,name,value,Quality")), task)
    assert log.reasons[0]["found"] == "18 of 1800 values whose quality is not good"
    assert sum(values.count(None) for values in columns(log)) == 18


def test_columns_that_name_a_signal_together_are_joined(write, make_task):
    rows = [
        (t, f"motor{motor}", name, value + motor)
        for t, name, value in LONG
        for motor in (0, 1)
    ]  # fmt: skip
    sources = {
        f"channels__{name}__source": f"motor1.{own}"
        for name, own in (("angle", "position"), ("velocity", "velocity"), ("torque", "torque"))
    }
    log = csv.read(write("a.csv", lines(rows, "time,device,name,value")), make_task(**sources))
    assert columns(log) == [[value + 1 for value in values] for values in WIDE]


def test_parquet_and_json_lines(logs, write, task):
    frame = pl.DataFrame(LONG, schema=["time", "variable", "value"], orient="row")
    frame.with_columns(pl.col("variable").cast(pl.Categorical)).write_parquet(logs / "a.parquet")
    rows = "".join(json.dumps({"time": t, "name": n, "value": v}) + "\n" for t, n, v in LONG)
    assert columns(parquet.read(logs / "a.parquet", task)) == WIDE
    assert columns(jsonl.read(write("a.jsonl", rows), task)) == WIDE
    spelled = "".join(
        json.dumps({"time": str(t), "name": n, "value": v}) + "\n" for t, n, v in LONG
    )
    assert columns(jsonl.read(write("b.jsonl", spelled), task)) == WIDE


def test_dates_and_a_repeated_header_of_a_time_series_database(write, task):
    text = "#datatype,string,long,dateTime:RFC3339,double,string\n"
    head = ",result,table,_time,_value,_field"
    for at, name in enumerate(SIGNALS):
        own = [(t, v) for t, n, v in LONG if n == name]
        text += lines([("", "", at, f"2026-01-01T10:00:{t:09.6f}Z", v, name) for t, v in own], head)
        text += "\n#group,false,false,false,false,true\n"
    task = with_ingest(task, time=["_time"])
    log = csv.read(write("a.csv", text), task)
    assert columns(log) == WIDE
    assert log.frame["time_s"].diff().drop_nulls().unique().to_list() == [10_000_000]
    assert log.ticks == 1e9


def test_signals_with_their_own_rates_have_their_own_clocks(logs, home, write, task):
    rows = [(t, n, v) for t, n, v in LONG if n != "torque" or round(100 * t) % 2 == 0]
    report = ingest.run(task, home, write("a.csv", lines(rows)).parent)
    (frame,) = stored(home, report)[1]
    assert frame["torque"].to_list()[::2] == SIGNALS["torque"][:-1:2]
    assert frame["angle"].to_list() == pytest.approx(SIGNALS["position"][:-1])


def test_a_clock_that_starts_again_splits_the_log(logs, home, write, task):
    report = ingest.run(task, home, write("a.csv", lines([*LONG, *LONG])).parent)
    assert [frame.height for frame in stored(home, report)[1]] == [N, N]


def test_two_samples_at_one_time_stay_two_rows(write, task):
    log = csv.read(write("a.csv", lines([*LONG[:30], *LONG[27:]])), task)
    assert log.frame.height == N + 1
    assert log.frame["time_s"].to_list()[8:12] == [0.08, 0.09, 0.09, 0.1]


def test_a_text_among_the_values_is_named_by_its_row_in_the_file(write, task):
    rows = [*LONG[:40], (0.13, "velocity", "overload"), *LONG[41:]]
    (reason,) = refusals(csv.read, write("a.csv", lines(rows)), task)
    assert (reason["channel"], reason["where"]) == ("velocity", "row 41")
    assert reason["found"] == "the text 'overload'"


def test_texts_of_other_signals_do_not_matter(write, task):
    texts = [
        (round(0.01 * k, 2), name, "on") for k in range(N) for name in ("mode", "gripper", "door")
    ]
    rows = [row for k in range(N) for row in (*LONG[3 * k : 3 * k + 3], *texts[3 * k : 3 * k + 3])]
    assert columns(csv.read(write("a.csv", lines(rows)), task)) == WIDE


def test_a_missing_signal_is_named_with_those_of_the_log(write, task):
    path = write("a.csv", lines([row for row in LONG if row[1] != "torque"]))
    assert "'position', 'velocity'" in refusals(csv.read, path, task)[0]["expected"]


@pytest.mark.parametrize("name", ["robot", "mode"])
def test_a_wide_table_with_a_column_called_value_is_none(write, make_task, name):
    """One text for all rows, or texts that seldom change, name no signals."""
    rows = [(0.01 * k, ["a", "b"][name == "mode" and k > 300], 0.1 * k, 0.2, 0.3) for k in range(N)]
    path = write("a.csv", lines(rows, f"time,{name},value,velocity,torque"))
    assert csv.is_wide(path)
    log = csv.read(path, make_task(channels__angle__source="value"))
    assert log.frame["angle"].to_list() == [row[2] for row in rows]


def test_a_wide_table_of_two_robots_is_none(write):
    rows = [(0.01 * k, "ab"[k % 2], 0.1 * k, np.sin(k)) for k in range(N)]
    assert csv.is_wide(write("a.csv", lines(rows, "time,device,value,temperature")))
    counted = [(k, 0.01 * (k // 2), "ab"[k % 2], 0.1 * k) for k in range(N)]
    assert not csv.is_wide(write("b.csv", lines(counted, "row,time,device,value")))
    by_device = [(k // 2, 0.01 * (k // 2), "ab"[k % 2], 0.1 * k) for k in range(N)]
    assert not csv.is_wide(write("c.csv", lines(by_device, "seq,time,device,value")))


def test_a_table_whose_values_are_a_channel_is_read_as_it_is(write, make_task):
    sources = {f"channels__{name}__source": "value" for name in ("angle", "velocity", "torque")}
    log = csv.read(write("a.csv", lines(LONG)), make_task(**sources))
    assert log.frame["angle"].to_list() == [row[2] for row in LONG]


def test_a_draft_has_the_signals_and_their_units(write):
    units = {"position": "deg", "velocity": "rad/s", "torque": "N*m"}
    path = write("a.csv", lines([(t, n, units[n], v) for t, n, v in LONG], "time,tag,unit,value"))
    draft = build("arm", path)
    assert [
        (column.channel, column.role, column.log_unit or column.unit) for column in draft.columns
    ] == [("position", "state", "deg"), ("velocity", "state", "rad/s"), ("torque", "action", "N*m")]


def test_several_clocks_beside_the_value_leave_a_table_long(write, task):
    rows = [(t, 5.0 + t, 4.99 + t, name, v) for t, name, v in LONG]
    header = "elapsed time,receive time,header.stamp,topic,value"
    path = write("a.csv", lines(sorted(rows, key=lambda row: row[3]), header))
    assert columns(csv.read(path, with_ingest(task, time=["elapsed time"]))) == WIDE


def test_json_messages_are_told_apart_by_their_type_or_topic(tmp_path):
    """`mavlogdump` has the type and the time in a struct; rosbridge stamps in the messages."""
    mavlink = list[dict[str, object]]()
    ros = list[dict[str, object]]()
    for at in (0.02 * k for k in range(300)):
        for delay, kind, field in ((0.0, "ATT", "Roll"), (90e-6, "RCOU", "C1")):
            meta = {"type": kind, "timestamp": 1.7e9 + at + delay}
            value = float(np.sin(at + len(kind)))
            mavlink.append(
                {"meta": meta, "data": {"TimeUS": round(1e6 * (at + delay)), field: value}}
            )
            stamp = {"sec": 1_700_000_000 + int(at), "nanosec": round(1e9 * (at % 1.0 + delay))}
            message = {"header": {"stamp": stamp}, "twist": {"linear": {"x": value}}}
            topic = "/cmd_vel" if kind == "RCOU" else "/odom"
            ros.append({"op": "publish", "topic": topic, "msg": message})
    roles = {
        "ATT.data.Roll": "state", "RCOU.data.C1": "action",
        "/odom.msg.twist.linear.x": "state", "/cmd_vel.msg.twist.linear.x": "action",
    }  # fmt: skip
    for name, rows in (("mavlink", mavlink), ("ros", ros)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        draft = build("drafted", path)
        found = {column.guess.name: column.role for column in draft.columns}
        assert len(found) == 2, draft.left_out
        assert found.items() <= roles.items()
