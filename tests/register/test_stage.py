import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinemill import runtime
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import Registration, fetch_bundle, list_versions, show, stage
from kinemill.register.lookup import VersionList
from kinemill.store import ArtifactRef, from_json_value, to_json_value
from kinemill.task import load_task
from kinemill.tracking import MlflowTracker, open_tracking, start_run
from tests.register.conftest import Claims
from tests.register.registrations import facts, gate_of

REFERENCES = ("persistence", "constant_velocity", "linear", "linear_sincos", "champion")


def test_the_first_verified_model_that_beats_the_baselines_is_champion(chain):
    registration = chain.register(0.1)
    assert facts(registration) == (1, "champion", "done")
    beaten = [f"{how}_{who}" for how in ("beats", "interval", "no_worse") for who in REFERENCES]
    others = ["evidence", "independent", "interface", "measured", "parity", "serves", "verified"]
    others += ["precision", "beats_physics"]  # the latter says that this data has none
    assert gate_of(registration) == dict.fromkeys([*beaten, *others], True)
    (champion,) = [item for item in registration.gate if item.rule == "beats_champion"]
    assert champion.value == "no champion"


def test_registering_again_changes_nothing_after_a_champion_and_after_a_refusal(chain):
    chain.register(0.1)
    refused = chain.register(0.31)  # linear is at 0.3
    assert (refused.status, refused.alias, refused.decision) == ("refused", "challenger", "refused")
    previous = list_versions("cart", chain.home)
    runs = _runs(chain.home)
    again = [chain.register(0.1), chain.register(0.31)]
    assert [item.status for item in again] == ["unchanged", "unchanged"]
    assert [item.alias for item in again] == ["champion", "challenger"]
    assert again[1].gate == refused.gate
    assert list_versions("cart", chain.home) == previous
    assert _runs(chain.home) == runs


def _runs(home):
    client = open_tracking(home).client
    return [run.info.run_id for run in client.search_runs([open_tracking(home).experiment("cart")])]


def test_a_changed_margin_makes_a_new_version_of_the_same_model(chain):
    chain.register(0.1)
    task = load_task(chain.task.path, {"promote.margin": 0.5})
    again = chain.register(0.1, task=task)
    assert (again.version, again.status) == (2, "done")


def test_the_version_carries_signature_files_tags_and_both_ways_of_lineage(chain):
    home = chain.home
    run_id = start_run(home, "cart", "k", params={"learn": {"lr": 0.1}})
    MlflowTracker(home, run_id).end()
    produced = chain.produce(0.1)
    registration = stage.run(
        chain.task, home, replace(produced, run_id=run_id), commit="abc123", evidence=Claims(0.1)
    )
    client = open_tracking(home).client
    run = client.get_run(run_id)
    assert registration.run_id == run_id
    assert run.data.tags["kinemill.version"] == "models:/cart/1"
    assert run.inputs.dataset_inputs[0].dataset.digest == produced.dataset.digest[:32]
    assert run.data.metrics["test/nrmse/model"] == 0.1
    logged = client.get_logged_model(registration.logged_model)
    # MLflow's page of the model says "Not registered" without it.
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "cart", "version": "1"}]
    existing = show("cart", home, ":1")
    assert existing.lineage == {
        "dataset": produced.dataset.digest,
        "model": produced.model.digest,
        "onnx": existing.files["rollout.onnx"],
        "verification": produced.verification.digest,
        "task": existing.lineage["task"],
        "commit": "abc123",
        "started_from": None,
    }
    (line,) = [one for one in existing.gate if one.rule == "beats_linear"]
    assert (line.passed, line.value) == (True, 0.1)
    assert existing.description.startswith("This model has an RMSE of")
    assert "kinemill model why cart:1" in existing.description
    assert "verdict" not in Path(existing.folder, "report.html").read_text()
    assert (
        "cart:1 is champion: it passed every rule of the gate." in Path(existing.report).read_text()
    )


def test_without_a_run_the_one_that_trained_the_model_is_found(chain):
    trained = chain.register(0.1).run_id
    task = load_task(chain.task.path, {"promote.margin": 0.1})
    assert chain.register(0.1, task=task).run_id == trained


