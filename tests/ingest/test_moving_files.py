"""Files that are written while they are read, are too young, may not be read or are known."""

import os
import subprocess
import sys
import time

from kinemill.ingest import log_digest
from kinemill.ingest import stage as ingest


def statuses(report) -> dict[str, str]:
    return {entry["file"]: entry["outcome"] for entry in report.files}


def test_a_file_that_changes_while_it_is_read_is_unstable(
    task, home, logs, write, swing, monkeypatch
):
    write("a.csv", swing)
    growing = write("b.csv", swing[:50])
    digest = log_digest.log_digest

    def grow_meanwhile(task, path):
        hash_ = digest(task, path)
        if path == growing:
            growing.write_bytes(growing.read_bytes() + b"0.5,1,1,1\n")
        return hash_

    monkeypatch.setattr(log_digest, "log_digest", grow_meanwhile)
    report = ingest.run(task, home, logs)
    assert statuses(report) == {"a.csv": "episodes", "b.csv": "unstable"}
    assert report.artifact.summary["recordings"] == 1
    monkeypatch.undo()
    assert statuses(ingest.run(task, home, logs)) == {"a.csv": "known", "b.csv": "episodes"}


def test_a_file_still_being_written_is_left_for_later(make_task, home, logs, write, swing):
    age = 0.4
    old, growing = write("old.csv", swing), write("growing.csv", swing[:50])
    os.utime(old, (1e9, 1e9))
    script = (
        "import sys, time\n"
        "with open(sys.argv[1], 'a', buffering=1) as log:\n"
        "    for k in range(30): log.write(f'{0.5 + k / 100},1,1,1\\n'); time.sleep(0.05)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(growing)])
    time.sleep(0.2)
    report = ingest.run(make_task(ingest__min_file_age=age), home, logs)
    writer.wait()
    assert statuses(report) == {"growing.csv": "unstable", "old.csv": "episodes"}
    last = ingest.run(make_task(ingest__min_file_age=age), home, logs)
    assert statuses(last) == {"growing.csv": "episodes", "old.csv": "known"}


def test_a_young_file_that_stays_as_it_is_is_read_after_the_wait(
    make_task, home, logs, write, swing
):
    write("a.csv", swing)
    begin = time.monotonic()
    report = ingest.run(make_task(ingest__min_file_age=0.3), home, logs)
    assert statuses(report) == {"a.csv": "episodes"}
    assert time.monotonic() - begin >= 0.2
