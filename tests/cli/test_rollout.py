"""`kinemill model rollout`: runs in the plant, written as logs that the chain takes."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill_dagster.pipelines.automation.arrivals import Runs, SensorState, next_run

SMALL = ["--set", "control.controller.samples=4", "--set", "control.controller.horizon=5"]


def rollout(*arguments):
    return CliRunner().invoke(
        app, ["model", "rollout", "pendulum", "--seconds", "1", "--json", *arguments]
    )


def test_runs_go_into_the_drop_folder_where_ingest_finds_them(home):
    done = rollout("--model", "true", "--episodes", "2", "--seed", "3", *SMALL)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [run["seed"] for run in result["runs"]] == [3, 4]
    assert (result["controller"], result["model"], result["successes"]) == ("mppi", "true", 0)
    logs = sorted(path.name for path in home.logs("pendulum").iterdir())
    assert len(logs) == 2
    assert logs[0].startswith("mppi-0003-")
    task = load_task("pendulum", {"ingest.min_file_age": 0})
    idle = Runs(fate=lambda _: "going", going=lambda: False)
    call = next_run(task, home, SensorState(), idle)
    assert call.request is not None  # the arrival sensor starts the chain, and once
    assert next_run(task, home, call.state, idle).request is None
    report = ingest.run(task, home, home.logs("pendulum"))
    assert [entry["outcome"] for entry in report.files] == ["episodes", "episodes"]
    assert [entry["rows"] for entry in report.files] == [50, 50]  # 1 s of 20 ms


@pytest.mark.parametrize("name", ["cem", "dial", "predictive_sampling", "zero", "random"])
def test_every_controller_can_be_asked_for(home, tmp_path, name):
    to, report = tmp_path / "to", tmp_path / "page.html"
    done = rollout(
        "--controller", name, "--model", "true", "--to", str(to), "--report", str(report), *SMALL
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["controller"] == name
    assert [path.name.rsplit("-", 2)[0] for path in to.iterdir()] == [name]
    assert '<svg class="moving"' in report.read_text()
    assert not home.logs("pendulum").exists()


def test_rollout_without_stated_success_reports_costs_alone(home):
    options = ["--controller", "zero", "--seconds", "1", "--set", "control.success=[]"]
    done = CliRunner().invoke(app, ["model", "rollout", "pendulum", *options])
    assert done.exit_code == 0, done.output
    assert "cost 5.9" in done.stdout
    assert "succe" not in done.stdout


def test_without_a_champion_or_a_controller_it_says_what_is_missing(home):
    done = CliRunner().invoke(app, ["model", "rollout", "pendulum"])
    assert "kinemill run pendulum" in str(done.exception)
    done = CliRunner().invoke(app, ["model", "rollout", "cart_pole", "--model", "true"])
    assert "has no `control` part" in str(done.exception)
    done = CliRunner().invoke(app, ["model", "rollout", "cart_pole", "--controller", "mppi"])
    assert "has no `control` part" in str(done.exception)