def test_a_moved_home_still_loads_its_champion_and_registers_into_itself(chain, tmp_path):
    chain.register(0.1, gain=0.5)
    moved = tmp_path / "other place #1"
    shutil.copytree(chain.home.root, moved)
    shutil.rmtree(chain.home.root)
    simulator = runtime.load(fetch_bundle("models:/cart@champion", moved))
    out = simulator.rollout(np.zeros((1, 3, 2)), np.zeros((1, 2, 1)), np.ones((1, 1, 1)))
    assert out.tolist() == [[[0.5, 0.5]]]
    home = type(chain.home)(moved)
    there = type(chain)(home, chain.task)
    assert there.register(0.05, gain=0.6, champion=0.1).status == "done"
    shutil.rmtree(home.store / "bundle")  # MLflow's own copies moved along, too
    assert fetch_bundle("models:/cart/1", home).is_relative_to(moved)
    assert not chain.home.root.exists()


def test_a_lost_bundle_is_fetched_from_mlflow_and_a_changed_one_is_not_trusted(chain):
    chain.register(0.1)
    folder = fetch_bundle("models:/cart/1", chain.home)
    rollout = folder / "rollout.onnx"
    good = rollout.read_bytes()
    rollout.write_bytes(good[:-1] + b"x")
    copy = fetch_bundle("models:/cart@champion", chain.home)
    assert copy != folder
    assert (copy / "rollout.onnx").read_bytes() == good
    assert runtime.load(copy).history == 3


def test_a_champion_without_files_is_a_clear_error_and_a_run_brings_them_back(chain):
    chain.register(0.1)
    shutil.rmtree(chain.home.store / "bundle")
    shutil.rmtree(chain.home.artifacts)
    with pytest.raises(CorruptArtifact, match=r"models:/cart/1: has no intact files.*kinemill run"):
        fetch_bundle("models:/cart@champion", chain.home)
    lost = chain.register(0.05, gain=0.6)
    (verdict,) = [item for item in lost.gate if item.rule == "beats_champion"]
    assert verdict.value.startswith("champion version 1 cannot be loaded")
    assert chain.register(0.1).status == "unchanged"
    assert (fetch_bundle("models:/cart@champion", chain.home) / "io.yaml").is_file()


def test_what_is_not_there_or_no_address_says_so(chain, tmp_path):
    assert list_versions("cart", chain.home) == VersionList("cart", [])
    with pytest.raises(BadInput, match="cart: has no version yet; kinemill run cart"):
        show("cart", chain.home)
    with pytest.raises(BadInput, match="is not an address"):
        fetch_bundle("cart@champion", chain.home)
    with pytest.raises(BadInput, match="has no version yet"):
        fetch_bundle("models:/cart@champion", tmp_path / "nowhere")
    chain.register(0.1)
    with pytest.raises(BadInput, match=r"cart:7: is not a version; expected one of 1@champion"):
        show("cart", chain.home, ":7")


def test_the_models_document_has_exactly_the_promised_keys(chain):
    chain.register(0.1)
    listed = list_versions("cart", chain.home)
    document = to_json_value(listed)
    (version,) = listed.versions
    assert list(document) == ["task", "versions"]
    existing = ["version", "aliases", "status", "provisional", "created"]
    existing += ["dataset", "metrics", "gate"]
    assert list(document["versions"][0]) == existing
    assert (version.version, version.aliases) == (1, ["champion"])
    keys = ["rule", "passed", "value", "expected", "undecided"]
    assert list(document["versions"][0]["gate"][0]) == keys
    assert version.metrics.nrmse["model"] == 0.1


def test_a_registration_travels_as_json(chain):
    registration = chain.register(0.1)
    value = to_json_value(registration)
    assert from_json_value(value, Registration, Path()) == registration
    assert (chain.home.root / registration.report).is_file()


def test_mlflows_own_default_and_the_working_folder_are_left_alone(chain, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    chain.register(0.1)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert list(here.iterdir()) == []


def test_a_damaged_verification_is_not_registered(chain):
    produced = chain.produce(0.1)
    torn = type(produced)(
        ArtifactRef(produced.verification.path, "0" * 64),
        produced.onnx_model,
        produced.model,
        produced.dataset,
    )
    with pytest.raises(CorruptArtifact):
        stage.run(chain.task, chain.home, torn)
    assert list_versions("cart", chain.home).versions == []
