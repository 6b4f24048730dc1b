"""Edits of recordings: what each does, its undo, and that nothing else is touched."""

import math
import os
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from kinemill import catalog
from kinemill.errors import BadInput
from kinemill.ingest import edit_recording as edits
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import current_decisions
from kinemill.ingest.edits import EDITS, EditChange, current_edits
from kinemill.ingest.inspection import find_member
from kinemill.ingest.recordings import open_recording
from kinemill.ingest.rows import read_rows
from kinemill.maintenance.rebuild_catalog import refill
from kinemill.store.json_io import read_json

ROWS = 100  # on the grid of 0.01 s


@pytest.fixture
def two(task, home, logs, write, swing):
    """Two recordings, `a.csv` and `b.csv`, and the first ingest of them."""
    write("a.csv", swing)
    write("b.csv", [(t, x + 1.0, *rest) for t, x, *rest in swing])
    return ingest.run(task, home, logs)


@pytest.fixture
def edit(task, home):
    """Edit a recording by its name."""

    def go(name: str, kind: str, because: str = "", **values: object):
        change = EditChange(kind, **values)
        return edits.edit(task, home, [find_member(task, home, name)], change, because)

    return go


@pytest.fixture
def undo(task, home):
    def go(name: str, number: int | None = None):
        return edits.undo(task, home, [find_member(task, home, name)], number)

    return go


@pytest.fixture
def frames(task, home, logs):
    """Ingest, and return the frames of a recording's tracks by the name of the log."""

    def read(name: str) -> list[pl.DataFrame]:
        report = ingest.run(task, home, logs)
        found = [
            recording
            for recording in load_recordings(home, report.artifact.ref)
            if recording.name == name
        ]
        return [read_rows(one.folder / t.file) for one in found for t in one.summary.tracks]

    return read


def entries(home, task):
    head = catalog.read_head(home, task.name)
    return {one.name: one for one in catalog.RecordingSet(home, task.name, head.change)}


def test_an_excluded_span_leaves_two_tracks_and_no_row_of_it(two, edit, frames):
    edit("a.csv", "exclude", start_s=0.3, stop_s=0.5)
    first, second = frames("a.csv")
    assert first["time_s"].to_list() == pytest.approx([k / 100 for k in range(30)])
    assert second["time_s"].to_list() == pytest.approx([k / 100 for k in range(51, ROWS)])
    assert second["torque"].to_list() == pytest.approx([float(k) for k in range(51, ROWS)])


def test_excluded_rows_do_not_count_as_lost(two, edit, task, home, logs):
    edit("a.csv", "exclude", start_s=0.3, stop_s=0.5)
    ingest.run(task, home, logs)
    entry = entries(home, task)["a.csv"]
    assert (entry.tracks, entry.rows, entry.dropped_rows) == (2, 79, 0)
    assert entries(home, task)["b.csv"].rows == ROWS


def test_no_value_is_interpolated_into_an_excluded_span(task, home, logs, write, edit, frames):
    """Between the grid, a step next to the span would be the mean of a row inside and outside."""
    write("a.csv", [(k / 100 + 0.004, 0.0, 0.0, 1e3 if 40 <= k <= 50 else 0.0) for k in range(100)])
    ingest.run(task, home, logs)
    edit("a.csv", "exclude", start_s=0.4, stop_s=0.5)
    assert max(frame["torque"].abs().max() for frame in frames("a.csv")) == 0.0


def test_a_split_makes_two_tracks_of_all_rows(two, edit, frames):
    edit("a.csv", "split", start_s=0.4)
    assert [frame.height for frame in frames("a.csv")] == [40, 60]
    edit("a.csv", "split", start_s=0.7)
    assert [frame.height for frame in frames("a.csv")] == [40, 30, 30]


def test_undo_finds_the_earlier_artifact_and_no_other_recording_is_read(
    two, edit, undo, task, home, logs, monkeypatch
):
    before = entries(home, task)
    edit("a.csv", "exclude", start_s=0.3, stop_s=0.5)
    edited = ingest.run(task, home, logs).artifact
    after = entries(home, task)
    assert after["b.csv"] == before["b.csv"]
    assert after["a.csv"].ref != before["a.csv"].ref
    monkeypatch.setattr("kinemill.ingest.recording.read_into", None)  # nothing is read below
    assert ingest.run(task, home, logs).artifact.ref == edited.ref
    assert ingest.run(task, home, logs).artifact.cached
    undo("a.csv")
    assert ingest.run(task, home, logs).artifact.ref == two.artifact.ref
    assert entries(home, task) == before


