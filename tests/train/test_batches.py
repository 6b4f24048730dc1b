"""A thread loads the next batch; training results are the same with and without it."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks._gpu_pixels import IMAGE, RandomImages, packed_pushes, pushing_task
from benchmarks._gpu_rows import Bench
from kinemill.errors import CorruptArtifact
from kinemill.train.batches import Prefetch
from kinemill.train.loop import fit
from tests.train.conftest import CPU, QUIET

TOY = Bench("tested", Path("unused"), is_toy=True, ends=time.monotonic())


def test_rows_of_a_batch_and_of_its_parts():
    prefetch, value = Prefetch(CPU), torch.arange(12)  # 4 windows of 3 rows
    prefetch.request(7, 4, lambda: {"camera": value})
    assert torch.equal(prefetch.take(7, 4, None)["camera"], value)
    assert torch.equal(prefetch.take(7, 1, (1, 4))["camera"], value[3:6])
    assert torch.equal(prefetch.take(7, 2, (2, 4))["camera"], value[6:])
    assert prefetch.take(6, 4, None) is None
    assert prefetch.take(7, 2, None) is None  # another batch at the same step
    prefetch.request(8, 4, lambda: {"camera": -value})
    assert torch.equal(prefetch.take(7, 4, None)["camera"], value)  # the step before is still there
    assert torch.equal(prefetch.take(8, 4, None)["camera"], -value)
    prefetch.request(9, 4, lambda: {"camera": value})
    assert prefetch.take(7, 4, None) is None


def test_an_error_of_the_thread_is_raised_where_the_tensors_are_taken():
    def load():
        raise CorruptArtifact("front.npy", "is damaged")

    prefetch = Prefetch(CPU)
    prefetch.request(1, 4, load)
    with pytest.raises(CorruptArtifact, match="is damaged"):
        prefetch.take(1, 4, None)


class RecordingImages(RandomImages):
    """Keeps the names of the threads that read training images."""

    def pictures(self, channel, rows, epoch=0):
        self.threads = [*getattr(self, "threads", []), threading.current_thread().name]
        return super().pictures(channel, rows, epoch)


@pytest.mark.parametrize("pieces", [1, 2])
def test_images_are_read_outside_the_training_thread_and_are_the_same(
    pieces, tmp_path, monkeypatch
):
    task = pushing_task(TOY, IMAGE, accumulate=pieces, steps=12, eval_every=12, log_every=1)

    def train(folder, *, prefetch):
        packed = packed_pushes(4, 30)
        train, watch = RecordingImages(packed, 16), RandomImages(packed, 16)
        module, objective = task.learn.prepare(task, watch, train, CPU)
        assert prefetch is None or objective.prefetch is not None
        if not prefetch:
            objective = replace(objective, prefetch=None)
        state, _ = fit(module, objective, task.learn, tmp_path / folder, QUIET)
        return state.history, getattr(train, "threads", [])

    in_memory, names = train("memory", prefetch=None)
    assert len(names) == 1  # before the training
    monkeypatch.setattr("kinemill.train.demonstrations.CACHE_BYTES", 0)
    without, names = train("without", prefetch=False)
    assert {name for name in names} == {"MainThread"}
    with_thread, names = train("with", prefetch=True)
    assert in_memory == without == with_thread
    read_first = [name for name in names if name == "MainThread"]
    assert len(read_first) == pieces  # the first step has no step before it
    assert len(names) == pieces + 11
