"""Runs over REST: started with overrides that the web may choose, listed, followed, canceled."""

import json
from contextlib import ExitStack

import dagster as dg
import httpx
import pytest

from kinemill.tracking.jsonl import JsonLines
from kinemill.tracking.run_links import TrainingLink, note_training
from kinemill_dagster.pipelines.server.auth.users import home_token
from kinemill_dagster.pipelines.server.rest import runs
from tests.rest_server import ScriptedDagster, serve

ONE, TWO = "1a2b3c4d-0000-0000-0000-000000000000", "1a2b9999-0000-0000-0000-000000000000"


def train(home, run, steps):
    """Leave behind what a training of a run writes."""
    folder = home.root / "runs" / "tiny" / "key"
    folder.mkdir(parents=True, exist_ok=True)
    note_training(home, run, TrainingLink("runs/tiny/key", 500, "m1"))
    tracker = JsonLines(folder / "metrics.jsonl")
    for step in steps:
        tracker.log_metrics({"train/loss": 1.0 / step}, step)
        tracker.log_metrics({"validation/multi_step": float("nan")}, step)
    tracker.close(ended_well=True)


def launched(site):
    ((_, variables, user),) = [
        request for request in site.dagster.requests if request[0] == "launchRun"
    ]
    return variables["params"], user


def test_run_starts_with_overrides_logs_priority_and_owner(site):
    logs = site.home.logs("tiny") / "monday"
    logs.mkdir(parents=True)
    body = {
        "task": "tiny",
        "overrides": {"learn.steps": 500, "learn.model.hidden_sizes": [8]},
        "logs": "monday",
        "priority": 3,
        "resume": True,
    }
    response = site.client.post("/api/v1/runs", json=body)
    assert response.status_code == 201
    run = response.json()
    assert response.headers["location"] == f"/api/v1/runs/{run['id']}"
    params, user = launched(site)
    assert user == "otto"
    assert params["selector"] == {
        "repositoryLocationName": "kinemill",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": ["tiny", "recordings"]}, {"path": ["tiny", "model"]}],
    }
    learn = {"steps": 500, "model": {"hidden_sizes": [8]}}
    assert params["runConfigData"] == {
        "resources": {"tiny": {"config": {"learn": learn}}},
        "ops": {"tiny__recordings": {"config": {"folder": str(logs)}}},
    }
    tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
    assert tags == {"kinemill/owner": "otto", "dagster/priority": "3", "kinemill/resume": "true"}
    assert (run["task"], run["status"], run["owner"]) == ("tiny", "queued", "otto")
    assert run["parameters"] == {"learn.steps": 500, "learn.model.hidden_sizes": [8]}


def test_presets_are_applied_before_overrides(site):
    body = {"task": "tiny", "presets": ["model=small"], "overrides": {"learn.history": 7}}
    site.post("runs", body, status=201)
    config = launched(site)[0]["runConfigData"]["resources"]["tiny"]["config"]
    assert config["learn"]["history"] == 7
    assert "model" in config["learn"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"task": "tiny", "overrides": {"learn.hstory": 3}}, "overrides learn.hstory: unknown key"),
        ({"task": "tiny", "overrides": {"ingest.watch": "/etc"}}, "is code, a file or a machine"),
        ({"task": "tiny", "overrides": {"dt": "x"}}, "dt"),
        ({"task": "tiny", "presets": ["model=huge"]}, "model has no preset 'huge'"),
        ({"task": "tiny", "presets": ["algorithm=ppo"]}, "preset 'algorithm=ppo': does not apply"),
        ({"task": "tiny", "logs": "../../etc"}, "is outside"),
        ({"task": "broken"}, "did you mean 'channels'"),
        ({"task": "tiny", "priority": 10**9}, "less than or equal to 1000"),
        ({"task": "tiny", "more": 1}, "Extra inputs are not permitted"),
        ({"task": "../tiny"}, "should match pattern"),
    ],
)
def test_invalid_run_is_refused_before_dagster_is_asked(site, body, message):
    assert message in site.post("runs", body, status=400)["message"]
    assert [request for request in site.dagster.requests if request[0] == "launchRun"] == []


def test_run_of_logs_that_are_not_there_is_refused(site):
    message = site.post("runs", {"task": "tiny", "logs": "mondy"}, status=404)["message"]
    assert message == "log 'mondy': is not in the drop folder of tiny"


