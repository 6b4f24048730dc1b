"""Models over REST: listed, looked up, downloaded with hashes, promoted and rolled back."""

import hashlib

import pytest

from kinemill.register.champion_change import ChampionChange
from kinemill.store.locks import current_user
from kinemill_dagster.pipelines.server.rest import models


def test_models_and_versions_are_listed(trained, site):
    (line,) = trained.get("models")["models"]
    assert line == {"task": "tiny", "champion": 1, "versions": 1}
    (version,) = trained.get("models/tiny")["versions"]
    assert (version["version"], version["aliases"]) == (1, ["champion"])
    assert version["gate"]


def test_task_without_a_version_has_no_models(site):
    assert site.get("models") == {"models": []}
    assert site.get("models/tiny") == {"task": "tiny", "versions": []}
    message = "tiny: has no version yet; kinemill run tiny"
    assert site.get("models/tiny/@champion", status=404)["message"] == message
    assert site.get("models/nobody", status=404)["message"].startswith("task 'nobody': unknown")


@pytest.mark.parametrize("which", ["1", "@champion"])
def test_version_is_found_by_number_and_alias(trained, which):
    version = trained.get(f"models/tiny/{which}")
    assert (version["version"], version["address"]) == (1, "models:/tiny/1")
    assert version["files"].keys() >= {"step.onnx", "rollout.onnx"}
    assert not version.keys() & {"folder", "report"}


@pytest.mark.parametrize(("which", "status"), [("7", 404), ("@nobody", 404), ("champion", 400)])
def test_missing_version_is_an_error(trained, which, status):
    trained.get(f"models/tiny/{which}", status=status)


def test_files_of_a_version_alone_can_be_downloaded(trained):
    resolved = trained.get("models/tiny/@champion/resolve")
    assert (resolved["version"], resolved["task"]) == (1, "tiny")

    def download(name):
        return trained.client.get(f"/api/v1/models/tiny/1/files/{name}")

    assert hashlib.sha256(download("sha256sums").content).hexdigest() == resolved["sums"]
    for name, digest in resolved["files"].items():
        assert hashlib.sha256(download(name).content).hexdigest() == digest
    for name in ("summary.json", "../x", "%2e%2e/x", "nothing"):
        assert download(name).status_code == 404


@pytest.mark.parametrize("what", ["promote", "rollback"])
def test_decision_records_its_user(trained, monkeypatch, what):
    authors = []

    def decide(task, home, *which, **settings):
        authors.append((current_user(), task.name, which, settings))
        return ChampionChange("tiny", 1, ["champion"], "champion", "", 2, [], [])

    monkeypatch.setattr(models, what, decide)
    body = {"why": "ran well", "expected": 0} | ({"version": 1} if what == "promote" else {})
    change = trained.post(f"models/tiny/{what}", body)
    assert (change["version"], change["previous_champion"]) == (1, 2)
    ((author, task, *_, settings),) = authors
    assert (author, task, settings["why"]) == ("otto", "tiny", "ran well")
    assert settings["expected"] is None  # there is no champion yet
    assert current_user() != "otto"


def test_trials_record_their_user_and_impossible_counts_are_refused(trained, monkeypatch):
    post, path = trained.post, "models/tiny/trials"
    counts = {"success": 17, "of": 20, "note": "lab"}
    assert "is not a version" in post(path, {"version": 7, **counts}, status=404)["message"]
    for wrong in ({"success": 21}, {"success": -1}, {"of": 0}):
        post(path, {"version": 1, **counts, **wrong}, status=400)
    recorded = []

    def record(task, home, which, successes, of, *, note):
        recorded.append((current_user(), task.name, which, successes, of, note))
        return ChampionChange("tiny", 1, ["champion"], "champion", "", None, [], [])

    monkeypatch.setattr(models, "record_trials", record)
    assert post(path, {"version": 1, **counts})["decision"] == "champion"
    assert recorded == [("otto", "tiny", ":1", 17, 20, "lab")]


def test_invalid_promotion_or_rollback_is_an_error(trained):
    post, promote = trained.post, "models/tiny/promote"
    assert "is not a version" in post(promote, {"version": 7}, status=404)["message"]
    changed = post(promote, {"version": 1, "expected": 9}, status=400)["message"]
    assert "champion" in changed
    assert "a reason" in post(promote, {"version": 1, "force": True}, status=400)["message"]
    post("models/tiny/rollback", {}, status=400)
    post("models/nobody/rollback", {}, status=404)
