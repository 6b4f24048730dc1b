"""Memory of a training: metrics by MLflow's names, and a warning before the limit."""

import json

import pytest
import torch

from kinemill.store.machine import GIB, Memory
from kinemill.tracking.memory_warning import read_warning
from kinemill.train import memory_watch
from kinemill.train import stage as train
from kinemill.train.jobs import TrainingJob
from kinemill.train.memory_watch import MemoryWatch, system_metrics, watch_memory
from tests.train.conftest import Recorder, pendulum_task, publish

HOST = Memory("the host", 16_000_000_000, 64_000_000_000)
GPU = Memory("GPU 0", 4_000_000_000, 8_000_000_000)
FULL = Memory("the container", int(7.4 * GIB), 8 * GIB)


class Clock:
    """A clock that is set."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_names_and_units_are_those_of_mlflow():
    """As `mlflow.system_metrics` has them: MB of 1e6 bytes, and %."""
    assert system_metrics([HOST, GPU]) == {
        "system/system_memory_usage_megabytes": 16_000.0,
        "system/system_memory_usage_percentage": 25.0,
        "system/gpu_0_memory_usage_megabytes": 4_000.0,
        "system/gpu_0_memory_usage_percentage": 50.0,
    }


def test_the_memory_is_logged_every_ten_seconds(tmp_path):
    listener, clock = Recorder(), Clock()
    watch = MemoryWatch(tmp_path, (listener, listener), lambda: [HOST], clock)
    for step, seconds in enumerate((0.0, 9.9, 10.0)):
        clock.seconds = seconds
        watch.log_metrics({"train/loss": 1.0}, step)
    assert listener.metrics["train/loss"] == [(0, 1.0), (1, 1.0), (2, 1.0)]
    memory = listener.metrics["system/system_memory_usage_percentage"]
    assert memory == [(0, 25.0), (2, 25.0)]
    assert (listener.messages, read_warning(tmp_path)) == ([], None)


@pytest.mark.parametrize("memories", [[FULL], [HOST, Memory("GPU 0", 95, 100)]])
def test_memory_above_the_limit_is_reported_once(tmp_path, memories):
    listener = Recorder()
    watch = MemoryWatch(tmp_path, (listener, listener), lambda: memories)
    watch.check()
    watch.check()
    (message,) = listener.messages
    assert message.startswith("warning: 9")
    assert f"of {memories[-1].what} are free" in message
    assert "Halve learn.batch_size and double learn.accumulate" in message
    assert read_warning(tmp_path).share > 0.9


def test_a_training_that_fills_the_memory_between_two_metrics_warns(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_watch, "EVERY", 0.01)
    monkeypatch.setattr(memory_watch, "host_memory", lambda: FULL)
    listener = Recorder()
    with watch_memory(tmp_path, (listener, listener), torch.device("cpu")):
        for _ in range(500):
            if listener.messages:
                break
            torch.ones(1000).sum()
            memory_watch.time.sleep(0.01)
    assert listener.messages


def test_a_new_training_removes_the_warning_of_the_one_before(tmp_path):
    listener = Recorder()
    MemoryWatch(tmp_path, (listener, listener), lambda: [FULL]).check()
    with watch_memory(tmp_path, (listener, listener), torch.device("cpu")):
        assert read_warning(tmp_path) is None


def test_a_training_logs_its_memory_but_its_curves_have_none(home, packed):
    """The curves are the same on every machine."""
    listener, task, ref = Recorder(), pendulum_task(), publish(home, packed)
    artifact = train.run(task, home, ref, ref, (listener, listener))
    assert "system/system_memory_usage_percentage" in listener.metrics
    curves = json.loads((home.root / artifact.ref.path / "history.json").read_text())
    assert not any(name.startswith("system/") for name in curves)
    assert TrainingJob(task, home, ref, ref).folder.is_dir()
