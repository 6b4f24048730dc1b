import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kinemill import runtime
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import (
    Registration,
    deciding,
    fetch_bundle,
    list_versions,
    register,
    registering,
    show,
    tags,
)
from kinemill.register.evidence import TestSplit
from kinemill.spec import load_task
from kinemill.store import Ref
from kinemill.tracking import MlflowTracker, open_tracking, start_run
from tests.register.conftest import Claims

REFERENCES = ("persistence", "linear", "champion")


def facts(registration):
    return registration.version, registration.alias, registration.status


def found_by(registration, rule):
    (line,) = [item for item in registration.gate if item["rule"] == rule]
    return line["found"]


def gate_of(registration):
    return {item["rule"]: item["passed"] for item in registration.gate}


def test_the_first_verified_model_that_beats_the_baselines_is_champion(chain):
    registration = chain.register(0.1)
    assert (registration.version, registration.alias, registration.status) == (
        1,
        "champion",
        "done",
    )
    beaten = [f"{how}_{who}" for how in ("beats", "interval") for who in REFERENCES]
    others = ["episodes", "interface", "measured", "parity", "serves", "verified"]
    assert gate_of(registration) == dict.fromkeys([*beaten, *others], True)
    (champion,) = [item for item in registration.gate if item["rule"] == "beats_champion"]
    assert champion["found"] == "no champion"


def test_registering_again_changes_nothing_after_a_champion_and_after_a_refusal(chain):
    chain.register(0.1)
    refused = chain.register(0.31)  # linear is at 0.3
    assert (refused.status, refused.alias, refused.summary["decision"]) == (
        "refused",
        "challenger",
        "refused",
    )
    before = list_versions("cart", chain.home)
    runs = _runs(chain.home)
    again = [chain.register(0.1), chain.register(0.31)]
    assert [item.status for item in again] == ["unchanged", "unchanged"]
    assert [item.alias for item in again] == ["champion", "challenger"]
    assert again[1].gate == refused.gate
    assert list_versions("cart", chain.home) == before
    assert _runs(chain.home) == runs


def _runs(home):
    client = open_tracking(home).client
    return [run.info.run_id for run in client.search_runs([open_tracking(home).experiment("cart")])]


def test_a_champion_is_replaced_only_by_one_that_is_better_by_the_margin(chain):
    chain.register(0.1)
    # The champion is measured afresh at 0.2: 2 % better is 0.196.
    worse = chain.register(0.1961, gain=0.6, champion=0.2)
    assert (worse.status, gate_of(worse)["beats_champion"]) == ("refused", False)
    better = chain.register(0.196, gain=0.7, champion=0.2)
    assert (better.status, better.alias, better.summary["previous_champion"]) == (
        "done",
        "champion",
        1,
    )
    aliases = {
        item["version"]: item["aliases"] for item in list_versions("cart", chain.home)["versions"]
    }
    assert aliases == {3: ["champion"], 2: [], 1: []}


def test_the_champion_that_is_measured_is_the_registered_file(chain):
    chain.register(0.1, gain=0.5)
    seen = []

    class Watching(Claims):
        def measure(self, challenger, champion=None):
            zeros = np.zeros((1, 3, 2)), np.zeros((1, 2, 1))
            for model in (challenger, champion):
                if model is not None:
                    seen.append(model.rollout(*zeros, np.full((1, 1, 1), 4.0)))
            return super().measure(challenger, champion)

    chain.register(0.05, gain=0.9, evidence=Watching(0.05))
    assert [float(answer[0, 0, 0]) for answer in seen] == pytest.approx([3.6, 3.6, 2.0])


def test_by_default_the_champion_is_measured_on_the_test_split_at_the_tasks_horizon(chain):
    chain.register(0.1, gain=0.5)
    # States alternate 1, -1 (deviation 1). The champion answers the last state + 0.5 * 2 N, which
    # after an even number of steps is off by 1: an nrmse of 1, whatever its history.
    task = load_task(chain.task.path, {"verify.horizon": 4})
    test = TestSplit(task, chain.home, chain.produce().dataset)
    registration = chain.register(0.5, gain=0.6, history=5, task=task, evidence=test)
    (verdict,) = [item for item in registration.gate if item["rule"] == "beats_champion"]
    assert verdict["wanted"] == "<= 0.98 (champion version 1: 1, margin 0.02)"
    task = load_task(chain.task.path, {"verify.horizon": 100})
    test = TestSplit(task, chain.home, chain.produce().dataset)
    registration = chain.register(0.5, gain=0.7, task=task, evidence=test)
    (verdict,) = [item for item in registration.gate if item["rule"] == "beats_champion"]
    assert "cannot be tried: test split: its longest episode has 40 rows" in verdict["found"]


