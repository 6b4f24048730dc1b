"""References between assets: JSON, one set a run, moved only by what was handed on."""

import json

import dagster as dg
import pytest

from kinemill.errors import BadInput
from kinemill.store import ArtifactRef
from resources.io import RefIOManager, handed_on, latest

FIRST, SECOND = ArtifactRef("store/a/t/1", "1" * 64), ArtifactRef("store/a/t/2", "2" * 64)


def emit(place, run, ref):
    context = dg.build_output_context(asset_key=dg.AssetKey(["t", "a"]), run_id=run)
    RefIOManager().handle_output(context, ref)


def test_each_run_reads_what_it_handed_on_itself(place):
    emit(place, "one", FIRST)
    emit(place, "two", SECOND)
    assert handed_on(place.home, "one", "t", "a") == FIRST
    assert handed_on(place.home, "two", "t", "a") == SECOND
    assert latest(place.home, "t", "a") == SECOND


def test_a_reference_is_a_small_json_file(place):
    emit(place, "one", FIRST)
    (file,) = (place.home.dagster / "refs" / "runs").rglob("*.json")
    assert json.loads(file.read_text()) == {"path": FIRST.path, "digest": FIRST.digest}


def test_nothing_handed_on_is_none(place):
    assert latest(place.home, "t", "a") is None


def chain(place, fail):
    """Two assets; the second fails when `fail` is not empty, and notes what it was given."""
    given = []

    @dg.asset(key=["t", "a"], io_manager_key="refs")
    def first():
        return FIRST

    @dg.asset(
        key=["t", "b"], io_manager_key="refs", ins={"a": dg.AssetIn(key=dg.AssetKey(["t", "a"]))}
    )
    def second(a: ArtifactRef):
        given.append(a)
        if fail:
            raise ValueError(fail)
        return a

    return [first, second], given


def test_a_stage_run_by_itself_starts_from_the_latest(place):
    assets, given = chain(place, "")
    resources = {"refs": RefIOManager()}
    emit(place, "earlier", SECOND)
    dg.materialize(assets, selection=[dg.AssetKey(["t", "b"])], resources=resources)
    assert given == [SECOND]


def test_a_retry_reads_what_the_run_before_it_handed_on(place):
    assets, given = chain(place, "")
    resources = {"refs": RefIOManager()}
    with dg.DagsterInstance.ephemeral() as instance:
        before = dg.materialize(assets[:1], resources=resources, instance=instance)
        emit(place, "meanwhile", SECOND)
        dg.materialize(
            assets,
            selection=[dg.AssetKey(["t", "b"])],
            resources=resources,
            instance=instance,
            tags={"dagster/parent_run_id": before.run_id, "dagster/root_run_id": before.run_id},
        )
    assert given == [FIRST]


def test_a_stage_whose_input_was_never_made_says_what_to_do(place):
    assets, _ = chain(place, "")
    with pytest.raises(BadInput, match=r"t/a: has not been made yet; .*kinemill run t"):
        dg.materialize(
            assets, selection=[dg.AssetKey(["t", "b"])], resources={"refs": RefIOManager()}
        )