def test_unknown_task_is_404_with_the_nearest_name(site):
    assert site.post("runs", {"task": "tine"}, status=404)["message"] == (
        "task 'tine': unknown; did you mean 'tiny'?"
    )


def test_runs_of_a_task_are_listed_newest_first(site):
    names = [site.dagster.add(task) for task in ("tiny", "arm", "tiny")]
    assert [run["id"] for run in site.get("runs")["runs"]] == names[::-1]
    assert [run["id"] for run in site.get("runs", task="arm")["runs"]] == [names[1]]
    assert len(site.get("runs", limit=2)["runs"]) == 2
    assert "greater than or equal to 1" in site.get("runs", status=400, limit=0)["message"]


def test_run_is_found_by_an_id_prefix(site):
    site.dagster.add("tiny", run_id=ONE)
    site.dagster.add("tiny", run_id=TWO)
    assert site.get("runs/1a2b3")["id"] == ONE
    assert "is the beginning of 1a2b" in site.get("runs/1a2b", status=400)["message"]
    for name in ("f00", "ffffffff-0000-0000-0000-000000000000"):
        message = site.get(f"runs/{name}", status=404)["message"]
        assert f"run {name}: unknown; the latest: 1a2b9999 (tiny, queued)" in message


def test_training_run_has_step_and_loss(site):
    run = site.dagster.add("tiny", status=dg.DagsterRunStatus.STARTED)
    train(site.home, run, [50, 100])
    document = site.get(f"runs/{run}")
    assert (document["status"], document["step"], document["total_steps"]) == ("running", 100, 500)
    assert document["loss"] == 0.01
    metrics = site.get(f"runs/{run}/metrics")
    assert [point["step"] for point in metrics["points"]] == [50, 50, 100, 100]
    assert metrics["points"][1]["validation/multi_step"] is None
    assert metrics["total_steps"] == 500


def test_run_without_training_has_no_metrics(site):
    metrics = site.get(f"runs/{site.dagster.add('tiny')}/metrics")
    assert (metrics["points"], metrics["status"], metrics["total_steps"]) == ([], "queued", None)


def test_metric_stream_sends_each_point_once_until_the_run_ends(site, monkeypatch):
    run = site.dagster.add("tiny", status=dg.DagsterRunStatus.STARTED)
    train(site.home, run, [50])

    async def later(_seconds):
        train(site.home, run, [100, 150])
        site.instance.report_run_canceled(site.instance.get_run_by_id(run))

    monkeypatch.setattr(runs.asyncio, "sleep", later)
    with site.client.stream("GET", f"/api/v1/runs/{run}/metrics/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        text = response.read().decode()
    events = [
        (block.split("\n")[0].removeprefix("event: "), json.loads(block.split("\ndata: ")[1]))
        for block in text.replace("\r", "").strip().split("\n\n")
        if block.startswith("event: ")
    ]
    assert [name for name, _ in events] == ["status", "points", "points", "end"]
    steps = [point["step"] for name, data in events if name == "points" for point in data["points"]]
    assert steps == [50, 50, 100, 100, 150, 150]
    assert events[-1][1]["status"] == "canceled"


def test_request_is_answered_while_sixty_streams_are_open(workspace):
    """The server has 40 threads for requests; none of them waits with a follower."""
    with dg.DagsterInstance.ephemeral() as instance:
        dagster = ScriptedDagster(instance)
        run = dagster.add("tiny", status=dg.DagsterRunStatus.STARTED)
        with ExitStack() as streams:
            address, _ = streams.enter_context(serve(workspace.home, instance, dagster.query))
            token = home_token(workspace.home)
            limits = httpx.Limits(max_connections=None)
            client = streams.enter_context(
                httpx.Client(
                    base_url=f"{address}/api/v1/runs",
                    headers={"Authorization": f"Bearer {token}"},
                    limits=limits,
                )
            )
            for _ in range(60):
                stream = client.stream("GET", f"/{run}/metrics/stream")
                lines = streams.enter_context(stream).iter_lines()
                assert "event: status" in lines
            assert client.get(f"/{run}").json()["status"] == "running"


@pytest.mark.parametrize("status", ["NOT_STARTED", "STARTING", "STARTED"])
def test_run_is_canceled_in_every_state(site, status):
    run = site.dagster.add("tiny", status=dg.DagsterRunStatus[status])
    assert site.post(f"runs/{run}/cancel")["status"] == "canceled"
    message = site.post(f"runs/{run}/cancel", status=400)["message"]
    assert message.endswith("is canceled; there is nothing to cancel")
