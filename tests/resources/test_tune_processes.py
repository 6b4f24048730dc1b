"""Searches in processes of their own: they end with whoever started them, and outlive a death."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kinemill.errors import TrainingFailed
from kinemill.selection.tune import Bounds, list_trials
from kinemill.task.protocols import NullReporter
from kinemill.tracking import open_tracking
from kinemill_dagster.resources.tune_processes import search_elsewhere
from tests.conftest import ROOT
from tests.selection.tune.conftest import TASK, begun, packed_with
from tests.train.conftest import swing
from tests.waiting import until

STARTER = """\
import sys
from pathlib import Path
from kinemill.task.protocols import NullReporter
from kinemill.selection.tune import Bounds
from kinemill.selection.tune.search import read_search
from kinemill_dagster.resources.tune_processes import search_elsewhere

search_elsewhere(read_search(Path(sys.argv[1])), Bounds(50), 2, NullReporter())
"""


@pytest.fixture
def search(tmp_path, tracked_home):
    (tmp_path / "pendulum.yaml").write_text(TASK)
    packed = packed_with(swing(60, 11))
    return begun(tmp_path / "pendulum.yaml", tracked_home, packed, learn__steps=400)


def workers(search) -> list[psutil.Process]:
    """The living processes that work on a search."""
    values = []
    for process in psutil.process_iter(["cmdline", "status"]):
        message = process.info["cmdline"] or []
        if str(search.folder / "job.json") in message and process.info["status"] != "zombie":
            values.append(process)
    return values


class Deaths(NullReporter):
    """A Progress that kills the worker once, when the first trial has ended."""

    def __init__(self, search) -> None:
        self.search, self.said = search, []

    def log_message(self, message: str) -> None:
        self.said.append(message)
        if message.startswith("trial 0:"):
            (worker,) = workers(self.search)
            worker.send_signal(signal.SIGKILL)


@pytest.mark.slow
def test_another_worker_goes_on_where_one_was_killed(search):
    deaths = Deaths(search)
    result = search_elsewhere(search, Bounds(3), 1, deaths)
    assert "worker 0 was killed by signal 9; a replacement continues its trial" in deaths.said
    assert sorted(line.state for line in result if line.state != "lost") == ["done"] * 3
    client = open_tracking(search.home).client
    runs = client.search_runs([client.get_experiment_by_name("pendulum").experiment_id])
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    assert (search.folder / "best.yaml").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_who_started_it(search, how):
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(search.folder)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(workers(search)) == 2, "two workers", 90)
    until(lambda: any(line.state == "running" for line in list_trials(search)), "a trial", 90)
    starter.send_signal(how)
    starter.wait(timeout=200)
    until(lambda: workers(search) == [], "the end of the workers", 20)


@pytest.mark.slow
def test_a_search_without_any_result_says_so(search):
    with pytest.raises(TrainingFailed, match="no trial has a result"):
        search_elsewhere(search, Bounds(1, until=time.time()), 1, NullReporter())
