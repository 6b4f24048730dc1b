"""Pull the files of a champion to a folder: swapped atomically, kept without a registry."""

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import numpy as np
import pytest

from kinemill import runtime
from kinemill.errors import BadInput, CorruptArtifact, Unreachable
from kinemill.register import fetch_bundle
from kinemill.register.pulls import OfHome
from kinemill.runtime import download
from kinemill.runtime.download import run_stored_cases
from kinemill.runtime.registry_client import ServerSource
from kinemill.store.home import Home
from kinemill.tracking import open_tracking
from tests.conftest import ROOT, run_here
from tests.rest_server import ScriptedDagster, serve


def fine(folder):
    return True, "answered"


pull = partial(download.pull, try_it=fine)


def gain_of(folder):
    """Return the gain of the model in `folder`: its prediction for state 0 and action 1."""
    result = runtime.load(folder).rollout(
        np.zeros((1, 3, 2)), np.zeros((1, 2, 1)), np.ones((1, 1, 1))
    )
    return float(result[0, 0, 0])


@pytest.fixture
def source(with_champion):
    chain = with_champion()
    return OfHome(chain.home, "cart", "@champion")


def test_the_folder_is_the_champions_and_follows_it(chain, source, tmp_path):
    to = tmp_path / "robot" / "model"
    to.parent.mkdir()
    pulled = {"folder": str(to), "version": 1, "status": "pulled", "provisional": ""}
    assert pull(source, to) == pulled
    assert gain_of(to) == 0.5
    assert {"rollout.onnx", "step.onnx", "verification.json", "sha256sums"} <= {
        path.name for path in to.iterdir()
    }
    assert pull(source, to)["status"] == "unchanged"
    chain.register(0.05, gain=2.0, champion=0.1)
    assert (pull(source, to)["version"], gain_of(to)) == (2, 2.0)
    chain.register(0.02, gain=3.0, champion=0.05)
    chain.register(0.01, gain=4.0, champion=0.02)
    chain.register(0.005, gain=5.0, champion=0.01)
    assert [pull(source, to)["version"], gain_of(to)] == [5, 5.0]
    # One of the versions pulled before stays a while, for who is reading it.
    assert len(list((to.parent / ".model.versions").iterdir())) <= 1 + download.KEPT_VERSIONS


def test_a_registry_that_is_away_leaves_the_last_good_version(chain, source, tmp_path):
    to = tmp_path / "model"
    away = OfHome(Home(tmp_path / "not mounted"), "cart", "@champion")
    with pytest.raises(Unreachable, match="is missing: no registry, or not mounted"):
        pull(away, to)
    pull(source, to)
    result = pull(away, to)
    assert (result["version"], result["status"]) == (1, "kept")
    assert "not mounted" in result["why"]
    shutil.rmtree(chain.home.root)
    assert gain_of(to) == 0.5