@pytest.mark.parametrize(("found", "status"), [(float("nan"), "refused"), (float("inf"), "done")])
def test_a_champion_that_diverges_is_beaten_and_one_not_measured_is_not(chain, found, status):
    chain.register(0.1)
    assert chain.register(0.05, gain=0.6, champion=found).status == status


def test_an_error_of_nan_beats_nothing(chain):
    registration = chain.register(None)
    assert registration.status == "refused"
    assert gate_of(registration)["beats_persistence"] is False
    assert registration.gate[0]["found"] == "nan"


def test_a_failed_verification_is_refused_though_its_numbers_are_good(chain):
    registration = chain.register(0.01, passed=False)
    assert (registration.status, gate_of(registration)["verified"]) == ("refused", False)
    assert found_by(registration, "verified") == "failed: step parity"


def test_latency_is_asked_only_when_the_task_sets_a_bound(chain, tmp_path):
    task = load_task(chain.task.path, {"verify.latency_p99_ms": 0.3})
    slow = chain.register(0.1, p99=0.4, task=task)
    assert (slow.status, gate_of(slow)["latency"]) == ("refused", False)
    quick = chain.register(0.1, p99=0.2, task=task)
    assert (quick.status, gate_of(quick)["latency"]) == ("done", True)


def test_other_channels_than_the_champions_are_refused_with_what_differs(chain):
    chain.register(0.1)
    units = {"position": "m", "velocity": "m/s", "force": "kN"}
    other = chain.register(0.01, gain=0.6, units=units, dt=0.05)
    (verdict,) = [item for item in other.gate if item["rule"] == "beats_champion"]
    assert (other.status, verdict["passed"]) == ("refused", False)
    assert "dt of the champion 0.02, of the challenger 0.05" in verdict["found"]
    assert "force of the champion in N, of the challenger in kN" in verdict["found"]
    assert "dt of the champion 0.02" in found_by(other, "interface")


def test_another_history_than_the_champions_is_compared_and_breaks_who_runs_it(chain):
    chain.register(0.1)
    other = chain.register(0.05, gain=0.6, history=5, champion=0.1)
    assert [line["rule"] for line in other.gate if not line["passed"]] == ["interface"]
    assert found_by(other, "interface") == "history of the champion 3, of the challenger 5"
    task = load_task(chain.task.path, {"promote.same_interface": False})
    assert chain.register(0.05, gain=0.6, history=5, champion=0.1, task=task).status == "done"


def test_a_changed_margin_makes_a_new_version_of_the_same_model(chain):
    chain.register(0.1)
    task = load_task(chain.task.path, {"promote.margin": 0.5})
    again = chain.register(0.1, task=task)
    assert (again.version, again.status) == (2, "done")


def test_after_an_upgrade_a_model_verified_anew_to_the_same_end_is_unchanged(chain, monkeypatch):
    """The key holds the digest of the verification, and a newer kinemill's says more."""
    from tests.register import conftest

    older, off = conftest.verification, 1.001  # another processor rounds so

    def newer(*args):
        document = older(*args) | {"more": off}
        document["metrics"]["test"]["position"]["model"] *= off
        return document

    chain.register(0.1)
    monkeypatch.setattr(conftest, "verification", newer)
    again = chain.register(0.1)
    tracking = open_tracking(chain.home)  # as if one from before versions said what was asked:
    tracking.client.delete_model_version_tag("cart", "1", tags.WISHES)
    off = 1.002
    assert chain.register(0.1) == again
    assert (again.status, again.version) == ("unchanged", 1)
    off = 1.1
    assert chain.register(0.1).version == 2


