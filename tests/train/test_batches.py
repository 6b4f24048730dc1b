"""A thread loads the next batch; training results are the same with and without it."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kinemill.errors import CorruptArtifact
from kinemill.task import Task
from kinemill.train.batches import Prefetch
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.loop import fit
from tests.dataset.packing import packed_of
from tests.train.conftest import CPU, QUIET

CHANNELS = {
    "x": {"role": "state", "unit": "m"},
    "target": {"role": "action", "unit": "m", "limits": [-1, 1]},
}
PUSHING = {
    "task": "pushing",
    "dt": 0.1,
    "channels": CHANNELS | {"image": {"role": "image"}},
    "learn": {
        "type": "imitation",
        "model": {"type": "mlp", "hidden_sizes": [8]},
        "head": {"type": "diffusion", "steps": 2, "width": 16, "condition": 8},
        "seq_len": 2,
        "chunk": {"length": 2, "n_action_steps": 1},
        "batch_size": 4,
        "steps": 12,
        "eval_every": 12,
        "log_every": 1,
        "compile": "off",
    },
}


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


class RandomImages(Demonstrations):
    """Demonstrations with random images; keeps the names of the threads that read them."""

    def __init__(self, packed):
        media = SimpleNamespace(
            shapes={"image": [16, 16, 3]}, channels={"image": "image"}, views={}
        )
        super().__init__(packed, SimpleNamespace(media=media))
        shape = (len(packed.values), 16, 16, 3)
        self.images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self.threads = []

    def pictures(self, channel, rows, epoch=0):
        self.threads.append(threading.current_thread().name)
        return torch.from_numpy(self.images[rows])


@pytest.mark.parametrize("pieces", [1, 2])
def test_images_are_read_outside_the_training_thread_and_are_the_same(
    pieces, tmp_path, monkeypatch
):
    task = Task.model_validate(PUSHING | {"learn": PUSHING["learn"] | {"accumulate": pieces}})
    random = np.random.default_rng(1)
    counts = {"train": 4, "validation": 1, "test": 1}
    runs = {split: random.uniform(-1, 1, (count, 30, 2)) for split, count in counts.items()}
    packed = packed_of("pushing", 0.1, CHANNELS, runs)

    def train(folder, *, prefetch):
        train, watch = RandomImages(packed), RandomImages(packed)
        module, objective = task.learn.prepare(task, watch, train, CPU)
        assert prefetch is None or objective.prefetch is not None
        if not prefetch:
            objective = replace(objective, prefetch=None)
        state, _ = fit(module, objective, task.learn, tmp_path / folder, QUIET)
        return state.history, train.threads

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
