"""The view follows the recordings of a task, and can be lost at any time."""

import shutil

import polars as pl
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.membership import members
from kinemill.search import rows, view
from kinemill.search.run import Page, search
from kinemill.search.segments import POINTER
from kinemill.search.view import open_view
from kinemill.store import index_path
from kinemill.store.fault_injection import VARIABLE, passings
from kinemill.validate.forget import forget
from tests.search.conftest import arm


def status(task, home):
    """Status of each recording, by name."""
    return dict(search(task, home, "", Page(["name", "status"])).frame.iter_rows())


def files(task, home):
    return sorted(index_path(home, task.name, view.FOLDER).glob("*.arrow"))


def content(task, home):
    """All columns of the view, sorted by hash, without the time of the membership."""
    every = open_view(task, home)
    columns = [*rows.schema(task), *(f"meta.{key}" for key in every.metadata_keys())]
    return every.scan(columns).collect().sort("recording").select(sorted(columns))


def test_a_view_is_written_once_and_only_new_rows_after_that(task, home, logs, update):
    for number in range(8):
        folder = logs(f"{number}.csv", number)
    update(task, folder)
    files_before = files(task, home)
    assert len(open_view(task, home)) == 8
    assert files(task, home) == files_before
    every = update(task, logs("late.csv", 99))
    assert [(segment.rows, segment.deleted_rows) for segment in every.pointer.segments] == [
        (8, 0),
        (1, 0),
    ]
    assert len(every) == 9


def test_a_lost_or_damaged_view_is_built_again_with_the_same_rows(task, home, logs, update):
    logs("a.csv", 1, robot="r7")
    update(task, logs("b.csv", 2, 9.0))
    folder, expected = index_path(home, task.name, view.FOLDER), content(task, home)
    shutil.rmtree(folder)
    assert content(task, home).equals(expected)
    (folder / POINTER).write_text('{"format": 1')
    assert content(task, home).equals(expected)
    for file in files(task, home):
        file.unlink()
    assert content(task, home).equals(expected)


@pytest.mark.parametrize("step", ["search.segment", "search.merged"])
def test_a_search_that_fails_before_its_pointer_changes_nothing(
    task, home, logs, update, step, monkeypatch
):
    update(task, logs("a.csv", 1))
    ingest.run(task, home, logs("b.csv", 2))
    monkeypatch.setenv(VARIABLE, "count")
    count = passings().get(step, 0)
    monkeypatch.setenv(VARIABLE, f"error:{step}:{count + 1}")
    with pytest.raises(OSError, match="No space left"):
        open_view(task, home)
    monkeypatch.delenv(VARIABLE)
    assert status(task, home) == {"a.csv": "accepted", "b.csv": "not validated"}


def test_files_that_no_pointer_lists_are_removed_after_a_while(
    task, home, logs, update, monkeypatch
):
    monkeypatch.setattr("kinemill.search.segments._GRACE", -1.0)
    for number in range(6):
        every = update(task, logs(f"{number}.csv", number))
    listed = [
        name
        for segment in every.pointer.segments
        for name in (segment.file, segment.deleted)
        if name
    ]
    assert [path.name for path in files(task, home)] == sorted(listed)


def test_a_changed_recording_replaces_its_row(task, home, logs, update):
    logs("a.csv", 1)
    update(task, logs("b.csv", 2))
    assert open_view(task, home).metadata_keys() == []
    update(task, logs("a.csv", 1, robot="r7"))  # the same log, with a side-car since now
    values = search(task, home, "robot = 'r7'", Page(["name"])).frame["name"].to_list()
    assert (values, len(open_view(task, home))) == (["a.csv"], 2)


def test_an_update_lists_no_memberships(task, home, logs, update, monkeypatch):
    logs("a.csv", 1)
    update(task, logs("b.csv", 2))

    def folder(*_):
        pytest.fail("a folder with a file for each recording is listed")

    monkeypatch.setattr("kinemill.search.changes._folder", folder)
    logs("a.csv", 1, robot="r7")
    update(task, logs("c.csv", 3))
    assert status(task, home) == dict.fromkeys(["a.csv", "b.csv", "c.csv"], "accepted")
    assert search(task, home, "robot = 'r7'").total == 1


def test_a_forgotten_recording_is_gone_and_the_others_keep_their_status(task, home, logs, update):
    logs("a.csv", 1)
    update(task, logs("b.csv", 2))
    (member,) = [one for one in members(home, task.name).values() if one.name == "a.csv"]
    forget(task, home, member, "wrong robot")
    assert status(task, home) == {"b.csv": "accepted"}


def test_other_rules_build_another_view(task, home, logs, update):
    update(task, logs("a.csv", 1))
    assert status(task, home) == {"a.csv": "accepted"}
    coarse = arm(dt=0.02)
    assert status(coarse, home) == {"a.csv": "not validated"}
    update(coarse, logs("a.csv", 1))
    values = (
        search(coarse, home, "status <> 'not validated'", Page(["seconds"]))
        .frame["seconds"]
        .to_list()
    )
    assert values == pytest.approx([0.58])  # 30 rows, 0.02 s apart


def test_a_pattern_of_names_is_metadata_without_reading_again(task, home, logs, update):
    update(task, logs("r7/a.csv", 1))
    named = arm(ingest={"min_file_age": 0.0, "meta": {"name": "(?P<robot>[^/]+)/.*"}})
    assert search(named, home, "robot = 'r7' and status = 'accepted'").total == 1


def test_a_task_without_recordings_has_an_empty_view(task, home):
    assert search(task, home, "max(torque) > 1 or status = 'accepted'").total == 0
    assert search(task, home, "").frame.height == 0


def test_rare_keys_of_the_metadata_share_a_column(task, home, logs, update, monkeypatch):
    monkeypatch.setattr(rows, "MOST_KEYS", 1)
    logs("a.csv", 1, robot="r7", shift="late")
    update(task, logs("b.csv", 2, robot="r8"))
    every = open_view(task, home)
    (stored,) = every.segments.scan(every.pointer.segments)
    names = stored.collect_schema().names()
    assert "meta.robot" in names
    assert "meta.shift" not in names
    assert every.metadata_keys() == ["robot", "shift"]
    assert search(task, home, "shift = 'late'", Page(["name"])).frame["name"].to_list() == ["a.csv"]
    assert search(task, home, "shift is null").total == 1
    update(task, logs("c.csv", 3))
    assert search(task, home, "shift = 'late' and robot = 'r7'").total == 1


@pytest.mark.ci
def test_many_recordings_in_many_steps_have_the_rows_of_one_step(task, home, logs, update):
    for number in range(16):
        update(task, logs(f"{number:02d}.csv", number, 1.0 + number / 10, serial=number))
    grown = content(task, home)
    segments = open_view(task, home).pointer.segments
    assert grown.height == 16
    assert len(segments) <= 4  # log4(16) = 2
    shutil.rmtree(index_path(home, task.name, view.FOLDER))
    assert content(task, home).equals(grown)
    assert grown["meta.serial"].cast(pl.Int64).sort().to_list() == list(range(16))
