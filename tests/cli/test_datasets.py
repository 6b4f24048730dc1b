"""`kinemill data datasets` and `kinemill model lineage`: documents and tables."""

import json

import pytest
from click.testing import Result
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill.validate import stage as validate
from tests.cli.test_commands import tasks  # noqa: F401  (a fixture)

TASK = """\
task: arm
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad}
  torque: {role: action, unit: N*m}
ingest: {min_file_age: 0.0, meta: {name: "(?P<session>[^/]+)/.*"}}
dataset: {group_by: session, validation: [b], test: [c]}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def versions(tasks, home, tmp_path):  # noqa: F811
    """Two dataset versions: of sessions a, b, c, and of one log more in session a."""
    (tasks / "arm.yaml").write_text(TASK)
    task, logs = load_task("arm"), tmp_path / "logs"
    for number, name in enumerate(["a/1.csv", "b/1.csv", "c/1.csv", "a/2.csv"]):
        (logs / name).parent.mkdir(parents=True, exist_ok=True)
        wave = [(0.7 * ((k * (number + 3)) % 11) / 11, (k * 7) % 5) for k in range(100)]
        rows = "".join(f"{k / 100},{angle},{torque}\n" for k, (angle, torque) in enumerate(wave))
        (logs / name).write_text(f"time,angle,torque\n{rows}")
        if number >= 2:
            accepted = validate.run(task, home, ingest.run(task, home, logs).artifact.ref)
            dataset_stage.run(task, home, accepted.ref)


def kinemill(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_versions_are_listed_and_shown(versions):
    listed = json.loads(
        kinemill("data", "datasets", "list", "arm", "--json", "--limit", "1").stdout
    )
    assert (listed["total"], [line["version"] for line in listed["datasets"]]) == (2, [2])
    displayed = json.loads(kinemill("data", "datasets", "show", "arm", "2", "--json").stdout)
    assert {row["name"]: row["group"] for row in displayed["list"]["episodes"]}["a/2.csv"] == "a"
    assert displayed["digest"] == listed["datasets"][0]["digest"]


def test_people_get_tables(versions):
    lines = kinemill("data", "datasets", "list", "arm").stdout.splitlines()
    assert lines[0].strip() == "datasets of arm, 2 of 2"
    assert [line.split()[0] for line in lines[4:6]] == ["2", "1"]
    assert lines[4].split()[-3:] == ["2", "1", "1"]
    assert "1 state, 1 action, dt 0.01 s" in kinemill("data", "datasets", "show", "arm").stdout


def test_a_recording_tells_where_it_went(versions):
    message = json.loads(
        kinemill("model", "lineage", "arm", "--recording", "a/1.csv", "--json").stdout
    )
    (recording,) = message["recordings"]
    assert [use["version"] for use in recording["datasets"]] == [2, 1]
    assert [use["models"] for use in recording["datasets"]] == [[], []]
    by_hash = kinemill("model", "lineage", "arm", "--recording", recording["hash"][:12])
    assert "a/1.csv" in by_hash.stdout


def test_command_for_what_is_not_there_is_bad_input(versions):
    recording = ["model", "lineage", "arm", "--recording", "z.csv"]
    for arguments, said in (
        (["data", "datasets", "show", "arm", "9"], "expected 1 to 2"),
        (["model", "lineage", "arm"], "has no version yet"),
        (recording, "is not a recording of task 'arm'"),
    ):
        done = kinemill(*arguments)
        assert isinstance(done.exception, BadInput)
        assert said in str(done.exception)
        assert done.stdout == ""
