"""Optimizer steps in eager mode."""

import pytest
import torch

from kinemill.task.plugins import OBJECTIVES, OPTIMIZERS
from kinemill.train.optimizer_step import fused_step


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
