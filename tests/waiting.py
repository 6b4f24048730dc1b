"""Wait for what another process or thread does."""

import time

import pytest


def until(found, what, within=400.0, process=None, pause=0.3):
    """Wait until `found()` is true and return it; fail if `process`, which is to do it, ends."""
    deadline = time.monotonic() + within
    while not (result := found()):
        if process is not None and process.poll() is not None:
            pytest.fail(f"{what}: the process ended: {process.communicate()}")
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {within} s")
        time.sleep(pause)  # by default long: a question to a server costs it 50 ms
    return result
