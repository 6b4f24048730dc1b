"""Commands that speak to a Dagster: what they ask, what they say, and what happens without one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput, KinemillError
from kinemill.tracking.jsonl import JsonLines
from kinemill.tracking.run_links import TrainingLink, note_training

TASK = {
    "task": "arm",
    "dt": 0.01,
    "channels": {
        "angle": {"role": "state", "kind": "angle", "unit": "rad"},
        "torque": {"role": "action", "unit": "N*m"},
    },
    "learn": {"type": "dynamics", "model": {"type": "mlp"}},
}
ONE, TWO = "1a2b3c4d-0000-0000-0000-000000000000", "1a2b9999-0000-0000-0000-000000000000"
REGISTERED = {
    "assetKey": {"path": ["arm", "registered_model"]},
    "metadataEntries": [{"label": "alias"}, {"label": "version", "intValue": 3}],
}


def run(run_id, status, **more):
    return {
        "__typename": "Run",
        "runId": run_id,
        "jobName": "arm",
        "status": status,
        "creationTime": 1790000000.0,
        "endTime": 1790000060.0,
        "runConfig": {"resources": {"arm": {"config": {"learn": {"steps": 500}}}}},
        "tags": [{"key": "kinemill/owner", "value": "ann"}],
        "assetSelection": [],
        "assetMaterializations": [],
        **more,
    }


def node(location, *groups):
    return {
        "name": "r",
        "location": {"name": location},
        "assetGroups": [{"groupName": group} for group in groups],
    }


class Dagster:
    """Answers GraphQL by the name of what is asked for, and remembers what it was asked."""

    def __init__(self):
        self.responses, self.requests, self.headers = {}, [], []
        self.history = [
            run(TWO, "SUCCESS", assetMaterializations=[REGISTERED]),
            run(ONE, "STARTED"),
        ]
        self.nodes = [node("l", "arm")]
        self.status = 200

    def response(self, query, variables):
        for field in (
            "runOrError", "runsOrError", "runIdsOrError", "logsForRun", "repositoriesOrError",
            "assetNodes",
            "launchRun", "terminateRun", "reloadRepositoryLocation",
        ):  # fmt: skip
            if f"{field}(" in query or f"{field} " in query:
                self.requests.append((field, variables))
                response = self.responses.get(field) or getattr(self, field)(**variables)
                return {"data": {field: response}}
        return {"errors": [{"message": "what?"}]}

    def runOrError(self, id):  # noqa: N802
        missing = {"__typename": "RunNotFoundError"}
        return next((one for one in self.history if one["runId"] == id), missing)

    def runsOrError(self, limit):  # noqa: N802
        return {"__typename": "Runs", "results": self.history[:limit]}

    def runIdsOrError(self, cursor, limit):  # noqa: N802
        return {"__typename": "RunIds", "results": [one["runId"] for one in self.history]}

    def repositoriesOrError(self):  # noqa: N802
        return {"__typename": "RepositoryConnection", "nodes": self.nodes}

    def assetNodes(self, group):  # noqa: N802
        assert group["groupName"] == "arm"
        names = {"logs": False, "recordings": True, "model": True}
        return [
            {"assetKey": {"path": ["arm", name]}, "isMaterializable": ours}
            for name, ours in names.items()
        ]

    def launchRun(self, params):  # noqa: N802
        return {"__typename": "LaunchRunSuccess", "run": {"runId": ONE}}

    def terminateRun(self, id, policy):  # noqa: N802
        """Refuse, as Dagster does, to end a run that is starting, unless it is forced."""
        state = self.runOrError(id)["status"]
        if policy == "SAFE_TERMINATE" and state not in {"QUEUED", "STARTED"}:
            said = f"could not be terminated due to having status {state}"
            return {"__typename": "TerminateRunFailure", "message": said}
        self.history = [run(ONE, "CANCELED")]
        return {"__typename": "TerminateRunSuccess"}

    def reloadRepositoryLocation(self, location):  # noqa: N802
        self.nodes = [node(location, "arm")]
        return {"__typename": "WorkspaceLocationEntry"}


@pytest.fixture
def dagster(home, tmp_path, monkeypatch):
    """A Dagster of the test's own, at KINEMILL_URL."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "arm.yaml").write_text(yaml.safe_dump(TASK))
    made = Dagster()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.headers.append(dict(self.headers))
            results = made.response(body["query"], body["variables"])
            self.send_response(made.status)
            self.end_headers()
            self.wfile.write(json.dumps(results).encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("KINEMILL_TASKS", str(folder))
        monkeypatch.setenv("KINEMILL_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody; and not asked for us
        yield made
        server.shutdown()


def kinemill(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) if "--json" in arguments else result.output


def train(home, run_id, steps, folder="runs/arm/key"):
    """Leave behind what a training of that run writes."""
    (home.root / folder).mkdir(parents=True, exist_ok=True)
    note_training(home, run_id, TrainingLink(folder, 500, "m1"))
    tracker = JsonLines(home.root / folder / "metrics.jsonl")
    for step in steps:
        tracker.log_metrics({"train/loss": 1.0 / step}, step)
        tracker.log_metrics({"validation/multi_step": 2.0 / step}, step)
    tracker.close(ended_well=True)


def test_start_launches_the_assets_with_overrides_logs_owner_and_priority(dagster, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    reported = kinemill(
        "runs", "start", "arm", "--set", "learn.steps=500", "--set", "learn.model.hidden_sizes=[8]",
        "--logs", logs, "--owner", "bob", "--priority", 3, "--resume",
    )  # fmt: skip
    assert "run 1a2b3c4d of arm is queued" in reported
    ((_, variables),) = [one for one in dagster.requests if one[0] == "launchRun"]
    params = variables["params"]
    assert params["selector"] == {
        "repositoryLocationName": "l", "repositoryName": "r", "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": ["arm", "recordings"]}, {"path": ["arm", "model"]}],
    }  # fmt: skip
    learn = {"steps": 500, "model": {"hidden_sizes": [8]}}
    assert params["runConfigData"] == {
        "resources": {"arm": {"config": {"learn": learn}}},
        "ops": {"arm__recordings": {"config": {"folder": str(logs)}}},
    }
    assert {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]} == {
        "kinemill/owner": "bob",
        "dagster/priority": "3",
        "kinemill/resume": "true",
    }


