"""Memory of a training: the batch that fits, and the warning when it is nearly full."""

import gc
import time

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.store.machine import GIB, Memory
from kinemill.tracking.memory_warning import read_warning
from kinemill.train import memory
from kinemill.train import stage as train
from kinemill.train.memory import bytes_per_window, check_batch, warn_if_full, watch_memory
from tests.train.conftest import CPU, QUIET, Recorder, pendulum_task, publish

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
    monkeypatch.setattr(memory, "INTERVAL", 0.01)
    samples = iter([HOST, HOST, *[FULL] * 1000])
    monkeypatch.setattr(memory, "host_memory", lambda: next(samples))
    listener = Recorder()
    with watch_memory(tmp_path, listener, torch.device("cpu")):
        while not listener.messages:
            time.sleep(0.01)
        time.sleep(0.05)
    assert len(listener.messages) == 1


def test_new_training_removes_the_warning_of_the_previous_one(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "host_memory", lambda: HOST)
    warn_if_full(tmp_path, Recorder(), [FULL])
    with watch_memory(tmp_path, Recorder(), torch.device("cpu")):
        assert read_warning(tmp_path) is None


WINDOWS = 576  # 4 episodes of 144 windows


@pytest.fixture
def ready(packed):
    def make(**settings):
        learn = pendulum_task(**settings).learn
        return learn, learn.prepare(pendulum_task(**settings), packed, packed, CPU)[1]

    return make


@pytest.fixture
def free(monkeypatch):
    """Set the free memory of the host, bytes."""

    def make(amount):
        sample = Memory("the host", 64 * GIB - amount, 64 * GIB)
        monkeypatch.setattr(memory, "host_memory", lambda: sample)

    return make


def test_a_batch_of_more_windows_than_there_are_is_refused_with_their_number(home, packed):
    task, ref = pendulum_task(batch_size=WINDOWS + 1), publish(home, packed)
    with pytest.raises(BadInput, match=r"batch_size: 577: .*576 windows.*set .* to 576 or less"):
        train.run(task, home, ref, ref, QUIET)


def test_a_batch_of_all_windows_and_a_default_batch_of_few_are_fine(ready, packed):
    learn, objective = ready(batch_size=WINDOWS)
    check_batch(learn, objective, CPU)
    small = objective.__class__(objective.loss, objective.evaluate, objective.monitor, 100)
    check_batch(ready(batch_size=256)[0], small, CPU)


@pytest.mark.parametrize(
    "settings", [{}, {"ensemble": 2}, {"model": {"type": "gru"}}, {"loss": "gaussian"}]
)
def test_the_memory_of_a_window_is_that_of_large_batches(ready, settings):
    """Measured with 2 and 4 windows, and with 64."""
    _, objective = ready(**settings)
    each = bytes_per_window(objective, CPU)
    kept_bytes = [memory._kept_bytes(objective, CPU, count) for count in (64, 128)]
    assert each == pytest.approx((kept_bytes[1] - kept_bytes[0]) / 64, rel=0.05)


def test_a_batch_beyond_the_free_memory_is_refused_with_sizes_that_fit(ready, free):
    learn, objective = ready(batch_size=512)
    each = bytes_per_window(objective, CPU)
    free(100 * each)
    with pytest.raises(BadInput) as refused:
        check_batch(learn, objective, CPU)
    for words in (
        "learn.batch_size: 512: a step takes about",
        "GiB of the host are free; expected at most 80 windows per micro-batch",
        "set learn.batch_size to 74 and learn.accumulate to 7",
    ):
        assert words in str(refused.value)
    check_batch(ready(batch_size=74, accumulate=7)[0], objective, CPU)


def test_the_measurement_changes_no_random_number(ready):
    learn, objective = ready(model={"type": "mlp", "hidden_sizes": [8], "dropout": 0.5})
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    check_batch(learn, objective, CPU)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.ci
def test_the_measurement_leaves_no_graph_behind(ready):
    # A graph that stays alive breaks the capture of later steps as a CUDA graph.
    _, objective = ready()
    kept_before = graphs()
    bytes_per_window(objective, CPU)
    assert graphs() == kept_before


def graphs():
    gc.collect()
    alive = (item for item in gc.get_objects() if isinstance(item, torch.Tensor))
    return sum(item.grad_fn is not None for item in alive)


def test_threads_beyond_the_cores_are_refused_before_any_work(home, packed):
    task, ref = pendulum_task(threads=1000), publish(home, packed)
    with pytest.raises(BadInput, match=r"learn\.threads: is 1000; this machine has"):
        train.run(task, home, ref, ref, QUIET)
