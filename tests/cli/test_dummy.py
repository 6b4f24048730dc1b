"""`kinemill run TASK --dummy`: made-up logs, in a home of their own."""

import os

import pytest

from kinemill.cli.dummy import prepare
from kinemill.spec import load_task, parse_overrides

TASK = """\
task: arm
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad, source: {name: q_deg, unit: deg}}
  torque: {role: action, unit: N*m, limits: [-6, 6]}
ingest: {format: parquet, exclude: ["dummy*"]}
dataset: {by: session, test: ["*friday*"]}
learn: {type: dynamics, model: {type: mlp}, steps: 40}
"""


@pytest.fixture
def arm(tmp_path, home, monkeypatch):
    (tmp_path / "arm.yaml").write_text(TASK)
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path))


def test_dummies_are_kept_apart_and_read_whatever_the_task_reads(arm, home):
    folder, spelled = prepare("arm")
    assert os.environ["KINEMILL_HOME"] == str(home.root / "dummy")
    assert folder == home.root / "dummy" / "logs" / "arm"
    task = load_task("arm", parse_overrides(spelled))
    assert (task.ingest.format, task.dataset.by, task.learn.steps) == ("csv", "recording", 40)
    assert all(task.ingest.wants(path.name) for path in folder.iterdir())
    header = (folder / "dummy-0000.csv").read_text().splitlines()[0]
    assert sorted(header.split(",")) == ["angle", "time", "torque"]
