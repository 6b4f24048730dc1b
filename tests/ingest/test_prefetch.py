"""Logs that several processes read before one ingest takes them in."""

import pytest

from kinemill.ingest import prefetch
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import decide
from kinemill.ingest.recordings import STAGE
from kinemill.store import MANIFEST, file_digest
from kinemill.task import load_task
from tests.ingest.test_kills import TASK


def write_log(file, shift):
    lines = [f"{k / 100},{(k % 17) * 0.01 + shift},{(k % 5) * 0.1}" for k in range(60)]
    file.write_text("\n".join(["time,angle,torque", *lines, ""]))


@pytest.fixture
def task(tmp_path):
    file = tmp_path / "drive.yaml"
    file.write_text(TASK)
    return load_task(str(file))


@pytest.fixture
def folder(tmp_path):
    logs = tmp_path / "in"
    logs.mkdir()
    for number in range(5):
        write_log(logs / f"{number}.csv", float(number))
    return logs


def read(home, task):
    """Return the outcomes that are published, and when each was written."""
    folders = (home.store / STAGE / task.name).iterdir()
    return {one.name: (one / MANIFEST).stat().st_mtime_ns for one in folders}


def names(task, home, folder):
    return [log.name for log in prefetch.new_logs(task, home, folder)]


def test_batches_are_all_there_is_and_the_ingest_finds_them_read(task, home, folder):
    new = names(task, home, folder)
    assert [prefetch.read_ahead(task, home, folder, part) for part in (new[:3], new[3:])] == [3, 2]
    earlier = read(home, task)
    assert len(earlier) == 5
    report = ingest.run(task, home, folder)
    assert report.artifact.summary["recordings"] == 5
    assert read(home, task) == earlier


def test_a_batch_that_is_repeated_reads_nothing_again(task, home, folder):
    """Ray repeats the batch of a lost worker, which may have published a part of it."""
    new = names(task, home, folder)
    prefetch.read_ahead(task, home, folder, new[:2])
    earlier = read(home, task)
    assert prefetch.read_ahead(task, home, folder, new) == 5
    assert read(home, task).items() > earlier.items()
    assert not list(home.store.glob("members/*/*"))


def test_one_batch_alone_leaves_the_others_to_the_ingest(task, home, folder):
    prefetch.read_ahead(task, home, folder, [*names(task, home, folder)[::2], "gone.csv"])
    earlier = read(home, task)
    report = ingest.run(task, home, folder)
    assert report.artifact.summary["recordings"] == 5
    assert read(home, task).items() > earlier.items()


def test_what_is_read_ahead_and_then_taken_away_is_no_recording(task, home, folder):
    prefetch.read_ahead(task, home, folder, names(task, home, folder))
    (folder / "0.csv").unlink()
    assert ingest.run(task, home, folder).artifact.summary["recordings"] == 4


def test_what_a_person_rejected_is_not_read(task, home, folder):
    rejected = folder / "0.csv"
    decide(home, task.name, file_digest(rejected), rejected.name, "reject", "noise")
    assert prefetch.read_ahead(task, home, folder, names(task, home, folder)) == 4
    assert len(read(home, task)) == 4
