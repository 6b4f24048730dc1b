"""`kinemill runs`: requests to the server, printed lines, and errors without a server."""

import json

import dagster as dg
import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput, Unreachable
from kinemill.tracking.jsonl import JsonLines
from kinemill.tracking.run_links import TrainingLink, note_training
from kinemill_dagster.pipelines.server.rest import runs
from tests.cli.conftest import TASK
from tests.rest_server import ScriptedDagster, repository, serve

ONE, TWO = "1a2b3c4d-0000-0000-0000-000000000000", "1a2b9999-0000-0000-0000-000000000000"


@pytest.fixture
def dagster(home, tmp_path, monkeypatch):
    """A server of the test's own at KINEMILL_URL, with a token of a user in KINEMILL_TOKEN."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "swing.yaml").write_text(TASK)
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody; and not asked for us
    with dg.DagsterInstance.ephemeral() as instance:
        made = ScriptedDagster(instance, [repository("l", "swing")])
        with serve(home, instance, made.query, otto="operator") as (url, tokens):
            monkeypatch.setenv("KINEMILL_URL", url)
            monkeypatch.setenv("KINEMILL_TOKEN", tokens["otto"])
            yield made


def kinemill(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.output


def train(home, run, steps):
    """Leave behind what a training of a run writes."""
    folder = home.root / "runs" / "swing" / "key"
    folder.mkdir(parents=True, exist_ok=True)
    note_training(home, run, TrainingLink("runs/swing/key", 500, "m1"))
    tracker = JsonLines(folder / "metrics.jsonl")
    for step in steps:
        tracker.log_metrics({"train/loss": 1.0 / step}, step)
        tracker.log_metrics({"validation/multi_step": 2.0 / step}, step)
    tracker.close(ended_well=True)


def test_start_sends_overrides_presets_logs_and_priority(dagster, home):
    logs = home.logs("swing") / "monday"
    logs.mkdir(parents=True)
    printed = kinemill(
        "runs", "start", "swing", "--set", "learn.steps=500", "--set",
        "learn.model.hidden_sizes=[8]", "--logs", "monday", "--priority", 3, "--resume",
    )  # fmt: skip
    assert "of swing is queued" in printed
    ((_, variables, user),) = [request for request in dagster.requests if request[0] == "launchRun"]
    params = variables["params"]
    assert user == "otto"
    assert params["runConfigData"]["ops"]["swing__recordings"]["config"] == {"folder": str(logs)}
    assert params["runConfigData"]["resources"]["swing"]["config"]["learn"]["steps"] == 500
    tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
    assert tags == {"kinemill/owner": "otto", "dagster/priority": "3", "kinemill/resume": "true"}


def test_start_with_json_is_the_document_of_the_run(dagster):
    document = kinemill("runs", "start", "swing", "--json", "--set", "learn.steps=7")
    assert (document["task"], document["status"], document["owner"]) == ("swing", "queued", "otto")
    assert document["parameters"] == {"learn.steps": 7}
    assert kinemill("runs", "show", document["id"], "--json") == document


def test_what_the_server_refuses_is_one_line_of_code_2(dagster):
    with pytest.raises(BadInput, match="did you mean 'history'"):
        kinemill("runs", "start", "swing", "--set", "learn.hstory=3")
    with pytest.raises(BadInput, match=r"refuses \(403\): otto may not do this; .* promoter"):
        kinemill("runs", "start", "swing", "--set", "promote.margin=0")


def test_runs_are_listed(dagster, home):
    dagster.add("swing", run_id=ONE, status=dg.DagsterRunStatus.STARTED)
    dagster.add("swing", run_id=TWO, tags={"kinemill/owner": "ann"})
    train(home, ONE, [50])
    results = kinemill("runs", "list", "--json")["runs"]
    assert [(result["id"], result["status"]) for result in results] == [
        (TWO, "queued"),
        (ONE, "running"),
    ]
    printed = kinemill("runs", "list")
    assert "50/500" in printed
    assert "ann" in printed


def test_one_run_is_shown_with_progress_and_settings(dagster, home):
    config = {"resources": {"swing": {"config": {"learn": {"steps": 500}}}}}
    dagster.add("swing", config, run_id=ONE, status=dg.DagsterRunStatus.STARTED)
    train(home, ONE, [50, 100])
    printed = kinemill("runs", "show", "1a2b3")
    assert "100/500" in printed
    assert "learn.steps" in printed


def test_metrics_are_steps_and_series(dagster, home):
    dagster.add("swing", run_id=ONE, status=dg.DagsterRunStatus.STARTED)
    assert kinemill("runs", "metrics", ONE, "--json") == {"steps": [], "series": {}}
    assert "run 1a2b3c4d is running and has no metrics" in kinemill("runs", "metrics", ONE)
    train(home, ONE, [50, 100])
    assert kinemill("runs", "metrics", ONE, "--json") == {
        "steps": [50, 100],
        "series": {"train/loss": [0.02, 0.01], "validation/multi_step": [0.04, 0.02]},
    }
    line = "step  50/500  train/loss 0.02  validation/multi_step 0.04\n"
    assert line in kinemill("runs", "metrics", ONE)


def test_following_prints_each_step_once_and_ends_with_the_run(dagster, home, monkeypatch):
    dagster.add("swing", run_id=ONE, status=dg.DagsterRunStatus.STARTED)
    train(home, ONE, [50])

    look = runs._Follower.look

    def look_and_go_on(follower):
        events = look(follower)
        if not follower.ended:
            train(home, ONE, [100, 150])
            dagster.instance.report_run_canceled(dagster.instance.get_run_by_id(ONE))
        return events

    monkeypatch.setattr(runs._Follower, "look", look_and_go_on)
    printed = kinemill("runs", "metrics", ONE, "--follow").splitlines()
    assert printed == [
        "run 1a2b3c4d of swing is running",
        "step  50/500  train/loss 0.02  validation/multi_step 0.04",
        "step 100/500  train/loss 0.01  validation/multi_step 0.02",
        "step 150/500  train/loss 0.00667  validation/multi_step 0.0133",
        "run 1a2b3c4d is canceled",
    ]
    lines = CliRunner().invoke(app, ["runs", "metrics", ONE, "--follow", "--json"]).stdout
    assert [json.loads(line)["step"] for line in lines.splitlines()] == [50, 50, 100, 100, 150, 150]


def test_a_stream_that_ends_early_is_an_error(dagster, monkeypatch):
    dagster.add("swing", run_id=ONE, status=dg.DagsterRunStatus.STARTED)

    def stop(_follower):
        message = "stopping"
        raise RuntimeError(message)

    monkeypatch.setattr(runs._Follower, "look", stop)
    with pytest.raises(Unreachable, match=r"ended the stream of runs/1a2b.* early"):
        kinemill("runs", "metrics", ONE, "--follow")


def test_cancel_ends_a_run_and_says_how_it_ended(dagster):
    dagster.add("swing", run_id=ONE, status=dg.DagsterRunStatus.STARTED)
    assert kinemill("runs", "cancel", "1a2b") == "run 1a2b3c4d of swing is canceled\n"
    assert "was already canceled" in kinemill("runs", "cancel", ONE)
    dagster.add("swing", run_id=TWO, status=dg.DagsterRunStatus.SUCCESS)
    with pytest.raises(BadInput, match="is completed; there is nothing to cancel"):
        kinemill("runs", "cancel", TWO)


@pytest.mark.parametrize("command", [["show"], ["metrics"], ["metrics", "--follow"], ["cancel"]])
def test_an_unknown_run_is_code_2_and_names_the_latest(dagster, command):
    dagster.add("swing", run_id=ONE)
    with pytest.raises(BadInput) as error:
        kinemill("runs", *command, "f00")
    assert "run f00: unknown; the latest: 1a2b3c4d (swing, queued)" in str(error.value)
    assert error.value.exit_code == 2


def test_a_wrong_token_says_what_to_set(dagster, monkeypatch):
    monkeypatch.setenv("KINEMILL_TOKEN", "wrong")
    with pytest.raises(BadInput, match=r"refuses \(401\): .*; set KINEMILL_TOKEN to a valid token"):
        kinemill("runs", "list")


def test_an_error_of_the_server_is_no_bad_input(dagster, monkeypatch):
    def fail(*_, **__):
        message = "x"
        raise Unreachable(message, "does not respond")

    monkeypatch.setattr(type(dagster.instance), "get_run_records", fail)
    with pytest.raises(Unreachable, match="does not respond"):
        kinemill("runs", "list")


def test_without_a_server_it_says_how_to_start_one(home, monkeypatch):
    monkeypatch.delenv("KINEMILL_URL", raising=False)
    expected = "no server is running for this home; start it: kinemill ui"
    with pytest.raises(BadInput, match=expected):
        kinemill("runs", "list")
    monkeypatch.setenv("KINEMILL_URL", "http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"does not respond.*; start it: kinemill ui"):
        kinemill("runs", "list")
    monkeypatch.setenv("KINEMILL_URL", "127.0.0.1:3000")
    with pytest.raises(BadInput, match="expected http://HOST:PORT"):
        kinemill("runs", "list")
