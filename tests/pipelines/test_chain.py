"""The whole chain on a small task, in this process: first run, second run, one log more."""

import re

import dagster as dg
import pytest

from kinemill.errors import BadInput, Blocked
from kinemill.register import find_version, list_versions
from kinemill.store import to_json_value
from kinemill.task import load_task
from kinemill.tracking import open_tracking
from kinemill_dagster.assets import CHAIN
from kinemill_dagster.pipelines.chain import chain_job, definitions_of
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.run import _is_accepted, run_chain, run_config
from kinemill_dagster.resources.io import latest
from tests.dagster_internals import StaleStatus, stale_status
from tests.pipelines.conftest import TASK

pytestmark = pytest.mark.e2e
MADE = ("dataset", "training_set", "model", "onnx_model", "verification")


def test_run_document_has_the_results_of_all_stages(first_run):
    site, document = first_run
    assert set(to_json_value(document)) == {
        "task", "status", "episodes", "dataset", "metrics", "verification", "version", "alias",
        "gate", "report", "seconds", "warnings", "selection", "provisional", "headline",
    }  # fmt: skip
    assert (document.task, document.status) == (TASK, "done")
    assert document.episodes.accepted >= 5
    assert document.episodes.cached == 1  # the copy under another name
    assert set(document.metrics.test) == {
        "cart_position", "pole_angle", "cart_velocity", "pole_velocity",
    }  # fmt: skip
    for line in document.metrics.test.values():
        assert set(line.rmse) >= {"model", "persistence", "constant_velocity", "linear"}
    assert document.verification.passed
    assert document.verification.latency_ms.p50 > 0.0
    assert (document.version, document.alias) == (1, "champion")
    assert all(line.passed for line in document.gate)
    assert set(document.seconds) == set(CHAIN)
    assert (site.home.root / document.report).is_file()


def test_terminal_run_has_the_job_of_the_code_location_and_its_output(first_run):
    site, _ = first_run
    with open_instance(site.home) as instance:
        (run,) = instance.get_runs()
        origin = run.remote_job_origin
        assert (origin.location_name, origin.job_name) == ("kinemill", TASK)
        assert origin.repository_origin.repository_name == "__repository__"
        captured = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
        file_key = captured[0].dagster_event.logs_captured_data.file_key
        manager = instance.compute_log_manager
        key = manager.build_log_key_for_run(run.run_id, file_key)
        assert manager.is_capture_complete(key)


@pytest.mark.parametrize(
    ("overrides", "folder", "accepted"),
    [
        ({"learn.steps": 5}, "more", True),
        ({"learn.loss": "loss.py:Loss"}, None, False),
        ({}, "..", False),
    ],
)
def test_run_with_local_code_or_folders_is_refused_by_the_servers(
    workspace, overrides, folder, accepted
):
    task, logs = load_task(TASK), workspace.home.logs(TASK) / folder if folder else None
    config = run_config(task, overrides, logs)
    assert _is_accepted(chain_job(task), task, config, logs) == accepted


def test_home_after_a_run_has_no_pickle(first_run):
    site, _ = first_run
    files = [path for path in site.home.root.rglob("*") if path.is_file()]
    assert [p for p in files if p.suffix in {".pkl", ".pickle", ".pt", ".pth", ".joblib"}] == []
    # Protocol 2 and later start with 0x80 and the protocol's number, and end with a stop sign.
    pickled = [
        path
        for path in files
        if (content := path.read_bytes())[:1] == b"\x80" and content[-1:] == b"."
    ]
    assert pickled == []


def test_asset_metadata_has_curves_tables_and_links(first_run):
    site, _ = first_run
    metadata = {
        asset: event.asset_materialization.metadata
        for asset, event in _materializations(site).items()
    }
    assert metadata["model"]["loss_curve"].value.startswith("![loss](data:image/png;base64,iVBOR")
    assert isinstance(metadata["verification"]["errors"], dg.TableMetadataValue)
    assert metadata["registered_model"]["report"].value.endswith("report.html")
    # No server serves pages of this home, so there are names and paths in place of links.
    assert metadata["registered_model"]["registry"] == dg.TextMetadataValue("models:/tiny/1")
    assert re.fullmatch(r"m-\w+", metadata["registered_model"]["files"].value)
    assert [
        n for one in metadata.values() for n, v in one.items() if isinstance(v, dg.UrlMetadataValue)
    ] == []
    assert metadata["recordings"]["reasons"].records[0].data["check"]


