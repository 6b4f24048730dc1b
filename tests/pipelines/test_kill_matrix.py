"""Everything that can be killed is killed, on a real `kinemill ui`: runs go on, states are true."""

import signal
import time

import psutil
import pytest

from kinemill.store.home import Home
from kinemill.tracking import open_tracking
from kinemill_dagster.resources.processes import send, wait_for
from tests.pipelines.conftest import TASK, TINY, Workspace, copy_home, messages_of_run
from tests.pipelines.serving import TERMINATE, serve
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

LONG = {"steps": 1_000_000, "patience": None, "save_every": 200}
ENOUGH = {"steps": 4_000, "patience": None, "save_every": 200}
QUIET = "retrain: {cron: null, on_arrival: false, on_drift: false}"


@pytest.fixture(scope="module")
def served(first_run, tmp_path_factory):
    """`kinemill ui` on a copy of the home on which the chain ran; nothing starts by itself."""
    original, _ = first_run
    folder = tmp_path_factory.mktemp("killed")
    (folder / "tasks").mkdir()
    tiny = TINY.replace("retrain: {cron: null}", QUIET)
    (folder / "tasks" / f"{TASK}.yaml").write_text(tiny)
    site = Workspace(Home(folder / "home"), folder / "tasks")
    copy_home(original.home, site.home.root)
    with pytest.MonkeyPatch.context() as patch:
        site.enter(patch)
        with serve(site, ports=(3910, 5910)) as active:
            yield active


def mlflow_statuses(home):
    tracking = open_tracking(home)
    runs = tracking.client.search_runs([tracking.experiment(TASK)])
    return [run.info.status for run in runs]  # newest first


def checkpoint_after(served, moment):
    """Wait for a training that has written a checkpoint since `moment`; return the training."""

    def result():
        files = served.workspace.home.runs.rglob("checkpoint-*/checkpoint.json")
        fresh = [file for file in files if _mtime(file) > moment]
        return served.training() if fresh else None

    return until(result, "a training with a checkpoint")


def _mtime(file):
    try:
        return file.stat().st_mtime
    except FileNotFoundError:  # an old one that was just removed
        return 0.0


def ended_well(served, root, attempts):
    """Wait for the last of some attempts to end well; all before it failed."""

    def done():
        values = [run["status"] for run in served.attempts(root)]
        return values if values[-1] in ("SUCCESS", "CANCELED") or len(values) > attempts else None

    assert until(done, "the last attempt", 900) == ["FAILURE"] * (attempts - 1) + ["SUCCESS"]
    lines = messages_of_run(served.workspace.home, served.attempts(root)[-1]["runId"])
    assert [line for line in lines if line.startswith("resuming from the checkpoint at step")]


def test_canceled_run_ends_without_a_retry(served):
    began = time.time()
    run = served.launch(**LONG, seed=1)
    training = checkpoint_after(served, began)
    family = [training, *training.children(recursive=True), training.parent()]
    requested = time.monotonic()
    served.ask(TERMINATE, id=run)
    assert wait_for(family, 5.0) == []
    took = time.monotonic() - requested
    until(lambda: served.status(run) == "CANCELED", "the state in Dagster", 10)
    until(lambda: mlflow_statuses(served.workspace.home)[0] == "KILLED", "the state in MLflow", 30)
    assert len(served.attempts(run)) == 1
    assert took < 5.0


def test_run_canceled_while_starting_ends_without_a_retry(served):
    run = served.launch(**LONG, seed=11)
    until(lambda: served.status(run) in {"STARTING", "STARTED"}, "the start of the run", 200)
    assert served.document(f"runs/{run}/cancel", {})["status"] == "canceled"
    worker = lambda: [one for one in served.family() if run in " ".join(one.cmdline())]  # noqa: E731
    until(lambda: not worker(), "the end of the process of the run", 100)
    assert served.status(run) == "CANCELED"
    assert served.training() is None
    assert len(served.attempts(run)) == 1


@pytest.mark.parametrize("above", [0, 1, 2], ids=["training", "run worker", "code server"])
def test_killed_process_ends_its_trainings_and_is_replaced(served, above):
    began = time.time()
    run = served.launch(**ENOUGH, seed=2 + above)
    training = checkpoint_after(served, began)
    line = [training, *training.parents()[:2]]
    assert "grpc" in " ".join(line[2].cmdline())
    line[above].send_signal(signal.SIGKILL)
    assert wait_for(line[:above], 5.0) == []
    ended_well(served, run, attempts=2)


@pytest.mark.parametrize("words", ["dagster-daemon", "dagster_webserver"])
def test_run_outlives_a_killed_daemon_and_webserver(served, words):
    began = time.time()
    run = served.launch(**ENOUGH, seed=len(words))
    training = checkpoint_after(served, began)
    family = served.family()
    served.server(words).send_signal(signal.SIGKILL)
    assert served.process.wait(timeout=60) == 3  # nothing is started again in silence
    assert wait_for([*family, training], 10.0) == []
    served.start()
    ended_well(served, run, attempts=2)


def test_run_is_resumed_after_all_processes_are_killed(served):
    began = time.time()
    run = served.launch(**ENOUGH, seed=5)
    checkpoint_after(served, began)
    family = [psutil.Process(served.process.pid), *served.family()]
    for process in family:
        send(process, signal.SIGKILL)
    served.process.communicate()
    assert wait_for(family, 5.0) == []
    served.start()
    ended_well(served, run, attempts=2)
    assert "RUNNING" not in mlflow_statuses(served.workspace.home)