def test_start_with_json_is_the_document_of_status(dagster):
    assert kinemill("runs", "start", "arm", "--json") == {
        "id": ONE,
        "task": "arm",
        "status": "running",
        "step": None,
        "total_steps": None,
        "loss": None,
        "parameters": {"learn.steps": 500},
        "error": None,
        "model": None,
        "owner": "ann",
        "created_at": "2026-09-21T14:13:20+00:00",
        "completed_at": None,
    }


def test_a_task_file_newer_than_the_server_makes_it_look_anew(dagster):
    dagster.nodes = [node("l", "leg")]
    kinemill("runs", "start", "arm")
    assert ("reloadRepositoryLocation", {"location": "l"}) in dagster.requests
    dagster.responses["repositoriesOrError"] = {
        "__typename": "RepositoryConnection",
        "nodes": [node("l", "army")],
    }
    with pytest.raises(BadInput, match="has no task 'arm'; did you mean 'army'"):
        kinemill("runs", "start", "arm")


def test_bad_overrides_are_told_before_the_server_is_asked(dagster):
    with pytest.raises(BadInput, match="did you mean 'history'"):
        kinemill("runs", "start", "arm", "--set", "learn.hstory=3")
    assert dagster.requests == []


def test_what_the_server_refuses_to_start_is_told_in_its_words(dagster):
    dagster.responses["launchRun"] = {
        "__typename": "RunConfigValidationInvalid",
        "errors": [{"message": "unexpected config entry"}],
    }
    with pytest.raises(BadInput, match="does not start arm: unexpected config entry"):
        kinemill("runs", "start", "arm")


def test_an_error_that_dagster_caught_is_told_without_its_stack(dagster):
    """It comes with code 500, and an answer all the same."""
    caught = "Error 1: --set learn.seed: Input should be greater than 0\n\nStack Trace:\n  File x"
    dagster.responses["launchRun"] = {"__typename": "PythonError", "message": caught}
    dagster.history.clear()

    def sour(query, variables, honest=dagster.response):
        dagster.status = 500 if "launchRun" in query else 200
        return honest(query, variables)

    dagster.response = sour
    with pytest.raises(BadInput) as reported:
        kinemill("runs", "start", "arm")
    assert str(reported.value).endswith("does not start arm: " + caught.partition("\n\n")[0])


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("QUEUED", "queued"), ("NOT_STARTED", "queued"), ("STARTING", "starting"),
        ("STARTED", "running"), ("CANCELING", "canceling"), ("SUCCESS", "completed"),
        ("CANCELED", "canceled"),
    ],
)  # fmt: skip
def test_every_state_of_dagster_has_its_word(dagster, state, status):
    dagster.history = [run(ONE, state)]
    results = kinemill("runs", "show", ONE, "--json")
    assert results["status"] == status
    assert (results["completed_at"] is None) == (status not in {"completed", "canceled"})


