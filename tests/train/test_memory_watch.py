"""Warning of a training whose memory is nearly full."""

import time

import pytest
import torch

from kinemill.store.machine import GIB, Memory
from kinemill.tracking.memory_warning import read_warning
from kinemill.train import memory_watch
from kinemill.train.memory_watch import warn_if_full, watch_memory
from tests.train.conftest import Recorder

HOST = Memory("the host", 16_000_000_000, 64_000_000_000)
FULL = Memory("the container", int(7.4 * GIB), 8 * GIB)


@pytest.mark.parametrize("memories", [[FULL], [HOST, Memory("GPU 0", 95, 100)]])
def test_memory_above_the_limit_is_reported(tmp_path, memories):
    listener = Recorder()
    assert warn_if_full(tmp_path, listener, memories)
    (message,) = listener.messages
    assert message.startswith("warning: 9")
    assert f"of {memories[-1].what} are free" in message
    assert "Halve learn.batch_size and double learn.accumulate" in message
    assert read_warning(tmp_path).share > 0.9


def test_memory_that_fills_during_a_training_is_reported_once(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_watch, "INTERVAL", 0.01)
    samples = iter([HOST, HOST, *[FULL] * 1000])
    monkeypatch.setattr(memory_watch, "host_memory", lambda: next(samples))
    listener = Recorder()
    with watch_memory(tmp_path, listener, torch.device("cpu")):
        while not listener.messages:
            time.sleep(0.01)
        time.sleep(0.05)
    assert len(listener.messages) == 1


def test_new_training_removes_the_warning_of_the_previous_one(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_watch, "host_memory", lambda: HOST)
    warn_if_full(tmp_path, Recorder(), [FULL])
    with watch_memory(tmp_path, Recorder(), torch.device("cpu")):
        assert read_warning(tmp_path) is None