def test_raw_bytes_are_untouched(two, edit, home, logs, task):
    raw = {path: path.read_bytes() for path in (home.store / "raw").rglob("*") if path.is_file()}
    edit("a.csv", "split", start_s=0.4)
    ingest.run(task, home, logs)
    assert {path: path.read_bytes() for path in raw} == raw


def test_undo_names_one_of_several_edits(two, edit, undo, frames, home, task):
    first = edit("a.csv", "split", start_s=0.4)
    edit("a.csv", "split", start_s=0.7)
    undo("a.csv", first.number)
    assert [frame.height for frame in frames("a.csv")] == [70, 30]
    with pytest.raises(BadInput, match=r"a\.csv: does not have the edit 1; expected one of: 2"):
        undo("a.csv", first.number)
    undo("a.csv")
    with pytest.raises(BadInput, match=r"does not have an edit; expected one of: none"):
        undo("a.csv")
    rows = edits.edit_rows(task, home)
    assert [(row.kind, row.undone is None) for row in rows] == [("split", False), ("split", False)]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("exclude", {"start_s": 1.2, "stop_s": 2.0}, r"outside.*between 0 and 0\.99 s"),
        ("exclude", {"start_s": 0.5, "stop_s": 0.4}, "ends too early"),
        ("exclude", {"start_s": 0.0, "stop_s": 9.0}, "nothing is left.*quarantine reject"),
        ("exclude", {"start_s": math.nan, "stop_s": 9.0}, "outside|ends too early"),
        ("split", {"start_s": 0.0}, "outside of the recording"),
        ("split", {"start_s": 0.99}, "outside of the recording"),
        ("split", {"start_s": 0.5, "part": "left"}, None),
    ],
)
def test_a_bad_edit_is_refused_and_changes_nothing(
    two, edit, task, home, logs, kind, values, message
):
    if message is None:
        edit("a.csv", kind, **values)  # a log of one part has no names to confuse
        return
    with pytest.raises(BadInput, match=message) as error:
        edit("a.csv", kind, **values)
    assert "a.csv" in str(error.value)
    assert not EDITS.read(home, task.name)
    assert ingest.run(task, home, logs).artifact.ref == two.artifact.ref


# Merges


@pytest.fixture
def pieces(task, home, logs, write, swing):
    """Two logs of one run: rows 0 to 59, and 60 to 99."""
    write("a.csv", swing[:60])
    write("b.csv", swing[60:])
    return ingest.run(task, home, logs)


@pytest.fixture
def merge(task, home, edit):
    def go(name: str, other: str, max_gap_s: float = 0.02):
        found = find_member(task, home, other)
        about = {"merged": found.hash, "merged_name": found.name, "max_gap_s": max_gap_s}
        return edit(name, "merge", **about)

    return go


def test_a_merged_recording_is_one_track_and_the_other_is_none(
    pieces, merge, undo, frames, task, home, logs
):
    before = entries(home, task)
    merge("a.csv", "b.csv")
    (frame,) = frames("a.csv")
    assert frame.height == ROWS
    assert frame["torque"].to_list() == [float(k) for k in range(ROWS)]
    assert set(entries(home, task)) == {"a.csv"}
    (made,) = current_decisions(home, task.name).values()
    assert (made.name, made.status) == ("b.csv", "merged")
    undo("a.csv")
    assert ingest.run(task, home, logs).artifact.ref == pieces.artifact.ref
    assert entries(home, task) == before


def test_an_edit_of_the_other_recording_is_part_of_the_merged_one(pieces, merge, edit, frames):
    merge("a.csv", "b.csv")
    frames("a.csv")
    edit("b.csv", "exclude", start_s=0.1, stop_s=0.2)  # of its own clock, which starts at 0.6 s
    first, second = frames("a.csv")
    assert first["time_s"].to_list() == pytest.approx([k / 100 for k in range(70)])
    assert first["torque"][65] == pytest.approx(65.0)
    assert second.height == 19


def test_a_gap_needs_permission_and_leaves_two_tracks(
    task, home, logs, write, swing, merge, frames
):
    write("a.csv", swing[:50])
    write("b.csv", swing[80:])
    ingest.run(task, home, logs)
    with pytest.raises(BadInput, match=r"a\.csv: .*0\.31 s without samples.*--max-gap 0\.31"):
        merge("a.csv", "b.csv")
    merge("a.csv", "b.csv", max_gap_s=0.5)
    assert [frame.height for frame in frames("a.csv")] == [50, 20]


