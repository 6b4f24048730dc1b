"""Watched folders: a tick looks at no file until something changes, and misses no change."""

import os
import time

import pytest

from kinemill.ingest import arrivals, folder_watch
from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs, watch_new_logs
from kinemill.ingest.folder_watch import begin_scan
from tests.conftest import learning_task
from tests.ingest.conftest import with_ingest

DELAY = 10.0  # s; a report comes after one half


@pytest.fixture
def task():
    channels = {
        "angle": {"role": "state", "unit": "m"},
        "torque": {"role": "action", "unit": "N*m"},
    }
    return learning_task("arm", 0.01, channels, ingest={"min_file_age": 0.0})


@pytest.fixture
def scans(monkeypatch):
    """Folders that were scanned."""
    scanned = []
    real = arrivals.scan

    def scan(task, folder, read):
        scanned.append(folder)
        return real(task, folder, read)

    monkeypatch.setattr(arrivals, "scan", scan)
    return scanned


def write(path, shift=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{k / 100},{(k % 17) * 0.01 + shift},{(k % 5) * 0.1}" for k in range(60)]
    path.write_text("\n".join(["time,angle,torque", *rows, ""]))
    past = time.time() - 60
    os.utime(path, (past, past))


def until(condition):
    end = time.monotonic() + DELAY
    while not condition():
        assert time.monotonic() < end, "no change was reported"
        time.sleep(0.02)


def settle(task, home, logs, scans):
    """Tick until a tick scans nothing: reports of earlier changes have come."""

    def is_quiet():
        scans.clear()
        watch_new_logs(task, home, logs)
        return not scans

    until(is_quiet)


@pytest.mark.parametrize("where", ["a.csv", "deep/er/a.csv"])
def test_a_tick_scans_after_a_change_alone_and_finds_it(task, home, tmp_path, scans, where):
    logs = tmp_path / "logs"
    write(logs / "first.csv")
    assert len(watch_new_logs(task, home, logs).ids) == 1
    ingest.run(task, home, logs)
    settle(task, home, logs, scans)
    assert watch_new_logs(task, home, logs) == (frozenset(), False, True)
    assert scans == []
    write(logs / where, shift=1.0)
    until(lambda: watch_new_logs(task, home, logs).ids)
    # A log that is not ingested yet is found at every tick.
    assert watch_new_logs(task, home, logs) == find_new_logs(task, home, logs)
    ingest.run(task, home, logs)
    until(lambda: not watch_new_logs(task, home, logs).ids)
    settle(task, home, logs, scans)
    (logs / where).rename(logs / "renamed.csv")
    (logs / "first.csv").unlink()
    write(logs / "third.csv", shift=2.0)
    until(lambda: watch_new_logs(task, home, logs).ids)
    assert watch_new_logs(task, home, logs) == find_new_logs(task, home, logs)


def test_after_a_change_only_the_changed_files_are_examined(task, home, tmp_path, scans):
    logs = tmp_path / "logs"
    write(logs / "deep" / "first.csv")
    ingest.run(task, home, logs)
    settle(task, home, logs, scans)
    for number, name in enumerate(["a.csv", "deep/b.csv", ".hidden.csv", "c.csv.part", "d.md"]):
        write(logs / name, shift=1.0 + number)
    until(lambda: len(watch_new_logs(task, home, logs).ids) == 2)
    assert scans == []
    assert len(find_new_logs(task, home, logs).ids) == 2
    scans.clear()
    (logs / "c.csv.part").rename(logs / "c.csv")
    until(lambda: len(watch_new_logs(task, home, logs).ids) == 3)
    (logs / "a.csv").unlink()
    assert len(watch_new_logs(task, home, logs).ids) == 2
    assert scans == []
    write(logs / "new" / "e.csv", shift=9.0)  # a new folder: what it holds was not reported
    until(lambda: len(watch_new_logs(task, home, logs).ids) == 3)
    assert scans != []


def test_too_many_changes_lead_to_a_scan(task, home, tmp_path, scans, monkeypatch):
    monkeypatch.setattr(folder_watch, "MAX_CHANGES", 3)
    logs = tmp_path / "logs"
    logs.mkdir()
    settle(task, home, logs, scans)
    for number in range(5):
        write(logs / f"{number}.csv", shift=number)
    until(lambda: len(watch_new_logs(task, home, logs).ids) == 5)
    assert scans != []


def test_a_log_that_is_incomplete_is_looked_at_until_it_is_old_enough(task, home, tmp_path, scans):
    task = with_ingest(task, min_file_age=100.0)
    write(tmp_path / "logs" / "a.csv")
    for _ in range(2):
        assert not watch_new_logs(task, home, tmp_path / "logs").ids
    assert len(scans) == 1
    assert watch_new_logs(task, home, tmp_path / "logs", now=time.time() + 100).ids
    assert len(scans) == 1


def test_other_rules_and_other_folders_are_scanned_apart(task, home, tmp_path, scans):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        settle(task, home, tmp_path / name, scans)
    write(tmp_path / "one" / "a.csv")
    narrow = with_ingest(task, include=["b*"])
    assert not watch_new_logs(narrow, home, tmp_path / "one").ids
    until(lambda: watch_new_logs(task, home, tmp_path / "one").ids)
    scans.clear()
    watch_new_logs(task, home, tmp_path / "two")
    assert scans == []


def test_a_watched_folder_is_scanned_again_after_a_time(task, home, tmp_path, scans, monkeypatch):
    (tmp_path / "logs").mkdir()
    settle(task, home, tmp_path / "logs", scans)
    monkeypatch.setattr(folder_watch, "TRUSTED", 0.0)
    watch_new_logs(task, home, tmp_path / "logs")
    assert len(scans) == 1


def test_a_folder_that_was_replaced_is_watched_anew(task, home, tmp_path, scans):
    logs = tmp_path / "logs"
    logs.mkdir()
    settle(task, home, logs, scans)
    logs.rename(tmp_path / "aside")
    assert watch_new_logs(task, home, tmp_path / "missing") == (frozenset(), False, False)
    write(logs / "a.csv")
    until(lambda: watch_new_logs(task, home, logs).ids)


@pytest.mark.parametrize("reason", ["network", "limit"])
def test_a_folder_that_cannot_be_watched_is_scanned_at_every_tick(
    task, home, tmp_path, scans, monkeypatch, caplog, reason
):
    if reason == "network":
        monkeypatch.setattr(folder_watch, "_file_system", lambda _: "nfs4")
    else:

        def schedule(*_, **__):
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr(folder_watch.Observer, "schedule", schedule)
    logs = tmp_path / "logs"
    logs.mkdir()
    assert begin_scan(logs) is None
    for _ in range(3):
        watch_new_logs(task, home, logs)
    assert len(scans) == 3
    assert ("cannot be watched: [Errno 28] inotify watch limit reached" in caplog.text) == (
        reason == "limit"
    )


def test_what_is_not_there_is_not_watched(tmp_path):
    assert begin_scan(tmp_path / "missing") is None


def test_a_new_file_in_the_folder_is_found_without_a_report(
    task, home, tmp_path, scans, monkeypatch
):
    monkeypatch.setattr(folder_watch.FolderWatch, "on_any_event", lambda *_: None)
    logs = tmp_path / "logs"
    logs.mkdir()
    settle(task, home, logs, scans)
    write(logs / "a.csv")
    assert len(watch_new_logs(task, home, logs).ids) == 1
