"""Bytes of logs of messages changed at random, in a process with limits; see test_mutations.py."""

import gzip
import json
import subprocess
import sys

from kinemill.task import READERS
from tests.ingest.messages import (
    dataflash_bytes,
    run,
    ulog_bytes,
    ulog_samples,
    write_bag,
    write_mcap,
)
from tests.ingest.test_mutations import CHILD, LOGS

ANY = """
task: arm
dt: 0.01
channels:
  angle:
    role: state
    kind: angle
    unit: rad
    source: ["/joints.position[1]", "joint.position.value[1]", ATT.Roll, angle]
  drive:
    role: action
    unit: "1"
    source: [/command.data, command.value, RCOU.C1, drive]
    resample: {max_gap: 0.2}
ingest: {min_file_age: 0.0}
learn: {type: dynamics, model: {type: mlp}}
"""


def csv(path, separator: str, sign: str, stamp: str):
    """Sixty rows with a comment above and one among them."""
    rows = [
        separator.join((stamp.format(k * 10), f"{k / 7:.6f}".replace(".", sign), f"0{sign}5", "x"))
        for k in range(60)
    ]
    header = separator.join(("time", "angle", "drive", "note"))
    path.write_text("\n".join(["# of a robot", header, *rows[:30], "# half", *rows[30:]]) + "\n")
    return path


def jsonl(path):
    rows = ({"time": 0.01 * k, "angle": 0.1 * k, "drive": 0.5} for k in range(60))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_every_format_is_tried_here_or_there():
    here = {"compressed", "csv", "dataflash", "jsonl", "mcap", "rosbag", "text", "ulog"}
    assert {name.split(".")[0] for name in LOGS} | here == set(READERS)


def test_changed_bytes_are_read_or_refused(tmp_path):
    task = tmp_path / "arm.yaml"
    task.write_text(ANY)
    messages = run(seconds=0.5)
    logs = [
        write_mcap(tmp_path / "mcap.json", messages, chunk=1500),
        write_bag(tmp_path / "ros2", messages, "MCAP").rename(tmp_path / "mcap.ros2"),
        write_bag(tmp_path / "sql", messages, "SQLITE3").rename(tmp_path / "rosbag.x.db3"),
        write_bag(tmp_path / "rosbag.x.bag", messages),
        csv(tmp_path / "csv.dates", ",", ".", "2024-05-01T12:00:00.{:03d}Z"),
        csv(tmp_path / "csv.commas", ";", ",", "0,{:03d}"),
        jsonl(tmp_path / "jsonl.lines"),
        tmp_path / "compressed.gz",
        tmp_path / "ulog.ulg",
        tmp_path / "dataflash.bin",
    ]
    logs[-1].write_bytes(dataflash_bytes(0.5))
    logs[-3].write_bytes(gzip.compress((tmp_path / "jsonl.lines").read_bytes()))
    logs[-2].write_bytes(ulog_bytes(ulog_samples(seconds=0.5)))
    arguments = [str(task), "60", *map(str, logs)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout} {done.stderr[-2000:]}"
    assert len(done.stdout.splitlines()) == len(logs), done.stdout