def test_second_run_is_unchanged(copy):
    run_chain(TASK)  # the first to have a champion: what is usual for that is measured once
    previous, versions = _state(copy), _data_versions(copy)
    document = run_chain(TASK)
    assert document.status == "unchanged"
    assert document.version == 1
    assert _state(copy) == previous
    assert _data_versions(copy) == versions
    assert _stale(copy) == []


@pytest.mark.ci
@pytest.mark.usefixtures("in_this_process")
def test_cached_stage_is_recomputed_if_the_run_says_so(copy):
    trained = {asset: copy.home.root / latest(copy.home, TASK, asset).path for asset in MADE}
    previous = {asset: folder.stat().st_ino for asset, folder in trained.items()}
    assert run_chain(TASK, recompute=["dataset", "model"]).status == "unchanged"
    assert [asset for asset in MADE if trained[asset].stat().st_ino != previous[asset]] == [
        "dataset",
        "model",
    ]
    with pytest.raises(BadInput, match=r"--recompute modle.*model"):
        run_chain(TASK, recompute=["modle"])


@pytest.mark.ci
@pytest.mark.usefixtures("in_this_process")
def test_refused_version_keeps_the_champion_and_a_rerun_is_unchanged(copy):
    strict = {"promote.beats": ["persistence"], "promote.margin": 0.999}
    refused = run_chain(TASK, strict)
    assert (refused.status, refused.version, refused.alias) == ("refused", 2, "challenger")
    assert [line.rule for line in refused.gate if not line.passed] == ["beats_persistence"]
    assert find_version(copy.home, TASK, "@champion").number == 1
    previous, versions = _state(copy), _data_versions(copy)
    assert run_chain(TASK, strict).status == "unchanged"
    assert (_state(copy), _data_versions(copy)) == (previous, versions)
    assert _stale(copy) == []


def test_blocking_check_stops_the_chain_and_moves_no_reference(copy):
    previous = {asset: latest(copy.home, TASK, asset) for asset in CHAIN.values()}
    with pytest.raises(Blocked) as refused:
        run_chain(TASK, {"validate.min_steps": 5000})
    message = str(refused.value)
    assert message.index("min_steps, ") < message.index("blocked by 2 check(s): accepted_not_empty")
    assert "there is no episode to look at" not in message
    assert f"kinemill data quarantine list {TASK} shows all reasons" in message
    assert {asset: latest(copy.home, TASK, asset) for asset in CHAIN.values()} == previous
    assert len(list_versions(TASK, copy.home).versions) == 1


def _materializations(workspace):
    with open_instance(workspace.home) as instance:
        return {
            asset: instance.get_latest_materialization_event(dg.AssetKey([TASK, asset]))
            for asset in CHAIN.values()
        }


def _data_versions(workspace):
    return {
        asset: event.asset_materialization.tags["dagster/data_version"]
        for asset, event in _materializations(workspace).items()
    }


def _stale(workspace):
    """The assets that Dagster's pages would not show as fresh."""
    graph = definitions_of([load_task(TASK)]).resolve_asset_graph()
    with open_instance(workspace.home) as instance:
        keys = graph.materializable_asset_keys
        return [key for key in keys if stale_status(instance, graph, key) != StaleStatus.FRESH]


def _state(workspace):
    """Everything that a run may change: artifacts, trainings, MLflow runs, versions."""
    tracking = open_tracking(workspace.home)
    runs = tracking.client.search_runs([tracking.experiment(TASK)])
    return {
        "outcomes": sorted(str(path) for path in workspace.home.store.glob("*/*/*/MANIFEST.json")),
        "jobs": sorted(
            (str(path), path.stat().st_mtime_ns)
            for path in (workspace.home.dagster / "trainings").rglob("job.json")
        ),
        "runs": sorted(run.info.run_id for run in runs),
        "versions": list_versions(TASK, workspace.home),
    }