def test_the_version_carries_signature_files_tags_and_both_ways_of_lineage(chain):
    home = chain.home
    run_id = start_run(home, "cart", "k", params={"learn": {"lr": 0.1}})
    MlflowTracker(home, run_id).end()
    produced = chain.produce(0.1)
    registration = register(
        chain.task, home, produced, commit="abc123", run_id=run_id, evidence=Claims(0.1)
    )
    client = open_tracking(home).client
    run = client.get_run(run_id)
    assert registration.run_id == run_id
    assert run.data.tags["kinemill.version"] == "models:/cart/1"
    assert run.inputs.dataset_inputs[0].dataset.digest == produced.dataset.digest[:32]
    assert run.data.metrics["test/nrmse/model"] == 0.1
    logged = client.get_logged_model(registration.summary["logged_model"])
    # MLflow's page of the model says "Not registered" without it.
    assert json.loads(logged.tags["mlflow.modelVersions"]) == [{"name": "cart", "version": "1"}]
    known = show("cart", home, ":1")
    assert known["lineage"] == {
        "dataset": produced.dataset.digest,
        "model": produced.model.digest,
        "onnx": known["files"]["rollout.onnx"],
        "verification": produced.verification.digest,
        "task": known["lineage"]["task"],
        "commit": "abc123",
        "previous": "0",
        "started_from": None,
    }
    assert known["tags"]["kinemill.gate.beats_linear"].startswith(
        "passed: found 0.1, wanted <= 0.294"
    )
    assert "| beats_linear | yes | 0.1 |" in known["description"]
    assert "verdict" not in Path(known["folder"], "report.html").read_text()
    assert "cart version 1 is champion" in Path(known["report"]).read_text()


def test_mlflow_loads_the_champion_whole_with_its_signature(chain):
    import mlflow.onnx
    import onnxruntime as ort

    chain.register(0.1, gain=0.5)
    chain.register(0.05, gain=2.0, champion=0.1)  # a second log keeps its weights
    with open_tracking(chain.home).as_default():
        model = mlflow.onnx.load_model("models:/cart@champion")
        info = mlflow.models.get_model_info("models:/cart@champion")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"states": (1, 3, 2), "past_actions": (1, 2, 1), "actions": (1, 4, 1)}
    feed = {name: np.ones(shape, dtype=np.float32) for name, shape in feed.items()}
    np.testing.assert_array_equal(session.run(None, feed)[0], np.full((1, 4, 2), 3.0))
    assert [(item.name, item.shape) for item in info.signature.inputs] == [
        ("states", (-1, 3, 2)),
        ("past_actions", (-1, 2, 1)),
        ("actions", (-1, -1, 1)),
    ]
    assert [(item.name, item.shape) for item in info.signature.outputs] == [
        ("next_states", (-1, -1, 2))
    ]


def test_without_a_run_the_one_that_trained_the_model_is_found(chain):
    trained = chain.register(0.1).run_id
    task = load_task(chain.task.path, {"promote.margin": 0.1})
    assert chain.register(0.1, task=task).run_id == trained


class Killed(BaseException):
    """Stands for the end of the process in the middle of a registration."""


PLACES = [
    (registering, "decide"),  # the version is there, nothing else
    (deciding, "_write_down"),  # challenger is set
    (deciding, "switch"),  # the verdict is written
    (deciding, "aliases_of"),  # before the champion is looked up
]


@pytest.mark.parametrize(("module", "name"), PLACES, ids=[name for _, name in PLACES])
def test_killed_before_the_decision_the_version_is_finished_not_doubled(
    chain, monkeypatch, module, name
):
    def die(*args, **kwargs):
        raise Killed

    monkeypatch.setattr(module, name, die)
    with pytest.raises(Killed):
        chain.register(0.1)
    monkeypatch.undo()
    (half,) = list_versions("cart", chain.home)["versions"]
    assert "champion" not in half["aliases"]
    registration = chain.register(0.1)
    assert (registration.version, registration.status, registration.alias) == (
        1,
        "done",
        "champion",
    )
    assert len(list_versions("cart", chain.home)["versions"]) == 1


def test_killed_after_the_switch_the_written_verdict_stands(chain, monkeypatch):
    chain.register(0.1)
    client = type(open_tracking(chain.home).client)

    def die(*args, **kwargs):
        raise Killed

    # The last thing after `champion` moved.
    monkeypatch.setattr(client, "delete_registered_model_alias", die)
    with pytest.raises(Killed):
        chain.register(0.05, gain=0.6, champion=0.1)
    monkeypatch.undo()
    # Measured again it would have to beat itself; what was written before the switch stands.
    registration = chain.register(0.05, gain=0.6, champion=0.0)
    assert (registration.version, registration.status, registration.alias) == (
        2,
        "done",
        "champion",
    )
    assert registration.summary["previous_champion"] == 1
    (verdict,) = [item for item in registration.gate if item["rule"] == "beats_champion"]
    assert "<= 0.098" in verdict["wanted"]
    assert show("cart", chain.home, "@champion")["aliases"] == ["champion"]


ANOTHER_PROCESS = """
import json, os, signal, sys
from pathlib import Path
from kinemill.home import Home
from kinemill.register import Produced, deciding, register
from kinemill.spec import load_task
from kinemill.store import Ref
from tests.register.conftest import Claims

task, home, refs, die = sys.argv[1:]
if die:
    deciding._write_down = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
produced = Produced(**{name: Ref(**ref) for name, ref in json.loads(refs).items()})
found = register(load_task(task), Home(Path(home)), produced, evidence=Claims(0.1, 0.2))
print(json.dumps([found.version, found.status]))
"""


