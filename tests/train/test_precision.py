"""Matrices by bfloat16 units: where they are large, near and faster, and never in validation."""

from dataclasses import replace

import pytest
import torch

from kinemill.task.protocols import NullReporter
from kinemill.train import precision
from kinemill.train.loop import fit
from kinemill.train.precision import multiplied, probe, worth_a_look
from tests.train.conftest import pendulum_task

WIDE = 256


def net(width=WIDE):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, width)
    )


def loss_of(module):
    rows = torch.randn(1024, 4, generator=torch.Generator().manual_seed(1))
    return lambda batch: module(rows[batch[0]]).square().mean()


@pytest.fixture
def clock(monkeypatch):
    """A clock on which `medium` takes as many seconds as the test says, everything else one."""
    state = {"now": 0.0, "medium": 1.0}

    def tick():
        how = torch.get_float32_matmul_precision()
        state["now"] += state["medium"] / 2 if how == "medium" else 0.5
        return state["now"]

    monkeypatch.setattr(precision.time, "thread_time", tick)
    monkeypatch.setattr(precision, "worth_a_look", lambda module, batch: True)
    return state


def test_what_is_small_is_not_even_tried():
    batch = torch.arange(512)[None]
    assert not worth_a_look(net(64), batch)
    assert not worth_a_look(net(), batch[:, :32])
    supported = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert worth_a_look(net(), batch) == supported


@pytest.mark.parametrize(("seconds", "how"), [(0.7, "medium"), (0.95, "highest")])
def test_a_trial_decides(clock, seconds, how):
    clock["medium"], module = seconds, net()
    assert probe(module, loss_of(module), torch.arange(512)[None]) == how
    assert all(value.grad is None for value in module.parameters())
    assert torch.get_float32_matmul_precision() == "highest"


def test_what_is_faster_but_far_off_is_left(clock):
    clock["medium"], module = 0.5, net()
    exact = loss_of(module)

    def coarse(batch):
        factor = 1.02 if torch.get_float32_matmul_precision() == "medium" else 1.0
        return factor * exact(batch)

    assert probe(module, coarse, torch.arange(512)[None]) == "highest"


def test_the_setting_is_put_back_when_a_step_fails():
    with pytest.raises(ZeroDivisionError), multiplied("medium"):
        _ = 1 / (torch.get_float32_matmul_precision() != "medium")
    assert torch.get_float32_matmul_precision() == "highest"


def test_steps_multiply_as_told_and_validation_exactly(packed, tmp_path):
    learn = pendulum_task(matmul="medium", compile="off", steps=20).learn
    module, objective = learn.prepare(pendulum_task(), packed, packed, torch.device("cpu"))
    inputs = {"loss": set(), "evaluate": set()}

    def monitored(name):
        inner = getattr(objective, name)

        def call(*args):
            inputs[name].add(torch.get_float32_matmul_precision())
            return inner(*args)

        return call

    spied = replace(objective, loss=monitored("loss"), evaluate=monitored("evaluate"))
    state, _ = fit(module, spied, learn, tmp_path, (NullReporter(), NullReporter()))
    assert (state.matmul, inputs) == ("medium", {"loss": {"medium"}, "evaluate": {"highest"}})
