"""How files arrive: late, moved, touched, exchanged, half; each content is taken exactly once."""

import os
import shutil
import time

import pytest
from sqlalchemy import delete

from kinemill.catalog import transaction
from kinemill.catalog.tables import files
from kinemill.ingest import load_recordings, log_digest, scan_cache
from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs
from kinemill.ingest.files import scan
from kinemill.ingest.scan_cache import ScanCache

LONG_AGO = 1e9  # s: 2001, before any other file


@pytest.fixture
def read(monkeypatch):
    """Names of the files whose bytes ingest reads to know their content, in order."""
    # What has just changed is looked at again for a second; here, for a hundredth of one.
    monkeypatch.setattr(scan_cache, "_FRESH", 0.01)
    names, digest = [], log_digest.log_digest

    def record(task, path):
        names.append(path.name)
        return digest(task, path)

    monkeypatch.setattr(log_digest, "log_digest", record)
    return names


@pytest.fixture
def take(task, home, logs, read):
    """Ingest the folder; return outcomes by file, the recordings' names, and what was read."""

    def ingested():
        time.sleep(0.02)  # so that what the test has just written is no longer fresh
        read.clear()
        report = ingest.run(task, home, logs)
        names = sorted(recording.name for recording in load_recordings(home, report.artifact.ref))
        return {file["file"]: file["outcome"] for file in report.files}, names, sorted(read)

    return ingested


def test_a_late_file_with_an_old_time_is_found(take, write, swing):
    write("a.csv", swing)
    take()
    late = write("from/an/old/robot.csv", swing[:50])
    os.utime(late, (LONG_AGO, LONG_AGO))
    assert take() == (
        {"a.csv": "known", "from/an/old/robot.csv": "episodes"},
        ["a.csv", "from/an/old/robot.csv"],
        ["robot.csv"],
    )


def test_other_bytes_of_the_same_size_and_time_are_found(take, write, swing):
    log = write("a.csv", swing)
    os.utime(log, (LONG_AGO, LONG_AGO))
    take()
    content = log.read_bytes()
    log.write_bytes(content.replace(b"0.01,0.1,", b"0.01,0.2,"))
    os.utime(log, (LONG_AGO, LONG_AGO))
    assert log.stat().st_size == len(content)
    statuses, names, read = take()
    assert (statuses, read) == ({"a.csv": "episodes"}, ["a.csv"])
    assert names == ["a.csv", "a.csv"]  # what was taken before stays


CHANGES = {
    "touch": os.utime,
    "rename": lambda log: log.rename(log.with_name("z.csv")),
    "copy": lambda log: shutil.copy(log, log.with_name("z.csv")),
    "write again": lambda log: log.write_bytes(log.read_bytes()),
    "remove": lambda log: log.unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_known_bytes_add_nothing_however_they_come(task, home, logs, take, write, swing, change):
    write("keep.csv", swing[:50])
    log = write("a.csv", swing)
    take()
    ref = ingest.run(task, home, logs).artifact.ref
    CHANGES[change](log)
    assert find_new_logs(task, home, logs) == (frozenset(), False, True)
    statuses, names, _ = take()
    assert set(statuses.values()) == {"known"}
    assert names == ["a.csv", "keep.csv"]
    assert ingest.run(task, home, logs).artifact.ref == ref


def test_a_copy_under_way_is_left_alone_and_taken_once_when_it_has_its_name(
    task, home, logs, take, write, swing
):
    whole = write("a.csv", swing).read_bytes()
    take()
    for name in ("b.csv.part", "b.csv.tmp", ".b.csv.Xy12", "~b.csv", "b.csv.crdownload"):
        write(name, whole[: len(whole) // 2])
    assert take() == ({"a.csv": "known"}, ["a.csv"], [])
    assert not find_new_logs(task, home, logs).ids
    (logs / "b.csv.part").write_bytes(whole + b"1.0,10.0,10.0,100.0\n")
    (logs / "b.csv.part").rename(logs / "b.csv")
    assert take() == ({"a.csv": "known", "b.csv": "episodes"}, ["a.csv", "b.csv"], ["b.csv"])


def test_lost_entries_of_the_scan_cache_cost_one_reading(home, take, write, swing):
    write("a.csv", swing)
    write("sub/b.csv", swing[:50])
    assert take()[2] == ["a.csv", "b.csv"]
    assert take()[2] == []
    with transaction(home, write=True) as connection:
        connection.execute(delete(files))
    assert take()[0] == {"a.csv": "known", "sub/b.csv": "known"}
    assert take()[2] == []


def test_changed_and_deleted_files_lose_their_entries(task, home, logs, take, write, swing):
    for name in ("a.csv", "b.csv", "gone/c.csv", "gone/deep/d.csv", "z/e.csv"):
        write(name, swing[len(name) :])
    take()
    write("new.csv", swing[:50])
    write("a.csv", swing[9:])
    (logs / "b.csv").unlink()
    shutil.rmtree(logs / "gone")
    cache = ScanCache(task, home, logs)
    result = scan(task, logs, cache)
    assert result.stale == {"a.csv", "b.csv", "gone/c.csv", "gone/deep/d.csv"}
    assert [log.name for log in result.logs] == ["a.csv", "new.csv"]
    assert [one.name for one, _ in result.unchanged.items()] == ["z/e.csv"]
    assert take()[2] == ["a.csv", "new.csv"]
    assert [name for name, _ in cache.entries()] == ["a.csv", "new.csv", "z/e.csv"]


def test_a_scan_visits_folders_in_the_order_of_the_cache(task, home, logs, take, write, swing):
    names = ["a-b/x.csv", "a/x.csv", "a.b/x.csv", "a/b/x.csv", "a0/x.csv", "ä/x.csv", "a/b-c/x.csv"]
    for number, name in enumerate(names):
        write(name, swing[number:])
    assert len(take()[2]) == len(names)
    result = scan(task, logs, ScanCache(task, home, logs))
    assert (len(result.unchanged), result.logs, result.stale) == (len(names), [], set())
