"""Single checks: Dagster runs one check, or all of an asset, without the stage."""

import dagster as dg
import pytest

from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill_dagster.pipelines.chain import definitions_of
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.resources.dagster_api import open_web_app
from tests.conftest import ROOT
from tests.pipelines.conftest import TASK

pytestmark = [pytest.mark.ci, pytest.mark.e2e]

CHECKS = """
query($asset: AssetKeyInput!) { assetNodeOrError(assetKey: $asset) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name canExecuteIndividually } } } } } }
"""
STAGES = {
    "recordings": "kinemill.ingest.stage.run",
    "episodes": "kinemill.validate.stage.run",
    "verification": "kinemill.verify.stage.run",
    "registered_model": "kinemill.register.stage.run",
}


def execute(instance, selection, *, raise_on_error=True):
    """Run a selection as Dagster's pages do: as a job of its own."""
    job = dg.define_asset_job("selected", selection)
    defs = dg.Definitions.merge(definitions_of([load_task(TASK)]), dg.Definitions(jobs=[job]))
    made = defs.resolve_job_def("selected")
    return made.execute_in_process(instance=instance, raise_on_error=raise_on_error)


def key(asset):
    return dg.AssetKey([TASK, asset])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asset", "check", "passed"),
    [
        pytest.param("recordings", "readable", True, marks=pytest.mark.ci),
        ("episodes", "physics_nonfinite", False),
        pytest.param("episodes", "finite_values", True, marks=pytest.mark.ci),
        pytest.param("verification", "parity", True, marks=pytest.mark.ci),
        ("registered_model", "gate_verified", True),
    ],
)
def test_single_check_runs_without_its_stage(copy, monkeypatch, asset, check, passed):
    def refuse(*_args, **_kwargs):
        pytest.fail("the stage was computed again")

    for stage in STAGES.values():
        monkeypatch.setattr(stage, refuse)
    with open_instance(copy.home) as instance:
        selection = dg.AssetSelection.checks(dg.AssetCheckKey(key(asset), check))
        result = execute(instance, selection)
    (evaluation,) = result.get_asset_check_evaluations()
    assert (evaluation.check_name, evaluation.passed) == (check, passed)
    assert evaluation.description
    # It counts for the artifact that the page shows.
    assert evaluation.target_materialization_data is not None
    assert [event for event in result.all_events if event.is_step_materialization] == []


def test_checks_of_an_asset_run_together(copy):
    with open_instance(copy.home) as instance:
        result = execute(instance, dg.AssetSelection.checks_for_assets(key("episodes")))
    graph = definitions_of([load_task(TASK)]).resolve_asset_graph()
    declared = {one.name for one in graph.asset_check_keys if one.asset_key == key("episodes")}
    assert {
        evaluation.check_name for evaluation in result.get_asset_check_evaluations()
    } == declared
    assert len(declared) > 10


def test_check_of_a_missing_asset_names_the_command(workspace):
    with dg.DagsterInstance.ephemeral() as instance:
        selection = dg.AssetSelection.checks(dg.AssetCheckKey(key("recordings"), "readable"))
        with pytest.raises(BadInput, match=f"does not exist yet.*kinemill run {TASK}"):
            execute(instance, selection)


def test_graphql_offers_to_execute_every_check(copy):
    from starlette.testclient import TestClient

    offered = {}
    workspace = ROOT / "workspace.yaml"
    with (
        open_instance(copy.home) as instance,
        open_web_app(instance, workspace) as web,
        TestClient(web.app) as client,
    ):
        for asset in STAGES:
            query = {"query": CHECKS, "variables": {"asset": {"path": [TASK, asset]}}}
            response = client.post("/graphql", json=query).json()
            for check in response["data"]["assetNodeOrError"]["assetChecksOrError"]["checks"]:
                offered[asset, check["name"]] = check["canExecuteIndividually"]
    graph = definitions_of([load_task(TASK)]).resolve_asset_graph()
    declared = {(one.asset_key.path[1], one.name) for one in graph.asset_check_keys}
    assert set(offered) == declared
    assert set(offered.values()) == {"CAN_EXECUTE"}
