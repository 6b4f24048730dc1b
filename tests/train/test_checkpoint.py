"""Checkpoints that are damaged, not finished, or not writable, and which of them are kept."""

import ast
import json
import math
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest
import torch

from kinemill.errors import CorruptArtifact, TrainingFailed
from kinemill.store import fault_injection
from kinemill.task.learn import Keep
from kinemill.train import checkpoint
from kinemill.train.checkpoint import (
    INDEX,
    TENSORS,
    checkpoints,
    clear,
    is_due,
    read_checkpoint,
    step_of,
    write_checkpoint,
)
from kinemill.train.loop import fit
from tests.train.conftest import QUIET, pendulum_task, prepared


def groups(value: float = 1.0):
    return {
        "weights": {"a.weight": torch.full((2, 3), value), "count": torch.tensor(7)},
        "random": {"cpu": torch.arange(5, dtype=torch.uint8)},
        "average": {"a.weight": torch.full((2, 3), value, dtype=torch.bfloat16)},
    }


def write(folder: Path, *steps: int, keep: Keep | None = None) -> None:
    for step in steps:
        state = {"step": step, "z": 0, "losses": [0.1, 1 / 3]}
        write_checkpoint(folder, groups(step), state, keep)


def steps_in(folder: Path) -> list[int]:
    return [step_of(index_) for index_ in checkpoints(folder)]


def flip(path: Path, position: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1 << bit
    path.write_bytes(content)


def test_what_is_read_is_what_was_written(tmp_path):
    write(tmp_path, 40)
    tensors, state = read_checkpoint(tmp_path)
    assert list(state.items()) == [("step", 40), ("z", 0), ("losses", [0.1, 1 / 3])]
    for group, values in groups(40).items():
        for name, value in values.items():
            assert torch.equal(tensors[group][name], value)
            assert tensors[group][name].dtype == value.dtype
    assert read_checkpoint(tmp_path / "elsewhere") is None


def test_a_state_that_json_cannot_hold_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_checkpoint(tmp_path, groups(), {"step": 1, "losses": [math.nan]})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keep", "remaining", "forever"),
    [
        (Keep(), [50, 60], []),
        (Keep(last=1), [60], []),
        (Keep(last=3), [40, 50, 60], []),
        (Keep(last=1, every=20), [20, 40, 60], [20, 40, 60]),
        (Keep(last=2, every=40), [40, 50, 60], [40]),
        # The first ones after steps 25 and 50 are permanent.
        (Keep(last=1, every=25), [30, 50, 60], [30, 50]),
    ],
)
def test_the_last_ones_and_every_so_many_steps_one_are_kept(tmp_path, keep, remaining, forever):
    write(tmp_path, 10, 20, 30, 40, 50, 60, keep=keep)
    assert steps_in(tmp_path) == remaining
    clear(tmp_path, keep)
    assert steps_in(tmp_path) == forever
    assert tmp_path.exists() == bool(forever)


@pytest.mark.parametrize(
    ("every", "is_due_at"),
    [
        (None, [500, 1000, 1500]),
        (50, [*range(50, 1501, 50)]),  # fewer than `save_every`: each is written
        (750, [500, 750, 1000, 1500]),
    ],
)
def test_keep_every_counts_steps(every, is_due_at):
    learn = pendulum_task(save_every=500, keep={"every": every}).learn
    assert [step for step in range(1, 1501) if is_due(step, step - 1, learn)] == is_due_at
    # A training that takes many steps at once is due when it passes one of them.
    assert is_due(1536, 1024, learn)


@pytest.mark.parametrize("name", [INDEX, TENSORS])
def test_a_flipped_bit_of_any_byte_is_noticed(tmp_path, name):
    write(tmp_path, 10, 20)
    original = (checkpoints(tmp_path)[-1] / name).read_bytes()
    for position in range(len(original)):
        flip(checkpoints(tmp_path)[-1] / name, position, bit=position % 8)
        said = []
        assert read_checkpoint(tmp_path, said.append)[1]["step"] == 10
        assert "checkpoint-000000020" in said[0]
        assert "using the checkpoint before it" in said[0]
        (damaged,) = tmp_path.glob("damaged-*")
        (damaged / name).write_bytes(original)
        damaged.rename(tmp_path / "checkpoint-000000020")
    assert read_checkpoint(tmp_path)[1]["step"] == 20