def test_status_of_a_run_that_trains_tells_step_and_loss(dagster, home):
    train(home, ONE, [50, 100])
    results = kinemill("runs", "show", "1a2b3", "--json")
    assert (results["id"], results["step"], results["total_steps"], results["loss"]) == (
        ONE,
        100,
        500,
        0.01,
    )
    assert "100/500" in kinemill("runs", "show", ONE)


def test_status_without_a_run_lists_the_latest(dagster, home):
    train(home, ONE, [50])
    results = kinemill("runs", "list", "--json")["runs"]
    assert [(one["id"], one["status"], one["model"]) for one in results] == [
        (TWO, "completed", "models:/arm/3"),
        (ONE, "running", None),
    ]
    assert "50/500" in kinemill("runs", "list")


def failed(*errors):
    return {
        "__typename": "EventConnection",
        "cursor": "c",
        "hasMore": False,
        "events": [
            {"__typename": "LogMessageEvent"},
            *({"__typename": "ExecutionStepFailureEvent", "error": error} for error in errors),
            {"__typename": "RunFailureEvent", "message": "Steps failed: ['model']", "error": None},
        ],
    }


def said(name, message, *chain):
    one = {"className": name, "message": f"somewhere.{name}: {message}\n", "errorChain": []}
    if name == "TrainingFailed":
        one["message"] = f"kinemill.errors.{name}: {message}\n"
    return {**one, "errorChain": [{"error": link} for link in chain]}


@pytest.mark.parametrize(
    ("errors", "reported"),
    [
        ([said("Failure", "blocked by 1 check(s): a: b")], "blocked by 1 check(s): a: b"),
        (
            [said("StepError", "wrapped", said("TrainingFailed", "loss: not finite"))],
            "loss: not finite",
        ),
        ([said("StepError", "wrapped", said("KeyError", "'x'"))], "'x'"),
        ([], "Steps failed: ['model']"),
    ],
)
def test_a_failed_run_says_what_its_step_said_first(dagster, errors, reported):
    dagster.history = [run(ONE, "FAILURE")]
    dagster.responses["logsForRun"] = failed(*errors)
    assert kinemill("runs", "show", ONE, "--json")["error"] == reported


def test_metrics_are_steps_and_series(dagster, home):
    train(home, ONE, [50, 100])
    assert kinemill("runs", "metrics", ONE, "--json") == {
        "steps": [50, 100],
        "series": {"train/loss": [0.02, 0.01], "validation/multi_step": [0.04, 0.02]},
    }
    assert "step  50/500  train/loss 0.02  validation/multi_step 0.04\n" in kinemill(
        "runs", "metrics", ONE
    )


def test_metrics_of_a_run_that_has_none_are_empty(dagster):
    assert kinemill("runs", "metrics", ONE, "--json") == {"steps": [], "series": {}}
    assert "run 1a2b3c4d is running and has no metrics" in kinemill("runs", "metrics", ONE)


def test_following_prints_each_point_once_and_ends_with_the_run(dagster, home, monkeypatch):
    train(home, ONE, [50])

    def later(_seconds):
        if dagster.history[-1]["status"] == "STARTED":
            train(home, ONE, [100, 150])
            dagster.history = [run(ONE, "SUCCESS", assetMaterializations=[REGISTERED])]

    monkeypatch.setattr("kinemill.cli.status.time.sleep", later)
    reported = kinemill("runs", "metrics", ONE, "--follow").splitlines()
    assert reported == [
        "run 1a2b3c4d of arm is running",
        "step  50/500  train/loss 0.02  validation/multi_step 0.04",
        "step 100/500  train/loss 0.01  validation/multi_step 0.02",
        "step 150/500  train/loss 0.006667  validation/multi_step 0.01333",
        "run 1a2b3c4d is completed: models:/arm/3",
    ]
    lines = (
        CliRunner().invoke(app, ["runs", "metrics", ONE, "--follow", "--json"]).stdout.splitlines()
    )
    assert [json.loads(line)["step"] for line in lines] == [50, 50, 100, 100, 150, 150]


def test_cancel_ends_a_run_and_says_how_it_stands(dagster):
    assert kinemill("runs", "cancel", ONE) == "run 1a2b3c4d of arm is canceled\n"
    assert ("terminateRun", {"id": ONE, "policy": "SAFE_TERMINATE"}) in dagster.requests
    assert "was canceled before" in kinemill("runs", "cancel", ONE)
    dagster.history = [run(ONE, "SUCCESS")]
    with pytest.raises(BadInput, match="is completed; there is nothing to cancel"):
        kinemill("runs", "cancel", ONE)


