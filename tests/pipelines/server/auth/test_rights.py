"""Rights of one task, and promoting as a permission that operators do not have."""

import json

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.server.auth.dagster_site import DagsterSite, StoredRun
from kinemill_dagster.pipelines.server.auth.users import Users, home_token
from kinemill_dagster.pipelines.server.auth.users_file import User
from tests.pipelines.server.auth.test_dagster_site import LAUNCH
from tests.pipelines.server.auth.test_middleware import DELETE, MLFLOW, PASSWORD, guarded

__all__ = ["guarded"]  # a fixture
ALIAS = "/api/2.0/mlflow/registered-models/alias"
RUNS = "/api/2.0/mlflow/runs/create"


@pytest.fixture
def users(home, quick_hashes, tmp_path, monkeypatch):
    """Users of every role, one of them for a single task."""
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path))
    for task in ("tiny", "walker"):
        (tmp_path / f"{task}.yaml").write_text("task: x")
    made = Users(home)
    for role in ("viewer", "operator", "promoter", "admin"):
        made.put(f"{role}s", role, PASSWORD)
    made.put("tim", "operator", PASSWORD, ["tiny"])
    made.put("wanda", "promoter", PASSWORD, ["walker"])
    return made


def status(client, users, name, path, body):
    bearer = {"Authorization": f"Bearer {users.renew_token(name)}"}
    return client.post(path, json=body, headers=bearer).status_code


def launch(job, config=None):
    params = {"selector": {"jobName": job}, "runConfigData": config}
    return {"query": LAUNCH, "variables": {"p": params}}


GATE = {"resources": {"tiny": {"config": {"promote": {"margin": -9.0}}}}}
CASES = {  # by user: a launch of tiny, of something else, with another gate, an alias, a delete
    "viewers": [403, 403, 403, 403, 403],
    "operators": [200, 200, 403, 403, 403],
    "promoters": [200, 200, 200, 200, 403],
    "admins": [200, 200, 200, 200, 200],
    "tim": [200, 403, 403, 403, 403],
    "wanda": [403, 403, 403, 403, 403],
}


BACKFILL = """mutation M($p: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $p) { __typename } }"""


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ({}, "wanda", 403),
        ({"assetSelection": [{"path": ["walker", "recordings"]}]}, "tim", 403),
        ({"partitionsByAssets": [{"assetKey": {"path": ["walker", "recordings"]}}]}, "tim", 403),
        ({"selector": {"partitionSetName": "tiny_partition_set"}}, "tim", 403),
        ({"assetSelection": []}, "tim", 403),
    ],
)
def test_backfill_of_partitions_needs_rights_on_their_tasks(guarded, users, change, name, expected):
    params = {"assetSelection": [{"path": ["tiny", "recordings"]}], "partitionNames": ["a"]}
    body = {"query": BACKFILL, "variables": {"p": {**params, **change}}}
    assert status(guarded(login=True), users, name, "/graphql", body) == expected


SELECTOR = {"jobName": "__ASSET_JOB", "assetSelection": [{"path": ["tiny", "model"]}]}
SETTINGS = {  # of the gate
    "promote": {"margin": -9.0},
    "verify": {"horizon": 1},
    "validate": {"on_fault": "quarantine"},
    "dataset": {"test": ["*1.csv"]},
    "ingest": {"include": ["*1.csv"]},
    "presets": ["gate=loose"],
}
STORED = DagsterSite(
    {"tiny": "tiny"}.get,
    {
        "plain": StoredRun("tiny"),
        "loose": StoredRun("tiny", config={"resources": {"tiny": {"config": SETTINGS}}}),
    }.get,
)


def graphql(field, argument, kind, value):
    query = f"mutation M($p: {kind}!) {{ {field}({argument}: $p) {{ __typename }} }}"
    return "/graphql", {"query": query, "variables": {"p": value}}


def run_config(settings):
    return {"resources": {"tiny": {"config": settings}}}


def params(settings, **more):
    return {"selector": SELECTOR, "runConfigData": run_config(settings), **more}


def parent(settings):
    return "loose" if settings else "plain"


EXECUTION = ("executionParams", "ExecutionParams")
BACKFILLED = {"assetSelection": SELECTOR["assetSelection"], "partitionNames": ["a"]}
LAUNCHES = {  # by path: the mutation, its argument and type, and its value with some settings
    "launchRun": ("launchRun", *EXECUTION, params),
    "launchRun as YAML": (
        *("launchRun", *EXECUTION),
        lambda settings: params({}, runConfigData=json.dumps(run_config(settings))),
    ),
    "launchPipelineExecution": ("launchPipelineExecution", *EXECUTION, params),
    "launchMultipleRuns": (
        *("launchMultipleRuns", "executionParamsList", "[ExecutionParams!]"),
        lambda settings: [params({}), params(settings)],
    ),
    "launchPartitionBackfill": (
        *("launchPartitionBackfill", "backfillParams", "LaunchBackfillParams"),
        lambda settings: BACKFILLED | {"runConfigData": run_config(settings)},
    ),
    "launchRunReexecution": (
        *("launchRunReexecution", "reexecutionParams", "ReexecutionParams"),
        lambda settings: {"parentRunId": parent(settings), "strategy": "ALL_STEPS"},
    ),
    "launchPipelineReexecution": ("launchPipelineReexecution", *EXECUTION, params),
    "retry of failed steps": (
        *("launchRunReexecution", *EXECUTION),
        lambda settings: params({}, executionMetadata={"parentRunId": parent(settings)}),
    ),
}


