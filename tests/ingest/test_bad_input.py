"""A drop folder of all that arrives damaged, or is meant to do damage, beside one good log."""

import pytest

from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.validate import stage as validate
from tests.ingest.messages import dataflash_bytes, ulog_bytes, ulog_samples

HEADER = "time,position,velocity,torque\n"
ROWS = [f"{k / 100},{k / 10},10.0,{float(k)}" for k in range(6000)]
GOOD = HEADER + "\n".join(ROWS[:100]) + "\n"


def text(*rows: str, header: str = HEADER) -> bytes:
    return (header + "\n".join(rows) + "\n").encode()


# file: content, what is said of it (check, part of what was found)
REFUSED = {
    "empty.csv": (b"", "format", "is empty"),
    "header_only.csv": (HEADER.encode(), "format", "no rows"),
    "utf16.csv": (GOOD.encode("utf-16") + b"\x00\xd8\n\0", "format", "is not text in UTF-16"),
    "ragged.csv": (text(*ROWS[:50], "0.5,1,2,3,4,5", *ROWS[51:80]), "fields", "fields"),
    "late_text.csv": (
        text(*ROWS[:1800], *(f"{k / 100},oops,10.0,1.0" for k in range(1800, 2000))),
        "number",
        "oops",
    ),
    "twice.csv": (
        text(*(f"{row},0" for row in ROWS[:50]), header=HEADER[:-1] + ",position\n"),
        "columns",
        "2 columns named 'position'",
    ),
    "no_column.csv": (text("0,1", "1,2", header="time,position\n"), "columns", "no column"),
    "cut.parquet": (b"PAR1" + bytes(400), "format", "not a complete Parquet file"),
    "cut.h5": (b"\x89HDF\r\n\x1a\n" + bytes(400), "format", "not a complete HDF5 file"),
    "noise.mcap": (b"\x89MCAP0\r\n" + bytes(100), "format", "no record"),
    "noise.mat": (b"MATLAB 5.0 MAT-file".ljust(128) + bytes(90), "format", "MATLAB"),
    "noise.bag": (b"#ROSBAG V2.0\n" + bytes(100), "format", "cannot be read"),
    "short.ulg": (ulog_bytes(ulog_samples())[:30], "format", "holds no data"),
    "short.bin": (dataflash_bytes()[:30], "format", "holds no messages with timestamps"),
}
NAMED = {  # what is used as far as it goes, and said
    "beyond.csv": (GOOD.encode().replace(b",10.0,5.0\n", b",1e400,5.0\n"), "finite"),
    "cut_line.csv": (GOOD.encode()[:-3], "cut_line"),
}


@pytest.fixture
def folder(logs):
    (logs / "good.csv").write_text(GOOD)
    for name, (content, *_) in (REFUSED | NAMED).items():
        (logs / name).write_bytes(content)
    (logs / "new\nline.csv").write_text(GOOD.replace("10.0", "10.1"))
    (logs / "$(touch owned) ; `id`.csv").write_text(GOOD.replace("10.0", "10.2"))
    return logs


def test_every_file_ends_as_episodes_or_in_quarantine_with_its_reason(task, home, folder):
    report = ingest.run(task, home, folder)
    entries = {entry["file"]: entry for entry in report.files}
    for name, (_, check, problem) in REFUSED.items():
        entry = entries.pop(name)
        assert (entry["outcome"], entry["episodes"]) == ("quarantined", 0), name
        assert any(check == r["check"] and problem in r["found"] for r in entry["reasons"]), (
            name,
            entry["reasons"],
        )
    for name, (_, check) in NAMED.items():
        entry = entries.pop(name)
        assert entry["outcome"] == "episodes", name
        assert entry["reasons"][0]["check"] == check, (name, entry["reasons"])
    # What is left is good: odd names are names.
    assert set(entries) == {"good.csv", "new\nline.csv", "$(touch owned) ; `id`.csv"}
    assert all(entry["outcome"] == "episodes" for entry in entries.values())
    assert not (folder / "owned").exists()
    assert not list(folder.parent.glob("**/owned"))
    names = {recording.name for recording in load_recordings(home, report.artifact.ref)}
    assert len(names) == len(report.files)


@pytest.mark.parametrize("cell", ["nan", "", "NA"])
def test_a_channel_without_a_single_value_is_judged_and_held_back(task, home, logs, write, cell):
    write("nan.csv", text(*(f"{k / 100},{cell},10.0,1.0" for k in range(100))))
    write("good.csv", GOOD)
    accepted = validate.run(task, home, ingest.run(task, home, logs).artifact.ref)
    assert (accepted.summary["accepted"], accepted.summary["quarantined"]) == (1, 1)
    assert accepted.summary["dropped"]["nonfinite"] == 100
