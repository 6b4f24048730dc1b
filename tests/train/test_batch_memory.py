"""A batch that data or memory cannot fill is refused before the first step."""

import gc

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.store.machine import GIB, Memory
from kinemill.train import batch_memory
from kinemill.train import stage as train
from kinemill.train.batch_memory import bytes_per_window, check_batch
from tests.train.conftest import CPU, QUIET, pendulum_task, publish

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
        memory = Memory("the host", 64 * GIB - amount, 64 * GIB)
        monkeypatch.setattr(batch_memory, "host_memory", lambda: memory)

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
    kept_bytes = [batch_memory._kept_bytes(objective, CPU, count) for count in (64, 128)]
    assert each == pytest.approx((kept_bytes[1] - kept_bytes[0]) / 64, rel=0.05)


def test_a_batch_beyond_the_free_memory_is_refused_with_sizes_that_fit(ready, free):
    learn, objective = ready(batch_size=512)
    each = bytes_per_window(objective, CPU)
    free(100 * each)
    with pytest.raises(BadInput) as refused:
        check_batch(learn, objective, CPU)
    assert "learn.batch_size: 512: a step takes about" in str(refused.value)
    assert "GiB of the host are free; expected at most 80 windows per micro-batch" in str(
        refused.value
    )
    assert "set learn.batch_size to 74 and learn.accumulate to 7" in str(refused.value)
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
