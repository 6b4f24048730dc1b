"""Trainings that end in the middle, at any moment, and what a rerun makes of them."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch

from kinemill.store import fault_injection
from kinemill.task.protocols import NullReporter
from kinemill.train.loop import fit
from tests.train.conftest import pendulum_task


def learn_in(folder: Path, fault: str, messages: Path, packed) -> None:
    """Train in this process, which `fault` may kill; tell what came of it."""
    os.environ[fault_injection.VARIABLE] = fault
    learn = pendulum_task(patience=None, save_every=7, ema=0.9).learn  # logs are 10 steps apart
    torch.set_num_threads(1)
    parts = learn.prepare(pendulum_task(), packed, packed, torch.device("cpu"))
    state, best = fit(*parts, learn, folder, (NullReporter(), NullReporter()))
    weights = {name: value.tolist() for name, value in best.items()}
    messages.write_text(json.dumps([state.history, weights, fault_injection.passings()]))


@pytest.fixture(scope="module")
def trainings(packed):
    """Return what runs a training in a separate process: (folder, fault) -> exit code, told."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.test_kills", "tests.train._warm"])

    def run(folder: Path, fault: str = "count"):
        messages = folder.parent / f"{folder.name}.json"
        process = context.Process(target=learn_in, args=(folder, fault, messages, packed))
        process.start()
        process.join(120)
        return process.exitcode, json.loads(messages.read_text()) if messages.is_file() else None

    return run


@pytest.mark.slow
def test_killed_at_any_step_of_a_checkpoint_it_goes_on_as_if_nothing_had_happened(
    trainings, tmp_path
):
    """At every fault point once, in the first, a middle or the last checkpoint."""
    code, (curves, weights, passings) = trainings(tmp_path / "whole")
    assert code == 0
    assert len(passings) >= 8
    for number, (name, count) in enumerate(passings.items()):
        passing = (1, count // 2 + 1, count)[number % 3]
        folder = tmp_path / f"killed at {name}:{passing}"
        assert trainings(folder, f"{name}:{passing}")[0] == -signal.SIGKILL
        code, messages = trainings(folder)
        assert code == 0
        assert messages[:2] == [curves, weights], name
        assert not [path for path in folder.iterdir() if path.name.startswith(".")]
