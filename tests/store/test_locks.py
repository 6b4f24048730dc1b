"""Locks: one holder at a time, whoever waits hears for whom, and the dead hold nothing."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kinemill.store.locks import current_user, holder, lock

HOLD = (
    "import sys, time; from pathlib import Path; from kinemill.store.home import Home\n"
    "from kinemill.store.locks import lock\n"
    "with lock(Home(Path(sys.argv[1])), 'ingest-arm'): print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def owner(home):
    """Another process that holds the lock of ingesting the task `arm`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home.root)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait(10)


def test_who_waits_is_told_who_holds_it_and_takes_over_from_the_dead(home, owner):
    messages = []

    def wait(message):
        messages.append(message)
        owner.kill()  # SIGKILL: nothing is tidied up

    started = time.monotonic()
    with lock(home, "ingest-arm", wait):
        assert time.monotonic() - started < 10
    (message,) = messages
    assert f"held by {current_user()}, process {owner.pid} on " in message


def test_a_free_lock_names_nobody_and_is_taken_in_silence(home):
    messages = []
    with lock(home, "x", messages.append):
        assert f"process {os.getpid()} " in holder(home.root / ".locks" / "x")
    assert messages == []
    assert (home.root / ".locks" / "x").read_bytes() == b""


def test_two_threads_of_a_process_exclude_each_other(home):
    inside = []

    def work():
        with lock(home, "x"):
            inside.append(1)
            time.sleep(0.02)
            assert len(inside) == 1
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert inside == []
