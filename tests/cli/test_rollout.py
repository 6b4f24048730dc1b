"""`kinemill model rollout`: runs in the plant, written as logs that the chain takes."""

from functools import partial

import pytest

from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.task import load_task
from kinemill_dagster.pipelines.automation.arrivals import Runs, SensorState, next_run

SMALL = ["--set", "control.controller.samples=4", "--set", "control.controller.horizon=5"]


@pytest.fixture
def rollout(home, kinemill):
    """Roll out the pendulum for 1 s."""
    return partial(kinemill, "model", "rollout", "pendulum", "--seconds", 1)


def test_runs_go_into_the_drop_folder_where_ingest_finds_them(home, rollout):
    result = rollout("--model", "true", "--episodes", 2, "--seed", 3, "--json", *SMALL)
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
def test_every_controller_can_be_asked_for(home, rollout, tmp_path, name):
    to, report = tmp_path / "to", tmp_path / "page.html"
    files = "--to", to, "--report", report
    result = rollout("--controller", name, "--model", "true", *files, "--json", *SMALL)
    assert result["controller"] == name
    assert [path.name.rsplit("-", 2)[0] for path in to.iterdir()] == [name]
    assert '<svg class="moving"' in report.read_text()
    assert not home.logs("pendulum").exists()


def test_rollout_without_stated_success_reports_costs_alone(rollout):
    text = rollout("--controller", "zero", "--set", "control.success=[]")
    assert "cost 5.9" in text
    assert "succe" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pendulum"], "kinemill run pendulum"),
        (["cart_pole", "--model", "true"], "has no `control` part"),
        (["cart_pole", "--controller", "mppi"], "has no `control` part"),
    ],
)
def test_without_a_champion_or_a_controller_it_says_what_is_missing(
    home, kinemill, arguments, message
):
    with pytest.raises(BadInput, match=message):
        kinemill("model", "rollout", *arguments)