def test_merges_that_do_not_fit_are_refused(pieces, task, home, logs, write, swing, merge, undo):
    write("slow.csv", [(3 + k / 10, 0.0, 0.0, 0.0) for k in range(20)])
    write("c.csv", [(t + 1.0, *rest) for t, *rest in swing])
    ingest.run(task, home, logs)
    with pytest.raises(BadInput, match=r"b\.csv: .*starts 0\.99 s before this one ends"):
        merge("b.csv", "a.csv")
    with pytest.raises(BadInput, match=r"usually 0\.01 s apart, and 0\.1 s in the other"):
        merge("c.csv", "slow.csv", 9.0)
    with pytest.raises(BadInput, match="would continue with itself"):
        merge("a.csv", "a.csv")
    merge("a.csv", "b.csv")
    with pytest.raises(BadInput, match=r"b\.csv: is merged by .* on "):
        merge("b.csv", "c.csv")
    with pytest.raises(BadInput, match=r"a\.csv: continues with another recording already"):
        merge("c.csv", "a.csv", 9.0)
    merge("a.csv", "c.csv", 9.0)
    assert len(current_edits(home, task.name)) == 1


def test_a_recording_that_another_continues_with_comes_back_if_that_one_is_rejected(
    pieces, merge, task, home, logs
):
    from kinemill.ingest.decisions import decide

    merge("a.csv", "b.csv")
    ingest.run(task, home, logs)
    member = find_member(task, home, "a.csv")
    decide(home, task.name, member.hash, member.name, "reject", "")
    ingest.run(task, home, logs)
    assert set(entries(home, task)) == {"b.csv"}


def test_logs_in_different_units_are_merged_in_that_of_the_task(
    task, home, logs, write, merge, frames
):
    degrees = ["time,q_deg,velocity,torque"]
    degrees += [f"{k / 100},{math.degrees(k / 100)},1,0" for k in range(50, 100)]
    write("a.csv", [(k / 100, k / 100, 1.0, 0.0) for k in range(50)])
    write("b.csv", "\n".join([*degrees, ""]))
    ingest.run(task, home, logs)
    merge("a.csv", "b.csv")
    (frame,) = frames("a.csv")
    assert np.allclose(frame["angle"].to_numpy(), np.arange(ROWS) / 100, atol=1e-9)


# Grown logs, kills, rebuilt catalogs


@pytest.mark.usefixtures("remembered")
def test_a_log_that_grows_keeps_the_edits_of_what_it_was(
    two, edit, undo, task, home, logs, frames, swing
):
    edit("a.csv", "split", start_s=0.5)
    ingest.run(task, home, logs)
    path = logs / "a.csv"
    more = [(t + 1.0, x, v, u) for t, x, v, u in swing[:50]]
    lines = "".join(",".join(map(repr, row)) + "\n" for row in more)
    os.utime(path, (1e9, 1e9))
    ingest.run(task, home, logs)
    path.write_text(path.read_text() + lines)
    first, second = frames("a.csv")
    assert [first.height, second.height] == [50, 100]
    (entry,) = [one for one in entries(home, task).values() if one.name == "a.csv"]
    texts = [edit.because for edit in current_edits(home, task.name)[entry.hash]]
    assert all("which this recording continues" in text for text in texts)
    edits.undo(task, home, [find_member(task, home, entry.hash)])
    assert [frame.height for frame in frames("a.csv")] == [150]
    assert [frame.height for frame in frames("a.csv")] == [150]  # and is not carried over again


@pytest.mark.ci
@pytest.mark.parametrize(("point", "recorded"), [("act.numbered", 0), ("act.recorded", 1)])
def test_a_kill_around_the_record_leaves_all_or_nothing(two, task, home, logs, point, recorded):
    program = (
        "from kinemill.api import edit_recording\n"
        f"edit_recording({str(task.path)!r}, 'a.csv', split=0.4)\n"
    )
    environment = {**os.environ, "KINEMILL_FAULT": f"{point}:1", "KINEMILL_HOME": str(home.root)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(EDITS.read(home, task.name)) == recorded
    ingest.run(task, home, logs)
    assert entries(home, task)["a.csv"].tracks == 1 + recorded


def test_a_rebuilt_catalog_holds_the_edited_recording(two, edit, task, home, logs, monkeypatch):
    edit("a.csv", "split", start_s=0.4)
    edited = ingest.run(task, home, logs).artifact.ref
    before = catalog.read_head(home, task.name)
    catalog.discard(home)
    assert refill(task, home).unread == 0
    after = catalog.read_head(home, task.name)
    assert (after.set, after.by) == (before.set, before.by)
    monkeypatch.setattr("kinemill.ingest.recording.read_into", None)
    assert ingest.run(task, home, logs).artifact.ref == edited


def test_the_key_of_a_recording_without_edits_has_none(two, home, task):
    entry = entries(home, task)["b.csv"]
    manifest = read_json(open_recording(home, entry).folder / "MANIFEST.json")
    assert "edits" not in manifest["inputs"]
