"""Optimizer steps in eager mode."""

from dataclasses import replace

import pytest
import torch

from kinemill.task.plugins import OBJECTIVES, OPTIMIZERS
from kinemill.train.devices import multiplied
from kinemill.train.loop import fit
from kinemill.train.optimizer_step import fused_step
from tests.train.conftest import QUIET, ready


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_step_without_overhead_equals_optimizer_step_bit_for_bit(name):
    learn = OBJECTIVES["dynamics"](model={"type": "mlp"}, optimizer={"type": name, "lr": 0.01})

    def train(*, is_direct: bool):
        generator = torch.Generator().manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(5, 3, generator=generator))
        unused = torch.nn.Parameter(torch.ones(2))  # has no gradient
        optimizer = learn.optimizer.build([weight, unused])
        step = fused_step(optimizer) if is_direct else optimizer.step
        for number in range(5):
            weight.grad = None
            optimizer.param_groups[0]["lr"] = 0.01 / (number + 1)
            weight.pow(4).sum().backward()
            step()
        return [weight, unused, *optimizer.state[weight].values()]

    pairs = zip(train(is_direct=True), train(is_direct=False), strict=True)
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in pairs)


def test_steps_multiply_in_the_set_precision_and_validation_exactly(packed, tmp_path):
    module, objective, learn = ready(packed, matmul="medium", steps=20)
    inputs = {"loss": set(), "evaluate": set()}

    def monitored(name):
        inner = getattr(objective, name)

        def call(*args):
            inputs[name].add(torch.get_float32_matmul_precision())
            return inner(*args)

        return call

    spied = replace(objective, loss=monitored("loss"), evaluate=monitored("evaluate"))
    fit(module, spied, learn, tmp_path, QUIET)
    assert inputs == {"loss": {"medium"}, "evaluate": {"highest"}}


def test_precision_of_matrices_is_restored_after_a_failed_step():
    with pytest.raises(ZeroDivisionError), multiplied("medium"):
        _ = 1 / (torch.get_float32_matmul_precision() != "medium")
    assert torch.get_float32_matmul_precision() == "highest"
