"""A lost, damaged or discarded catalog: the store fills a new one."""

import pytest

from kinemill import catalog
from kinemill.errors import CorruptArtifact
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import decide
from kinemill.ingest.snapshot import Snapshot
from kinemill.maintenance.rebuild_catalog import rebuild_catalog
from kinemill.task import load_task
from kinemill.task.loader import remember_task
from kinemill.validate import stage as validate

TASK = """
task: drive
dt: 0.01
channels:
  angle: {role: state, unit: m}
  torque: {role: action, unit: N*m}
ingest: {min_file_age: 0.0}
validate: {max_quarantined_share: 0.9}
learn: {type: dynamics, model: {type: mlp}}
"""


def write(home, name, shift):
    path = home.logs("drive") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{k / 100},{(k % 17) * 0.01 + shift},{(k % 5) * 0.1}" for k in range(60)]
    path.write_text("\n".join(["time,angle,torque", *rows, ""]))


@pytest.fixture
def task(home, tmp_path):
    """A task with three recordings: two are sound, one broken; a fourth is rejected."""
    path = tmp_path / "drive.yaml"
    path.write_text(TASK)
    task = load_task(path)
    remember_task(home, task)
    for number in range(3):
        write(home, f"{number}.csv", 0.5 * number)
    (home.logs("drive") / "broken.csv").write_text("time,angle\n0,1\n")
    ingest.run(task, home)
    member = next(entry for entry in _entries(home) if entry.name == "2.csv")
    decide(home, "drive", member.hash, member.name, "reject", "bent")
    return task


def _entries(home):
    head = catalog.read_head(home, "drive")
    return [*catalog.RecordingSet(home, "drive", head.change)]


def test_a_rebuilt_catalog_is_the_same_and_the_next_ingest_reads_nothing(home, task, monkeypatch):
    recordings = ingest.run(task, home).artifact.ref
    episodes = validate.run(task, home, recordings).ref
    head_before = catalog.read_head(home, "drive")
    result = rebuild_catalog(home)
    assert "catalog.db.before-" in result["backup"]
    after = catalog.read_head(home, "drive")
    for name in ("set", "by", "totals"):
        assert getattr(after, name) == getattr(head_before, name)
    assert after.totals.recordings == 3
    monkeypatch.setattr("kinemill.ingest.recording.read_into", None)
    assert ingest.run(task, home).artifact.ref == recordings
    assert validate.run(task, home, recordings).ref == episodes


def test_a_lost_catalog_is_filled_by_the_next_ingest(home, task):
    recordings = ingest.run(task, home).artifact.ref
    home.catalog_db.unlink()
    with pytest.raises(CorruptArtifact, match="does not hold any more; ingest again"):
        list(Snapshot(home, recordings))
    assert ingest.run(task, home).artifact.ref == recordings
    assert len([*Snapshot(home, recordings)]) == 3


def test_a_task_that_cannot_be_loaded_is_filled_by_its_next_ingest(home, task):
    path = task.path.with_name("elsewhere")
    recordings = ingest.run(task, home).artifact.ref
    task.path.rename(path)
    (line,) = rebuild_catalog(home)["tasks"].values()
    assert line["recordings"] == 0
    assert line["next"].startswith("checks every recording: ")
    assert ingest.run(task, home).artifact.ref == recordings


def test_a_recording_whose_artifact_is_gone_is_read_again(home, task):
    recordings = ingest.run(task, home).artifact.ref
    lost = next(entry for entry in _entries(home) if entry.name == "1.csv")
    (home.root / lost.ref.path).rename(home.root / "gone")
    (line,) = rebuild_catalog(home)["tasks"].values()
    assert line == {"recordings": 2, "next": "reads 1, checks every recording"}
    assert ingest.run(task, home).artifact.ref == recordings
    assert (home.root / lost.ref.path).is_dir()