def test_a_damaged_database_of_the_server_is_one_line_with_the_remedy(dagster):
    said = "(sqlite3.DatabaseError) database disk image is malformed\n[SQL: SELECT 1]\n(Background)"
    dagster.responses["runsOrError"] = {"__typename": "PythonError", "message": said}
    with pytest.raises(KinemillError) as reported:
        kinemill("runs", "list")
    assert "a database of this server is damaged; docs/runs.md says" in str(reported.value)
    assert "\n" not in str(reported.value)


def test_an_error_that_dagster_caught_is_its_first_line(dagster):
    dagster.responses["runsOrError"] = {
        "__typename": "PythonError",
        "message": "KeyError: 'x'\n\nat y",
    }
    with pytest.raises(KinemillError, match=r"^http://.*: KeyError: 'x'$"):
        kinemill("runs", "list")


@pytest.mark.parametrize("state", ["QUEUED", "STARTING", "STARTED"])
def test_cancel_ends_a_run_that_is_queued_starting_or_running(dagster, state):
    dagster.history = [run(ONE, state)]
    assert kinemill("runs", "cancel", ONE) == "run 1a2b3c4d of arm is canceled\n"


def test_cancel_of_a_run_that_starts_between_look_and_mutation_is_asked_again(dagster):
    dagster.history = [run(ONE, "QUEUED")]

    def begun(query, variables, response=dagster.response):
        if "terminateRun(" in query and variables["policy"] == "SAFE_TERMINATE":
            dagster.history = [run(ONE, "STARTING")]
        return response(query, variables)

    dagster.response = begun
    assert kinemill("runs", "cancel", ONE) == "run 1a2b3c4d of arm is canceled\n"


@pytest.mark.parametrize("command", [["show"], ["metrics"], ["metrics", "--follow"], ["cancel"]])
def test_an_unknown_run_is_code_2_and_names_the_latest(dagster, command):
    for name in ("f00", "ffffffff-0000-0000-0000-000000000000"):
        with pytest.raises(BadInput) as reported:
            kinemill("runs", *command, name)
        assert f"run {name}: unknown; the latest: 1a2b9999 (arm, completed)" in str(reported.value)
        assert reported.value.exit_code == 2


def test_a_beginning_that_fits_several_runs_is_code_2(dagster):
    with pytest.raises(BadInput, match=r"is the beginning of 1a2b9999, 1a2b3c4d; give more of it"):
        kinemill("runs", "show", "1a2b")


def test_the_token_is_sent_and_a_refusal_says_so(dagster, monkeypatch):
    monkeypatch.setenv("KINEMILL_TOKEN", "secret")
    kinemill("runs", "list")
    assert dagster.headers[-1]["Authorization"] == "Bearer secret"
    dagster.status = 401
    with pytest.raises(BadInput, match=r"refuses \(401\); set KINEMILL_TOKEN"):
        kinemill("runs", "list")
    dagster.status = 503
    with pytest.raises(KinemillError, match="answers 503"):
        kinemill("runs", "list")


def test_without_a_server_it_says_how_to_start_one(home, monkeypatch):
    monkeypatch.delenv("KINEMILL_URL", raising=False)
    reported = "no Dagster server is running for this home; start it: kinemill ui"
    with pytest.raises(BadInput, match=reported):
        kinemill("runs", "list")
    monkeypatch.setenv("KINEMILL_URL", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match=r"does not answer .*; start it: kinemill ui"):
        kinemill("runs", "list")
    monkeypatch.setenv("KINEMILL_URL", "127.0.0.1:3000")
    with pytest.raises(BadInput, match="expected http://HOST:PORT"):
        kinemill("runs", "list")


def test_metrics_come_from_mlflow_where_the_folder_is_not_at_hand(dagster, monkeypatch):
    requests = []

    def fetch(url, body=None):
        requests.append(url)
        if "get-by-name" in url:
            return {"experiment": {"experiment_id": "7"}}
        if "runs/search" in url:
            assert body["filter"] == f"tags.`kinemill/dagster_run` = '{ONE}'"
            keys = [{"key": "train/loss"}, {"key": "test/nrmse/model"}]
            return {"runs": [{"info": {"run_id": "m1"}, "data": {"metrics": keys}}]}
        page = "page_token" in url
        point = {"key": "train/loss", "timestamp": 1790000000000}
        last = {"metrics": [{**point, "step": 100, "value": 0.01}]}
        first = {"metrics": [{**point, "step": 50, "value": 0.02}], "next_page_token": "n"}
        return last if page else first

    monkeypatch.setenv("KINEMILL_MLFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("kinemill.cli.metrics.fetch", fetch)
    results = kinemill("runs", "metrics", ONE, "--json")
    assert results == {"steps": [50, 100], "series": {"train/loss": [0.02, 0.01]}}
