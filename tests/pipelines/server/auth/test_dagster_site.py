"""Permissions of requests to Dagster, and the tasks that they change."""

import json

import dagster as dg
import pytest

from kinemill_dagster.pipelines.server.auth.calls import Refused
from kinemill_dagster.pipelines.server.auth.dagster_site import (
    OPERATING,
    DagsterSite,
    StoredRun,
    find_run,
)
from kinemill_dagster.pipelines.server.auth.permissions import Permission
from kinemill_dagster.pipelines.server.auth.request import Request

SITE = DagsterSite(
    {"tiny": "tiny", "tiny_long": "tiny", "walker": "walker"}.get,
    {"r1": StoredRun("tiny"), "r2": StoredRun("__ASSET_JOB", [["walker", "model"]])}.get,
)
LAUNCH = "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename } }"


def decided(query, **variables):
    request = Request("POST", ("graphql",), body={"query": query, "variables": variables})
    return SITE.route(request).decide(request, "otto")


def launched(job="tiny", config=None, **selector):
    params = {"selector": {"jobName": job, **selector}, "runConfigData": config}
    return decided(LAUNCH, p=params)


X, WALKER = {"path": ["tiny", "x"]}, {"path": ["walker", "x"]}
REEXECUTED = """mutation { launchRunReexecution(reexecutionParams: {parentRunId: "r2",
    strategy: ALL_STEPS}, executionParams: {selector: {jobName: "tiny"}}) { x } }"""


@pytest.mark.parametrize(
    ("selector", "tasks"),
    [
        ({"job": "tiny"}, {"tiny"}),
        ({"job": "tiny_long"}, {"tiny"}),
        ({"job": "unknown"}, None),
        ({"assetSelection": [WALKER]}, {"walker"}),
        ({"assetSelection": {"path": "walker"}}, {"walker"}),
        ({"assetSelection": [X, {"path": "walker"}]}, None),
        (
            {"assetSelection": [X], "assetCheckSelection": [{"assetKey": WALKER, "name": "n"}]},
            None,
        ),
        ({}, None),
        ({"job": "tiny", "pipelineName": "walker"}, None),
    ],
)
def test_launch_names_the_tasks_that_it_changes(selector, tasks):
    result = launched(**{"job": "__ASSET_JOB", **selector})
    assert (result.permission, result.tasks) == (Permission.OPERATE, tasks)


@pytest.mark.parametrize(
    ("query", "tasks"),
    [
        ('mutation { terminateRun(runId: "r1") { x } }', {"tiny"}),
        ('mutation { terminateRuns(runIds: ["r1", "r2"]) { x } }', {"tiny", "walker"}),
        ('mutation { terminateRuns(runIds: ["r1", "zz"]) { x } }', None),
        ("mutation { terminateRuns(runIds: []) { x } }", None),
        (REEXECUTED, {"tiny", "walker"}),
        ("mutation { reloadWorkspace { x } }", set()),
        ("mutation { sensorDryRun { x } }", None),
    ],
)
def test_mutation_names_the_tasks_that_it_changes(query, tasks):
    result = decided(query)
    assert (result.permission, result.tasks) == (Permission.OPERATE, tasks)


def test_document_with_several_mutations_changes_all_their_tasks():
    text = 'mutation { a: terminateRun(runId: "r1") { x } b: terminateRun(runId: "r2") { x } }'
    assert decided(text).tasks == {"tiny", "walker"}


@pytest.mark.parametrize(
    ("config", "grant"),
    [
        ({}, Permission.OPERATE),
        ("resources: {tiny: {config: {learn: {steps: 3}}}}", Permission.OPERATE),
        ({"resources": {"tiny": {"config": {"promote": {"margin": -9}}}}}, Permission.PROMOTE),
        ("resources: {tiny: {config: {promote: {margin: -9}}}}", Permission.PROMOTE),
        ("resources: {tiny: {config: &a {verify: {horizon: 1}}}}", Permission.PROMOTE),
        ("resources: {tiny: {<<: {config: {promote: {}}}}}", Permission.PROMOTE),
        ("not: [yaml", Permission.PROMOTE),
        (7, Permission.PROMOTE),
    ],
)
def test_launch_that_changes_the_gate_needs_promotion(config, grant):
    assert launched(config=config).permission is grant


def test_stored_run_has_its_job_assets_and_configuration():
    config = {"resources": {"tiny": {"config": {"promote": {"margin": 0.0}}}}}
    key = dg.AssetKey(["tiny", "model"])
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.DagsterRun(
            job_name="__ASSET_JOB", run_config=config, asset_selection=frozenset({key})
        )
        instance.add_run(run)
        assert find_run(instance, run.run_id) == StoredRun(
            "__ASSET_JOB", [["tiny", "model"]], config
        )
        assert find_run(instance, "unknown") is None


def test_unlisted_mutation_of_dagster_needs_an_admin():
    from dagster_graphql.schema import create_schema

    existing = set(create_schema().graphql_schema.mutation_type.fields)
    assert existing >= OPERATING
    for name in existing - OPERATING:
        assert decided(f"mutation {{ {name} {{ x }} }}").permission is Permission.ADMINISTER
    assert (
        decided("mutation { reloadWorkspace { x } deleteRun { x } }").permission
        is Permission.ADMINISTER
    )


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "report_asset_materialization/a", 403),
        ("POST", "", 403),
        ("PUT", "graphql", 405),
        ("DELETE", "runs/1", 405),
        ("GET", "notebook", 403),
        ("GET", "download_debug/00000000-0000-0000-0000-000000000000", 404),
        ("GET", "logs/a", 404),
    ],
)
def test_unlisted_route_is_closed(method, path, status):
    with pytest.raises(Refused) as refused:
        SITE.route(Request(method, tuple(path.split("/"))))
    assert refused.value.status == status


@pytest.mark.parametrize(
    "message",
    [
        {"type": "start", "payload": {"query": "mutation { reloadWorkspace { x } }"}},
        {"type": "start", "payload": [{"query": "{ version }"}]},
        {"type": "start"},
        {"type": "data"},
        {"type": "stop", "id": "x" * 1000},
        {"type": "stop", "id": {}},
    ],
)
def test_websocket_message_with_a_mutation_is_refused(message):
    with pytest.raises(Refused):
        SITE.message(json.dumps(message))


def test_websocket_message_is_serialized_from_its_parsed_form():
    sent = {"type": "start", "id": "1", "more": 1, "payload": {"query": "{version}", "x": 1}}
    document = json.loads(SITE.message(json.dumps(sent)))
    assert document["payload"] == {"query": "{\n  version\n}", "variables": {}}
    assert set(document) == {"type", "id", "payload"}
    assert json.loads(SITE.message('{"type": "connection_init", "payload": {"a": 1}}')) == {
        "type": "connection_init"
    }