@pytest.mark.parametrize("name", [INDEX, TENSORS])
@pytest.mark.parametrize("size", [0, 60])
def test_a_file_that_is_cut_or_gone_is_noticed(tmp_path, name, size):
    write(tmp_path, 10, 20)
    path = checkpoints(tmp_path)[-1] / name
    path.write_bytes(path.read_bytes()[:size])
    if size == 0:
        path.unlink()
    assert read_checkpoint(tmp_path)[1]["step"] == 10
    assert steps_in(tmp_path) == [10]


def test_when_none_is_whole_it_is_an_error_that_says_what_to_do(tmp_path):
    write(tmp_path, 10, 20)
    for index_ in checkpoints(tmp_path):
        flip(index_ / TENSORS, -1, 0)
    with pytest.raises(CorruptArtifact, match=r"0020/tensors.*no older one is intact; move .*"):
        read_checkpoint(tmp_path)
    assert steps_in(tmp_path) == [10, 20]  # nothing was moved: a person decides


def test_an_old_one_goes_only_when_the_new_one_was_read_back_whole(tmp_path, monkeypatch):
    """A disk that gives back another bit than was written."""
    write(tmp_path, 10, keep=Keep(last=1))

    def settle(moves):
        flip(moves[0].aside / TENSORS, -1, 3)
        moves[0].aside.rename(moves[0].target)
        return [True]

    monkeypatch.setattr(checkpoint, "settle", settle)
    with pytest.raises(CorruptArtifact, match="has bytes that changed since it was written"):
        write(tmp_path, 20, keep=Keep(last=1))
    assert steps_in(tmp_path) == [10]
    assert read_checkpoint(tmp_path)[1]["step"] == 10


def test_one_of_a_newer_kinemill_is_told_and_not_read(tmp_path):
    write(tmp_path, 10)
    index = checkpoints(tmp_path)[0] / INDEX
    index.write_text(json.dumps({**json.loads(index.read_text()), "format": 4}))
    with pytest.raises(CorruptArtifact, match=r"is a checkpoint with format 4, and no older one"):
        read_checkpoint(tmp_path)


def fault_points() -> set[str]:
    """Return the names of the fault points that a checkpoint passes, read from the code."""
    calls = [
        call.args[0].value
        for module in ("train/checkpoint.py", "store/atomic_write.py")
        for call in ast.walk(ast.parse((Path(checkpoint.__file__).parents[1] / module).read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "fault_point"
    ]
    assert len(calls) == len(set(calls))
    return set(calls)


@pytest.fixture
def fault(monkeypatch):
    """Ask for a fault, counting from now on; `count` asks for none."""

    def ask(what: str) -> None:
        monkeypatch.setattr(fault_injection, "_passed", Counter())
        monkeypatch.setenv(fault_injection.VARIABLE, what)

    return ask


@pytest.fixture(scope="module")
def whole(packed, tmp_path_factory):
    """The weights and curves of a training that nothing disturbs."""
    state, best = trained(packed, tmp_path_factory.mktemp("whole"))
    return state.history, best


def trained(packed, folder):
    task = pendulum_task(patience=None, save_every=10, ema=0.9)
    return fit(*prepared(task, packed), folder, QUIET)


def test_a_training_passes_every_fault_point(packed, tmp_path, fault):
    fault("count")
    trained(packed, tmp_path)
    assert set(fault_injection.passings()) == fault_points()


REASONS = {"error": "No space left on device", "read-only": "Read-only file system"}


@pytest.mark.parametrize(("point", "how"), [*zip(sorted(fault_points()), cycle(REASONS))])
def test_a_disk_that_takes_no_more_is_an_error_and_costs_nothing_that_was_there(
    packed, tmp_path, fault, whole, point, how
):
    """In the third checkpoint, at step 30: the two before stay, and a rerun ends the same."""
    passing = 1 if point == "checkpoint.dropped" else 3
    fault(f"{how}:{point}:{passing}")
    message = rf"checkpoint-000000030: could not be written \({REASONS[how]}"
    with pytest.raises(TrainingFailed, match=message):
        trained(packed, tmp_path)
    assert set(steps_in(tmp_path)) >= ({20} if point == "checkpoint.dropped" else {10, 20})
    assert read_checkpoint(tmp_path)[1]["step"] in (20, 30)
    state, best = trained(packed, tmp_path)
    assert state.history == whole[0]
    assert all(torch.equal(best[name], value) for name, value in whole[1].items())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
