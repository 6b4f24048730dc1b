"""Files that are written while they are read, are too young, may not be read or are known."""

import math
import os
import subprocess
import sys
import time

import pytest

from kinemill.ingest import log_digest
from kinemill.ingest import stage as ingest
from kinemill.store import digests


def statuses(report) -> dict[str, str]:
    return {entry["file"]: entry["outcome"] for entry in report.files}


def test_a_file_that_changes_while_it_is_read_is_unstable(
    task, home, logs, write, swing, monkeypatch
):
    write("a.csv", swing)
    growing = write("b.csv", swing[:50])
    digest = ingest.digest_to_copy

    def grow_meanwhile(path, copy_path):
        hash_ = digest(path, copy_path)
        if path == growing:
            growing.write_bytes(growing.read_bytes() + b"0.5,1,1,1\n")
        return hash_

    monkeypatch.setattr(ingest, "digest_to_copy", grow_meanwhile)
    report = ingest.run(task, home, logs)
    assert statuses(report) == {"a.csv": "episodes", "b.csv": "unstable"}
    assert report.artifact.summary["recordings"] == 1
    monkeypatch.undo()
    assert statuses(ingest.run(task, home, logs)) == {"a.csv": "known", "b.csv": "episodes"}


def test_a_large_log_is_copied_while_it_is_hashed_and_nothing_is_left_of_one_that_is_known(
    task, home, logs, write, monkeypatch
):
    read = []
    monkeypatch.setattr(log_digest, "copy", lambda *to: read.append(to) or digests.copy(*to))
    rows = [(k / 100, math.sin(k / 100), math.cos(k / 100), 0.0) for k in range(50_000)]
    log = write("a.csv", rows)
    assert log.stat().st_size > ingest.LEAST_COPY
    time.sleep(3 * digests.CALM / 1e9)
    monkeypatch.setattr(digests, "_blocks", _yield_once(digests._blocks))
    report = ingest.run(task, home, logs)
    assert statuses(report) == {"a.csv": "episodes"}
    assert len(read) == 1  # and it found the copy: blocks are read once
    (copied,) = (home.store / "raw").rglob("*.csv")
    assert copied.read_bytes() == log.read_bytes()
    monkeypatch.undo()
    (logs / "again.csv").write_bytes(log.read_bytes())
    time.sleep(3 * digests.CALM / 1e9)
    assert statuses(ingest.run(task, home, logs))["again.csv"] == "known"
    assert not list((home.store / ".staging").iterdir())


def _yield_once(blocks):
    """Return what yields the blocks of one file, and of no second one."""
    calls = []

    def first(file):
        assert not calls, "read again"
        calls.append(file)
        return blocks(file)

    return first


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_does_not_stop_the_others(task, home, logs, write, swing):
    write("a.csv", swing)
    write("b.csv", swing[:50]).chmod(0)
    assert statuses(ingest.run(task, home, logs)) == {"a.csv": "episodes", "b.csv": "unstable"}