def _elsewhere(chain, produced, die=""):
    refs = {name: ref.to_json() for name, ref in vars(produced).items()}
    where = [str(chain.task.path), str(chain.home.root), json.dumps(refs), die]
    return subprocess.Popen(
        [sys.executable, "-c", ANOTHER_PROCESS, *where],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )


def test_a_registration_killed_with_sigkill_leaves_no_lock_behind(chain):
    process = _elsewhere(chain, chain.produce(0.1), die="now")
    assert process.wait(200) == -signal.SIGKILL
    assert chain.register(0.1).status == "done"
    assert len(list_versions("cart", chain.home)["versions"]) == 1


def test_two_models_and_one_of_them_twice_registered_at_once_take_turns(chain):
    produced = chain.produce(0.1)
    processes = [_elsewhere(chain, produced) for _ in range(2)]
    here = chain.register(0.1, gain=0.7, champion=0.2)
    found = [json.loads(process.communicate(timeout=300)[0])[1] for process in processes]
    assert sorted([*found, here.status]) == ["done", "done", "unchanged"]
    versions = list_versions("cart", chain.home)["versions"]
    assert [item["version"] for item in versions] == [2, 1]
    assert [item["aliases"] for item in versions] == [["champion"], []]


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
    with pytest.raises(CorruptArtifact, match=r"models:/cart/1: has no whole files.*kinemill run"):
        fetch_bundle("models:/cart@champion", chain.home)
    lost = chain.register(0.05, gain=0.6)
    (verdict,) = [item for item in lost.gate if item["rule"] == "beats_champion"]
    assert verdict["found"].startswith("champion version 1 cannot be loaded")
    assert chain.register(0.1).status == "unchanged"
    assert (fetch_bundle("models:/cart@champion", chain.home) / "io.json").is_file()


def test_what_is_not_there_or_no_address_says_so(chain, tmp_path):
    assert list_versions("cart", chain.home) == {"task": "cart", "versions": []}
    with pytest.raises(BadInput, match="cart: has no version yet; kinemill run cart"):
        show("cart", chain.home)
    with pytest.raises(BadInput, match="is no address"):
        fetch_bundle("cart@champion", chain.home)
    with pytest.raises(BadInput, match="is not there"):
        fetch_bundle("models:/cart@champion", tmp_path / "nowhere")
    chain.register(0.1)
    with pytest.raises(BadInput, match=r"cart:7: is no version; expected one of 1@champion"):
        show("cart", chain.home, ":7")


def test_the_models_document_has_exactly_the_promised_keys(chain):
    chain.register(0.1)
    document = list_versions("cart", chain.home)
    (version,) = document["versions"]
    assert list(document) == ["task", "versions"]
    assert list(version) == ["version", "aliases", "created", "dataset", "metrics", "gate"]
    assert (version["version"], version["aliases"]) == (1, ["champion"])
    assert list(version["gate"][0]) == ["rule", "passed", "found", "wanted"]
    assert version["metrics"]["nrmse"]["model"] == 0.1


def test_a_registration_travels_as_json(chain):
    registration = chain.register(0.1)
    assert Registration.from_json(registration.to_json()) == registration
    assert (chain.home.root / registration.report).is_file()


def test_mlflows_own_default_and_the_working_folder_are_left_alone(chain, tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    chain.register(0.1)
    assert "MLFLOW_TRACKING_URI" not in os.environ
    assert list(here.iterdir()) == []


def test_no_pickle_is_under_the_home(chain):
    chain.register(0.1)
    files = [path for path in chain.home.root.rglob("*") if path.is_file()]
    assert len(files) > 20
    # A pickle of protocol 2 or later begins with 0x80 and the number of the protocol.
    assert [path for path in files if path.read_bytes()[:1] == b"\x80"] == []
    assert {path.suffix for path in files}.isdisjoint({".pkl", ".pickle", ".pt"})


def test_a_damaged_verification_is_not_registered(chain):
    produced = chain.produce(0.1)
    torn = type(produced)(
        Ref(produced.verification.path, "0" * 64),
        produced.onnx_model,
        produced.model,
        produced.dataset,
    )
    with pytest.raises(CorruptArtifact):
        register(chain.task, chain.home, torn)
    assert list_versions("cart", chain.home)["versions"] == []
