"""Processes of runs: whose they are, and that they end with the servers that launched them."""

import subprocess
import sys
import time

import psutil
import pytest

from kinemill.process import process_of
from kinemill_dagster.resources.processes import family_of, living, send, wait_for
from tests.conftest import ROOT

RUN = """
import time
from kinemill_dagster.resources.processes import end_with_ancestors
end_with_ancestors()
print("up", flush=True)
time.sleep(60)
"""
STARTER = """
import subprocess, sys, time
with subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], start_new_session=True) as child:
    time.sleep(60)
"""


def generations():
    """A daemon, the code server it started, and a run's process that this one started."""
    daemon = subprocess.Popen(
        [sys.executable, "-c", STARTER, STARTER, RUN], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    daemon.stdout.readline()
    return [psutil.Process(daemon.pid), *psutil.Process(daemon.pid).children(recursive=True)]


@pytest.mark.parametrize("killed", [0, 1, None], ids=["daemon", "code server", "none"])
def test_a_run_ends_soon_after_the_code_server_or_the_daemon_is_killed(killed):
    family = generations()
    try:
        assert len(family) == 3
        if killed is None:
            assert wait_for([family[2]], 2.5) == [family[2]]
        else:
            family[killed].kill()
            assert wait_for([family[2]], 4.0) == []
    finally:
        for process in family:
            send(process, 9)


def test_a_process_is_known_by_when_it_started():
    own = psutil.Process()
    assert process_of(own.pid, time.time()) == own
    assert process_of(own.pid, own.create_time() - 61.0) is None
    assert process_of(2**22 + 1, time.time()) is None


def test_a_zombie_has_ended():
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(child.pid)
    deadline = time.monotonic() + 90.0
    while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (living([process]), process_of(child.pid, time.time())) == ([], None)
    child.wait()
    assert family_of(process) == []
