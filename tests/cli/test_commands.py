"""The command line: documents on stdout, news on stderr, exit codes, and a quick start."""

import json
from typing import Any

import pytest
import typer
import yaml

from kinemill.cli.app import app
from kinemill.store.home import Home
from tests.conftest import run_here

ROOT: Any = typer.main.get_command(app)
TASK = """\
task: arm
dt: 0.01
channels:
  angle: {role: state, kind: angle, unit: rad}
  torque: {role: action, unit: N*m}
learn: {type: dynamics, model: {type: mlp}}
"""


@pytest.fixture
def tasks(tmp_path, home, monkeypatch):
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "arm.yaml").write_text(TASK)
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))
    return folder


def test_commands_are_in_their_groups():
    groups = {name: list(getattr(one, "commands", {})) for name, one in ROOT.commands.items()}
    assert groups == {
        "init": [], "new": [], "run": [], "config": [], "demo": [],
        "ui": [], "doctor": [], "version": [],
        "examples": ["list", "copy"],
        "task": ["list", "show", "schema"],
        "data": [
            "check", "join", "ingest", "validate", "list", "search", "tag", "tags", "edit", "edits",
            "show", "view", "drift", "export", "forget", "quarantine", "datasets",
        ],
        "model": [
            "list", "show", "compare", "why", "evaluate", "simulate", "rollout", "report", "export",
            "verify", "approve", "trials", "promote", "rollback", "pull", "audit", "lineage",
            "tune", "transfer",
        ],
        "admin": ["gc", "backup", "restore", "rebuild-catalog", "users", "alerts"],
    }  # fmt: skip


def test_tasks_lists_the_good_and_the_broken(tasks):
    (tasks / "bad.yaml").write_text("task: bad\ndt: 0\n")
    done = run_here("task", "list", "--json")
    assert done.returncode == 0
    listed = {row["task"]: row for row in json.loads(done.stdout)["tasks"]}
    assert listed["arm"]["states"] == ["angle"]
    assert listed["arm"]["error"] is None
    assert "bad.yaml:2: dt:" in listed["bad"]["error"]


def test_config_fills_in_defaults_and_overrides(tasks):
    done = run_here("task", "show", "arm", "--set", "learn.history=7")
    message = yaml.safe_load(done.stdout)
    assert (message["learn"]["history"], message["dt"], message["task"]) == (7, 0.01, "arm")


def test_config_for_the_launchpad_is_the_config_of_one_resource(tasks):
    message = yaml.safe_load(run_here("task", "show", "arm", "--launchpad").stdout)
    assert list(message) == ["resources"]
    assert message["resources"]["arm"]["config"]["learn"]["model"]["type"] == "mlp"


def test_config_prints_the_schema_of_task_files(tasks):
    schema = json.loads(run_here("task", "schema").stdout)
    assert schema["title"] == "kinemill task"
    assert {"task", "dt", "learn"} <= set(schema["required"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["task", "show"], "Missing argument"),
        (["task", "show", "amr"], "did you mean 'arm'?"),
        (["frobnicate"], "No such command"),
    ],
)
def test_bad_input_is_code_2_and_says_what_to_do(tasks, arguments, said):
    done = run_here(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_ingest_prints_the_files_of_the_design(tasks, tmp_path):
    log = tmp_path / "a.csv"
    rows = "".join(f"{k / 100},{k / 1000},0.5\n" for k in range(200))
    log.write_text(f"time,angle,torque\n{rows}")
    done = run_here("data", "ingest", "arm", str(log), "--json")
    assert done.returncode == 0
    (file,) = json.loads(done.stdout)["files"]
    assert set(file) == {"file", "hash", "outcome", "episodes", "rows", "reasons"}
    assert (file["outcome"], file["episodes"], file["rows"]) == ("episodes", 1, 200)


def test_doctor_says_what_is_wrong_and_what_to_do(tasks):
    done = run_here("doctor", "--json")
    result = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    assert result["home"]["value"] == str(Home.resolve().root)
    assert {"python", "torch", "gpu", "disk", "registry", "task arm"} <= set(result)
    assert {"policies", "server"} <= set(result["extras"]["value"].split(", "))
    (tasks / "arm.yaml").write_text(TASK + "extra: 1\n")
    done = run_here("doctor", "--json")
    assert done.returncode == 1
    assert "unknown key" in next(
        check["value"] for check in json.loads(done.stdout)["checks"] if check["ok"] is False
    )
