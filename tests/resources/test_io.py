"""References between assets: JSON, one set a run, moved only by what was handed on."""

import json

import dagster as dg
import pytest

from kinemill.errors import BadInput
from kinemill.store import ArtifactRef
from kinemill_dagster.resources.io import RefIOManager, handed_on, latest

FIRST, SECOND = ArtifactRef("store/a/t/1", "1" * 64), ArtifactRef("store/a/t/2", "2" * 64)


def emit(workspace, run, ref):
    context = dg.build_output_context(asset_key=dg.AssetKey(["t", "a"]), run_id=run)
    RefIOManager().handle_output(context, ref)


def test_run_reads_the_references_that_it_wrote(workspace):
    emit(workspace, "one", FIRST)
    emit(workspace, "two", SECOND)
    assert handed_on(workspace.home, "one", "t", "a") == FIRST
    assert handed_on(workspace.home, "two", "t", "a") == SECOND
    assert latest(workspace.home, "t", "a") == SECOND


def test_reference_is_a_small_json_file(workspace):
    emit(workspace, "one", FIRST)
    (file,) = (workspace.home.dagster / "refs" / "runs").rglob("*.json")
    assert json.loads(file.read_text()) == {"path": FIRST.path, "digest": FIRST.digest}


def test_missing_output_is_none(workspace):
    assert latest(workspace.home, "t", "a") is None


def chain(workspace, fail):
    """Two assets; the second fails when `fail` is not empty, and notes what it was given."""
    decision = []

    @dg.asset(key=["t", "a"], io_manager_key="refs")
    def first():
        return FIRST

    @dg.asset(
        key=["t", "b"], io_manager_key="refs", ins={"a": dg.AssetIn(key=dg.AssetKey(["t", "a"]))}
    )
    def second(a: ArtifactRef):
        decision.append(a)
        if fail:
            raise ValueError(fail)
        return a

    return [first, second], decision


def test_single_stage_starts_from_the_latest_artifact(workspace):
    assets, decision = chain(workspace, "")
    resources = {"refs": RefIOManager()}
    emit(workspace, "earlier", SECOND)
    dg.materialize(assets, selection=[dg.AssetKey(["t", "b"])], resources=resources)
    assert decision == [SECOND]


def test_retry_reads_the_references_of_its_parent_run(workspace):
    assets, decision = chain(workspace, "")
    resources = {"refs": RefIOManager()}
    with dg.DagsterInstance.ephemeral() as instance:
        previous = dg.materialize(assets[:1], resources=resources, instance=instance)
        emit(workspace, "meanwhile", SECOND)
        dg.materialize(
            assets,
            selection=[dg.AssetKey(["t", "b"])],
            resources=resources,
            instance=instance,
            tags={"dagster/parent_run_id": previous.run_id, "dagster/root_run_id": previous.run_id},
        )
    assert decision == [FIRST]


def test_stage_with_a_missing_input_names_the_command(workspace):
    assets, _ = chain(workspace, "")
    with pytest.raises(BadInput, match=r"t/a: does not exist yet; .*kinemill run t"):
        dg.materialize(
            assets, selection=[dg.AssetKey(["t", "b"])], resources={"refs": RefIOManager()}
        )
