"""Trainings that end in the middle, at any moment, and what a rerun makes of them."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from kinemill.spec.ports import Silence
from kinemill.store import file_digest, publish_json
from kinemill.train import checkpoint
from kinemill.train.loop import fit
from tests.train.conftest import pendulum_task, publish

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import json, sys
from kinemill.home import Home
from kinemill.spec.ports import Silence
from kinemill.store import Ref
from kinemill.train import train
from tests.train.conftest import pendulum_task

class Loud(Silence):
    def advance(self, stage, done, total, note=""):
        print(done, flush=True)

ref = Ref.from_json(json.loads(sys.argv[1]))
settings = dict(json.loads(sys.argv[2]))
train(pendulum_task(**settings), Home.resolve(), ref, ref, (Silence(), Loud()))
"""
SETTINGS = {"steps": 600, "save_every": 3, "eval_every": 20, "log_every": 7, "patience": None}


def start(home, ref):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, json.dumps(ref.to_json()), json.dumps(SETTINGS)],
        cwd=ROOT,
        env=os.environ | {"KINEMILL_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        text=True,
    )


def model_files(home):
    (folder,) = (home.store / "model" / "pendulum").iterdir()
    return {path.name: file_digest(path) for path in folder.iterdir()}


@pytest.mark.slow
def test_eight_kills_at_random_moments_end_in_the_very_same_model(packed, home, tmp_path):
    moments = random.Random(5)
    ref = publish(home, packed)
    kills = 0
    while kills < 8:
        child = start(home, ref)
        assert child.stdout.readline(), "ended before its first step was done"
        time.sleep(moments.uniform(0.0, 0.15))
        child.kill()
        child.communicate()
        kills += 1
        assert not (home.store / "model").exists(), "too quick to be killed; give it more steps"
    child = start(home, ref)
    steps = child.communicate()[0].split()
    assert child.returncode == 0
    assert int(steps[0]) > 7  # it went on, and did not start over
    calm = home.__class__(tmp_path / "calm")
    assert start(calm, publish(calm, packed)).wait() == 0
    # Weights, curves and picture; also the summary, so the loss history went on too.
    assert model_files(home) == model_files(calm)


def test_a_crash_between_tensors_and_index_leaves_the_checkpoint_before(
    packed, tmp_path, monkeypatch
):
    learn = pendulum_task(patience=None, save_every=7).learn  # logs are 10 steps apart

    def fresh():
        return learn.prepare(pendulum_task(), packed, packed, torch.device("cpu"))

    whole, best = fit(*fresh(), learn, tmp_path / "whole", (Silence(), Silence()))
    written = []

    def crash(path, value):
        written.append(path)
        if len(written) == 4:
            raise KeyboardInterrupt
        publish_json(path, value)

    monkeypatch.setattr(checkpoint, "publish_json", crash)
    with pytest.raises(KeyboardInterrupt):
        fit(*fresh(), learn, tmp_path / "cut", (Silence(), Silence()))
    assert len(list((tmp_path / "cut").glob("*.safetensors"))) == 2
    monkeypatch.undo()
    state, same = fit(*fresh(), learn, tmp_path / "cut", (Silence(), Silence()))
    assert all(torch.equal(value, same[name]) for name, value in best.items())
    assert state.history == whole.history  # the mean loss of steps 21 to 30 spans the crash
