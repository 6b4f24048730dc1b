"""Homes with made-up outcomes of chosen age, some made from others."""

import os
import time

import pytest

from kinemill.store import get_or_build

DAY = 86400.0


def publish(home, stage, *sources, days=20.0, task="cart", **inputs):
    """Publish an outcome of 1000 bytes, last used some days ago; return its reference."""

    def build(folder):
        (folder / "rows.bin").write_bytes(bytes(1000))
        return {}

    named = {f"source_{number}": one.digest for number, one in enumerate(sources)}
    artifact = get_or_build(home, stage, task, {**named, **inputs}, build)
    then = time.time() - days * DAY
    os.utime(home.root / artifact.ref.path, (then, then))
    return artifact.ref


@pytest.fixture
def made(home):
    """Publish outcomes in an empty home."""
    home.root.mkdir(parents=True)
    return lambda *args, **kwargs: publish(home, *args, **kwargs)