def test_a_version_that_is_damaged_or_does_not_answer_is_not_taken(chain, source, tmp_path):
    to = tmp_path / "model"
    pull(source, to)
    chain.register(0.05, gain=2.0, champion=0.1)
    result = download.pull(source, to, lambda folder: (False, "ended with code -8"))
    assert (result["version"], result["status"]) == (1, "kept")
    assert "version 2: was not installed: it ended with code -8" in result["why"]

    class Damaging(OfHome):
        def copy(self, file_stat, folder):
            super().copy(file_stat, folder)
            (folder / "step.onnx").write_bytes(b"no model")

    damaging = Damaging(chain.home, "cart", "@champion")
    assert "its bytes have changed" in pull(damaging, to)["why"]
    assert gain_of(to) == 0.5
    with pytest.raises(CorruptArtifact):
        pull(damaging, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_was_pulled_and_damaged_since_is_pulled_again(source, tmp_path):
    to = tmp_path / "model"
    pull(source, to)
    (to / "rollout.onnx").write_bytes(b"no model")
    assert pull(source, to)["status"] == "pulled"
    assert gain_of(to) == 0.5


def test_a_folder_of_somebody_elses_is_left_alone_and_what_is_not_there_is_said(source, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    with pytest.raises(BadInput, match="exists and was not pulled"):
        pull(source, mine)
    with pytest.raises(BadInput, match="cart:7: is not a version"):
        pull(OfHome(source.home, "cart", ":7"), tmp_path / "model")


def test_who_reads_while_it_is_swapped_sees_one_version_whole(chain, source, tmp_path):
    chain.register(0.05, gain=2.0, champion=0.1)
    to, stop, observed, errors = tmp_path / "model", threading.Event(), set(), []
    first, second = (OfHome(chain.home, "cart", which) for which in (":1", ":2"))
    pull(first, to)

    def read():
        while not stop.is_set():
            try:
                observed.add(gain_of(to))
            except Exception as error:  # noqa: BLE001 - any error is what must not be
                errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(20):
        pull((second, first)[turn % 2], to)
    stop.set()
    reader.join(60)
    assert errors == []
    assert observed <= {0.5, 2.0}


def test_going_back_to_a_version_leaves_its_files_to_who_reads_them(chain, source, tmp_path):
    chain.register(0.05, gain=2.0, champion=0.1)
    to, inodes = tmp_path / "model", set()
    for which in (":1", ":2", ":1"):
        pull(OfHome(chain.home, "cart", which), to)
        inodes.add((gain_of(to), (to / "rollout.onnx").stat().st_ino))
    assert len(inodes) == 2


def test_watching_swaps_and_tells_only_what_is_new(chain, source, tmp_path):
    to, message, stop = tmp_path / "model", [], threading.Event()
    arrived = threading.Semaphore(0)

    def announce(results):
        message.append((results["version"], results["status"]))
        arrived.release()

    watcher = threading.Thread(
        target=download.watch, args=(source, to, announce, stop, 0.05), kwargs={"try_it": fine}
    )
    watcher.start()
    assert arrived.acquire(timeout=60)
    chain.register(0.05, gain=2.0, champion=0.1)
    assert arrived.acquire(timeout=60)
    database = chain.home.mlflow_db
    database.rename(database.with_suffix(".away"))
    assert arrived.acquire(timeout=60)
    stop.set()
    watcher.join(60)
    assert message == [(1, "pulled"), (2, "pulled"), (2, "kept")]
    assert gain_of(to) == 2.0


@pytest.fixture
def server(chain, source, task, monkeypatch):
    """Run a kinemill server of this registry; return it with the token of a read-only user."""
    monkeypatch.setenv("KINEMILL_TASKS", str(task.path.parent))
    with (
        dg.DagsterInstance.ephemeral() as instance,
        serve(chain.home, instance, ScriptedDagster(instance).query, rob="viewer") as served,
    ):
        url, tokens = served
        yield url, tokens["rob"]


def test_a_server_is_pulled_from_with_a_token_and_nothing_but_http(server, chain, tmp_path):
    (url, token), to = server, tmp_path / "model"
    with pytest.raises(Unreachable, match="responded with 401"):
        pull(ServerSource(url, "cart", "@champion"), to)
    served = ServerSource(url, "cart", "@champion", token)
    assert (pull(served, to)["status"], gain_of(to)) == ("pulled", 0.5)
    assert pull(ServerSource(url, "cart", ":1", token), to)["status"] == "unchanged"
    again = "model", "pull", "cart@champion", "--to", to, "--from", url, "--json"
    assert json.loads(run_here(*again, KINEMILL_TOKEN=token).stdout)["status"] == "unchanged"
    with pytest.raises(BadInput, match=r"cart@other.*is not a version"):
        pull(ServerSource(url, "cart", "@other", token), to)
    with pytest.raises(BadInput, match="task 'card': unknown; did you mean 'cart'"):
        pull(ServerSource(url, "card", "@champion", token), to)


def test_an_alias_of_a_fleet_is_pulled_like_the_champion(server, chain):
    url, token = server
    chain.register(0.05, gain=2.0, champion=0.1)
    open_tracking(chain.home).client.set_registered_model_alias("cart", "pilots", "1")
    assert ServerSource(url, "cart", "@pilots", token).resolve().version == 1
    assert ServerSource(url, "cart", "@champion", token).resolve().version == 2


def test_a_token_is_not_sent_on_to_where_a_server_leads(tmp_path):
    observed = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self):
            observed.append((self.path, self.headers["Authorization"]))
            if self.path.startswith("/api"):
                self.send_response(302)
                self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/other")
            else:
                self.send_response(500)
            self.end_headers()

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(Unreachable, match="responded with 500"):
            ServerSource(url, "cart", "@champion", "secret").resolve()
        server.shutdown()
    assert [token for _, token in observed] == ["Bearer secret", None]


# Lets no package in but the two that a robot has.
ALONE = """
import sys

class Only:
    def find_spec(self, name, path=None, target=None):
        known = sys.stdlib_module_names | {"kinemill", "numpy", "onnxruntime"}
        if name.partition(".")[0] not in known:
            raise ModuleNotFoundError(f"a robot has no {name}")

sys.meta_path.insert(0, Only())
import runpy
sys.argv = ["runtime", *sys.argv[1:]]
runpy.run_module("kinemill.runtime", run_name="__main__")
"""


def test_a_robot_with_numpy_and_onnxruntime_alone_pulls_over_http(server, tmp_path):
    (url, token), to = server, tmp_path / "model"
    message = subprocess.run(
        [sys.executable, "-c", ALONE, "pull", url, "cart@champion", "--to", str(to)],
        env=os.environ | {"KINEMILL_TOKEN": token, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert message.returncode == 0, message.stderr
    assert json.loads(message.stdout)["status"] == "pulled"
    assert gain_of(to) == 0.5


def test_a_model_that_dies_when_it_is_loaded_is_not_taken(chain, source, tmp_path, monkeypatch):
    folder = tmp_path / "bundle"
    shutil.copytree(fetch_bundle("models:/cart@champion", chain.home), folder)
    assert run_stored_cases(folder) == (True, "answered")
    (folder / "rollout.onnx").write_bytes(b"no model")
    good, message = run_stored_cases(folder)
    assert not good
    assert message.startswith("ended with code 1: ")
    monkeypatch.setattr(download, "_ANSWERING", 0.01)
    assert run_stored_cases(folder) == (False, "did not respond within 0.01 s")
