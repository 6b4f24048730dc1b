"""Processes that end with the one that started them."""

import subprocess
import sys

import psutil
import pytest

from kinemill_dagster.resources.processes import wait_for
from tests.conftest import ROOT

STARTER = """
import os, signal, subprocess, sys
{deaf}
kept = [sys.executable, "-m", "kinemill.process", str(os.getpid()), sys.executable, "-c"]
child = subprocess.Popen([*kept, "import time; print('up', flush=True); time.sleep(60)"],
                         stdout=subprocess.PIPE, start_new_session=True)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
@pytest.mark.parametrize(
    "deaf",
    [
        "",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
    ],
)
def test_a_command_ends_when_its_parent_is_killed(deaf):
    code = STARTER.format(deaf=deaf)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        stored = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert wait_for([stored], 5.0) == []


def test_a_command_whose_parent_is_gone_does_not_start():
    removed = subprocess.Popen([sys.executable, "-c", ""])
    removed.wait()
    command = [sys.executable, "-m", "kinemill.process", str(removed.pid), sys.executable, "-c"]
    done = subprocess.run(
        [*command, "print('started')"], capture_output=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stdout) == (1, b"")
