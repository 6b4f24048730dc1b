"""Two processes that share each batch, against one that takes it alone."""

import json
import multiprocessing
import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.store import fault_injection
from kinemill.train.checkpoint import checkpoints, read_checkpoint
from kinemill.train.ddp import ProcessGroup, _select_backend, joined, process_group
from kinemill.train.loop import fit
from tests.train.conftest import Recorder, pendulum_task

SETTINGS = {
    "patience": None,
    "batch_size": 33,  # 17 and 16
    "ema": 0.9,
    "noise": {"velocity": 0.05},
    "horizon_schedule": {"first": 2, "steps": 40},
    "save_every": 10,
}


def learn_in(folder: Path, world: dict[str, str], packed, settings) -> None:
    """Train as one of several; keep what was told and found beside the folder."""
    os.environ.update(world)
    torch.set_num_threads(1)
    task = pendulum_task(**settings)
    parts = task.learn.prepare(task, packed, packed, torch.device("cpu"))
    with joined("cpu") as group:
        with torch.no_grad():  # a process that began with other weights gets the leader's
            parts[0].network.head.weight.add_(group.rank)
        messages = Recorder()
        state, best = fit(*parts, task.learn, folder, (messages, messages))
    weights = {name: value.tolist() for name, value in best.items()}
    result = [state.step, state.best, weights, messages.messages]
    folder.with_suffix(".json").write_text(json.dumps(result))


@pytest.fixture(scope="module")
def processes(packed):
    """Return what starts processes: (folder, how many, fault of the last) -> processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.train.test_ddp", "tests.train._warm"])

    def start(folder: Path, size: int, fault: str = "count", **settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = []
        for rank in range(size):
            world = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_PORT": str(port)}
            world |= {"MASTER_ADDR": "127.0.0.1", fault_injection.VARIABLE: fault}
            # A folder each: who does not lead writes nothing into its own.
            arguments = (folder / f"rank{rank}", world, packed, SETTINGS | settings)
            processes.append(context.Process(target=learn_in, args=arguments))
            processes[-1].start()
        return processes

    return start


def finish(started, seconds=60):
    for process in started:
        process.join(seconds)
    return [process.exitcode for process in started]


def result(folder: Path, rank: int = 0):
    return json.loads((folder / f"rank{rank}.json").read_text())


@pytest.fixture(scope="module")
def trained(processes, tmp_path_factory):
    """Folder of a training by two processes."""
    folder = tmp_path_factory.mktemp("two")
    assert finish(processes(folder, 2)) == [0, 0]
    return folder


@pytest.mark.ci
def test_two_processes_learn_what_one_learns(processes, trained, tmp_path):
    assert finish(processes(tmp_path, 1)) == [0]
    shared, single = result(trained), result(tmp_path)
    assert shared[0] == single[0] == 60
    for name, value in single[2].items():
        # Sums in another order: rounding of float32, over 60 steps of Adam.
        torch.testing.assert_close(
            torch.tensor(shared[2][name]), torch.tensor(value), rtol=1e-3, atol=2e-5
        )
    assert shared[1] == pytest.approx(single[1], rel=1e-4)


def test_all_end_with_the_same_weights_and_only_the_first_writes(trained):
    leader, follower = result(trained, 0), result(trained, 1)
    assert leader[:3] == follower[:3]
    assert len(checkpoints(trained / "rank0")) == 2
    assert not (trained / "rank1").exists()


@pytest.mark.ci
def test_killed_and_started_again_they_end_in_the_very_same_weights(processes, trained, tmp_path):
    """The first is killed in its third checkpoint; the other cannot go on without it."""
    began = time.monotonic()
    codes = finish(processes(tmp_path, 2, "moves.synced:3"))
    assert codes[0] == -signal.SIGKILL
    assert codes[1] not in (0, None)
    assert time.monotonic() - began < 30  # s; gloo's own patience is 30 minutes, ours 10
    assert read_checkpoint(tmp_path / "rank0")[1]["step"] == 20
    assert finish(processes(tmp_path, 2)) == [0, 0]
    assert result(tmp_path)[3][0] == "resuming from the checkpoint at step 20"
    assert result(tmp_path)[:3] == result(trained)[:3]
    # One process goes on from what two left, too.
    alone = tmp_path / "alone"
    alone.mkdir()
    (tmp_path / "rank0").rename(alone / "rank0")
    assert finish(processes(alone, 1)) == [0]


def test_a_process_by_itself_is_a_crew_of_one():
    assert process_group() == ProcessGroup(0, 1)
    batch = torch.arange(6).view(2, 3)
    assert process_group().share(batch)[0] == 0
    assert torch.equal(process_group().share(batch)[1], batch)
    assert process_group().broadcast(b"word") == b"word"


@pytest.mark.parametrize(
    ("gpus", "backend"),
    [("ab", "nccl"), ("aa", "gloo"), ("aba", "gloo"), (["", ""], "gloo"), (["a", ""], "gloo")],
)
def test_processes_that_share_a_gpu_do_not_use_nccl(gpus, backend):
    """Two processes of NCCL on one H200 waited for each other until they were killed."""
    store, size = torch.distributed.HashStore(), len(gpus)
    with ThreadPoolExecutor(size) as pool:
        selected = pool.map(
            lambda rank: _select_backend(store, rank, size, gpus[rank]), range(size)
        )
    assert list(selected) == [backend] * size


def test_shares_are_whole_and_in_order():
    batch = torch.arange(14).view(2, 7)
    shares = [ProcessGroup(rank, 3).share(batch) for rank in range(3)]
    assert [first for first, _ in shares] == [0, 3, 5]
    assert torch.equal(torch.cat([part for _, part in shares], dim=1), batch)
    with pytest.raises(BadInput, match=r"learn\.batch_size: a step has 7 windows for 8 processes"):
        ProcessGroup(0, 8).share(batch)