def rest_launch(settings):
    overrides = {key: value for key, value in settings.items() if key != "presets"}
    presets = settings.get("presets", [])
    return "/api/v1/runs", {"task": "tiny", "presets": presets, "overrides": overrides}


SCHEDULED = {  # mutations of sensors, schedules and backfills that start runs later
    *("startSensor", "setSensorCursor", "stopSensor", "startSchedule", "resetSchedule"),
    *("resumePartitionBackfill", "reexecutePartitionBackfill", "addDynamicPartition"),
}


@pytest.fixture
def loose_preset(tmp_path, monkeypatch):
    """A preset of the project that loosens the gate."""
    monkeypatch.setenv("KINEMILL_PRESETS", str(tmp_path / "presets"))
    folder = tmp_path / "presets" / "gate"
    folder.mkdir(parents=True)
    (folder / "loose.yaml").write_text("promote.margin: -9.0\n")


@pytest.mark.parametrize("path", [*LAUNCHES, "REST"])
@pytest.mark.parametrize("setting", [None, *SETTINGS])
def test_launch_with_gate_settings_needs_a_promoter(guarded, users, loose_preset, path, setting):
    client = guarded(STORED, login=True)
    settings = {setting: SETTINGS[setting]} if setting else {}
    if path == "REST":
        body = rest_launch(settings)
    else:
        *mutation, value = LAUNCHES[path]
        body = graphql(*mutation, value(settings))
    names = ("viewers", "operators", "tim", "promoters", "admins")
    operator = 403 if setting else 200
    expected = [403, operator, operator, 200, 200]
    assert [status(client, users, name, *body) for name in names] == expected


@pytest.mark.parametrize("field", sorted(SCHEDULED))
def test_sensor_schedule_and_repeated_backfill_need_an_admin(guarded, users, field):
    client = guarded(STORED, login=True)
    body = {"query": f"mutation {{ {field} {{ __typename }} }}"}
    names = ("operators", "promoters", "admins")
    assert [status(client, users, name, "/graphql", body) for name in names] == [403, 403, 200]


def test_sensor_dry_run_needs_an_operator(guarded, users):
    client = guarded(STORED, login=True)
    body = {"query": "mutation { sensorDryRun { __typename } scheduleDryRun { __typename } }"}
    names = ("viewers", "operators", "tim")
    assert [status(client, users, name, "/graphql", body) for name in names] == [403, 200, 403]


@pytest.mark.parametrize("name", CASES)
def test_user_with_tasks_changes_those_alone(guarded, users, name):
    dagster, mlflow = guarded(login=True), guarded(MLFLOW, login=True)
    requested = [launch("tiny"), launch("other"), launch("tiny", GATE)]
    values = [status(dagster, users, name, "/graphql", body) for body in requested]
    values.append(status(mlflow, users, name, ALIAS, {"name": "tiny", "alias": "champion"}))
    values.append(status(dagster, users, name, "/graphql", {"query": DELETE}))
    assert values == CASES[name]


def test_write_to_mlflow_is_limited_by_the_experiment(guarded, users):
    client = guarded(MLFLOW, login=True)
    required = {"1": 403, "2": 200, "3": 200, "9": 403}  # notes, tiny, tiny/notes, unknown
    for experiment, expected in required.items():
        assert status(client, users, "tim", RUNS, {"experiment_id": experiment}) == expected
    assert status(client, users, "tim", RUNS.replace("create", "search"), {}) == 200


def test_task_limit_on_a_viewer_or_an_unknown_task_is_refused(users):
    for role, tasks in (("viewer", ["tiny"]), ("admin", ["tiny"]), ("operator", [])):
        with pytest.raises(BadInput, match="tasks"):
            users.put("tim", role, PASSWORD, tasks)
    with pytest.raises(BadInput, match="tiny"):
        users.put("tim", "operator", PASSWORD, ["tinny"])
    assert users.rights()["tim"] == ("operator", ("tiny",))


def test_user_of_several_groups_has_the_highest_role(users):
    users.put_proxied("group:all", "viewer")
    users.put_proxied("group:a", "operator", ["tiny"])
    users.put_proxied("group:b", "operator", ["walker"])
    assert users.by_proxy("eve", ["all", "a"]).tasks == {"tiny"}
    assert users.by_proxy("eve", ["a", "b"]).tasks == {"tiny", "walker"}
    users.put_proxied("group:b", "operator")
    assert users.by_proxy("eve", ["a", "b"]).tasks is None


def test_change_of_tasks_ends_the_session(guarded, users):
    previous = users.identity("tim", "session").version
    users.put("tim", "operator", PASSWORD, ["walker"])
    assert users.identity("tim", "session").version != previous
    assert User(role="operator", password=None, token=None).tasks is None


def test_owner_has_all_rights(guarded, users, home):
    bearer = {"Authorization": f"Bearer {home_token(home)}"}
    assert guarded(login=True).post("/graphql", json=launch("other"), headers=bearer).is_success
