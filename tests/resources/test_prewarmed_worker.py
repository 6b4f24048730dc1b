"""The process that waits for a job: it takes one, dies in its stead, and never stays behind."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from kinemill_dagster.resources.prewarmed_worker import PrewarmedWorker


@pytest.fixture
def prewarmed():
    one = PrewarmedWorker("json")
    yield one
    one.release()


def waiting():
    """Return the processes that wait; one that was started just now has no command line yet."""
    alive = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    until = time.monotonic() + 10.0
    while not all(one.cmdline() for one in alive) and time.monotonic() < until:
        time.sleep(0.01)
    return [one for one in alive if "kinemill_dagster.resources.prewarmed_worker" in one.cmdline()]


def test_one_that_waits_runs_a_module_in_the_environment_it_is_given(prewarmed, tmp_path):
    log = tmp_path / "training.log"
    log.touch()
    prewarmed.prepare()
    requested = {**os.environ, "KINEMILL_ASKED": "yes"}
    process = prewarmed.take(["tests.resources.said", "KINEMILL_ASKED"], requested, log)
    assert process.wait(60) == 0
    assert log.read_text() == "KINEMILL_ASKED=yes in __main__\n"


def test_preparing_twice_starts_one_and_releasing_ends_it(prewarmed):
    prewarmed.prepare()
    prewarmed.prepare()
    assert len(waiting()) == 1
    prewarmed.release()
    assert waiting() == []
    assert prewarmed.take(["json.tool"], {}, None) is None


def test_one_that_died_while_it_waited_is_not_taken(prewarmed, tmp_path):
    prewarmed.prepare()
    (child,) = waiting()
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    assert prewarmed.take(["json.tool"], dict(os.environ), tmp_path / "log") is None


def test_it_ends_with_the_one_it_waits_for(tmp_path):
    code = (
        "import kinemill_dagster.resources.prewarmed_worker as s, sys\n"
        "one = s.PrewarmedWorker()\n"
        "one.prepare()\n"
        "print(one._waiting.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
