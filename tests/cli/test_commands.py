"""The command line: documents on stdout, news on stderr, exit codes, and a quick start."""

import json

import yaml

from kinemill.store.home import Home
from tests.conftest import run_here


def test_tasks_lists_the_good_and_the_broken(swing, kinemill):
    swing().path.with_name("bad.yaml").write_text("task: bad\ndt: 0\n")
    listed = {row["task"]: row for row in kinemill("task", "list", "--json")["tasks"]}
    assert listed["swing"]["states"] == ["angle", "velocity"]
    assert listed["swing"]["error"] is None
    assert "bad.yaml:2: dt:" in listed["bad"]["error"]


def test_config_fills_in_defaults_and_overrides(swing, kinemill):
    message = yaml.safe_load(kinemill("task", "show", "swing", "--set", "learn.history=7"))
    assert (message["learn"]["history"], message["dt"], message["task"]) == (7, 0.01, "swing")


def test_config_for_the_launchpad_is_the_config_of_one_resource(swing, kinemill):
    message = yaml.safe_load(kinemill("task", "show", "swing", "--launchpad"))
    assert list(message) == ["resources"]
    assert message["resources"]["swing"]["config"]["learn"]["model"]["type"] == "mlp"


def test_config_prints_the_schema_of_task_files(kinemill):
    schema = json.loads(kinemill("task", "schema"))
    assert schema["title"] == "kinemill task"
    assert {"task", "dt", "learn"} <= set(schema["required"])


def test_unknown_command_is_code_2_and_said_on_stderr():
    done = run_here("frobnicate")
    assert done.returncode == 2
    assert "No such command" in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_ingest_prints_the_files_of_the_design(swing, log, kinemill):
    (file,) = kinemill("data", "ingest", "swing", log("a.csv"), "--json")["files"]
    assert set(file) == {"file", "hash", "outcome", "episodes", "rows", "reasons"}
    assert (file["outcome"], file["episodes"], file["rows"]) == ("episodes", 1, 600)


def test_doctor_says_what_is_wrong_and_what_to_do(swing, kinemill):
    result = {check["name"]: check for check in kinemill("doctor", "--json")["checks"]}
    assert result["home"]["value"] == str(Home.resolve().root)
    assert {"python", "torch", "gpu", "disk", "registry", "task swing"} <= set(result)
    assert {"policies", "server"} <= set(result["extras"]["value"].split(", "))
    path = swing().path
    path.write_text(f"{path.read_text()}extra: 1\n")
    checks = kinemill("doctor", "--json", code=1)["checks"]
    assert "unknown key" in next(check["value"] for check in checks if check["ok"] is False)
