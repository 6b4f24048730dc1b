"""Two processes that learn a policy from logs, against one: behavior cloning and motions."""

import json
import multiprocessing
import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from kinemill.task.document import Task
from kinemill.task.protocols import NullReporter
from kinemill.train.ddp import joined
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.loop import fit
from tests.policies.imitation import cloning
from tests.policies.imitation.cloning import CHANNELS
from tests.train.test_ddp import finish

CLONING = {"batch_size": 17, "compile": "off", "patience": None, "seq_len": 5}  # 9 and 8
KINDS = {
    "plain": {"model": {"type": "mlp", "hidden_sizes": [16]}},
    "recurrent": {"model": {"type": "gru", "hidden_size": 8}, "seq_len": 12},
    "flow": {"head": {"type": "flow", "steps": 2, "width": 16, "condition": 8}},
    "diffusion": {"head": {"type": "diffusion", "steps": 2, "width": 16, "condition": 8}},
    "motion": {},
}


def parts_of(kind):
    if kind == "motion":
        learn = {"type": "motion", "action_joints": {"torque": "angle"}, "hidden_size": 32}
        learn |= {"batch_size": 17, "compile": "off", "history": 8, "eval_every": 20, "steps": 40}
        whole = {"task": "puppet", "dt": 0.02, "channels": CHANNELS, "learn": learn}
        task, data = Task.model_validate(whole), Demonstrations(cloning.packed(gaits()))
    else:
        task = cloning.policy_task(**CLONING | KINDS[kind])
        # Short episodes: of a recurrent policy's windows many lack rows before the first.
        data = cloning.demonstrations(rows=14, runs=8)
    return task, task.learn.prepare(task, data, data, torch.device("cpu"))


def gaits():
    """Angle (rad), its rate, and the angle one row later, in cycles of 25 rows."""

    def clip(first: float) -> np.ndarray:
        phase = first + 2.0 * np.pi * np.arange(121) / 25
        angle = 0.5 * np.sin(phase) + 0.2 * np.cos(2.0 * phase + first)
        return np.c_[angle[:-1], np.diff(angle) / 0.02, angle[1:]]

    return {"train": [clip(0.0), clip(1.0), clip(2.0)], "validation": [clip(3.0)]}


def learn_in(folder: Path, world: dict[str, str], kind: str) -> None:
    """Train as one of several; keep what was found beside the folder."""
    os.environ.update(world)
    torch.set_num_threads(1)
    task, parts = parts_of(kind)
    with joined("cpu") as process:
        with torch.no_grad():  # a process that began with other weights gets the leader's
            next(iter(parts[0].parameters())).add_(process.rank)
        state, best = fit(*parts, task.learn, folder, (NullReporter(), NullReporter()))
    weights = {name: value.tolist() for name, value in best.items()}
    folder.with_suffix(".json").write_text(json.dumps([state.step, state.best, weights]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"diffusion"}))
def test_two_processes_learn_the_policy_that_one_learns(tmp_path, kind):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.test_ddp_policies"])
    for size in (2, 1):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        started = []
        for rank in range(size):
            world = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_PORT": str(port)}
            world["MASTER_ADDR"] = "127.0.0.1"
            folder = tmp_path / f"{size}-{rank}"
            started.append(context.Process(target=learn_in, args=(folder, world, kind)))
            started[-1].start()
        assert finish(started, 240) == [0] * size
    leader, follower, alone = (
        json.loads((tmp_path / f"{name}.json").read_text()) for name in ("2-0", "2-1", "1-0")
    )
    assert leader == follower
    assert leader[0] == alone[0]
    assert leader[1] == pytest.approx(alone[1], rel=1e-3)
    for name, value in alone[2].items():
        # Sums in another order: rounding of float32, over some dozen steps of Adam.
        torch.testing.assert_close(
            torch.tensor(leader[2][name]), torch.tensor(value), rtol=2e-3, atol=5e-5
        )
