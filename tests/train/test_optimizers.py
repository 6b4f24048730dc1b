"""Optimizers: the same numbers as torch's own, and trainings that go on bit for bit with each."""

import pytest
import torch
from pydantic import ValidationError

from kinemill.task.learn import Learn
from kinemill.task.plugins import OBJECTIVES, OPTIMIZERS

REFERENCES = {
    "adam": ({"weight_decay": 0.1}, torch.optim.Adam, {"weight_decay": 0.1}),
    "adamw": ({"weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
    "sgd": (
        {"momentum": 0.8, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
    "rmsprop": (
        {"alpha": 0.9, "centered": True},
        torch.optim.RMSprop,
        {"alpha": 0.9, "centered": True},
    ),
}


def learn(optimizer) -> Learn:
    return OBJECTIVES["dynamics"](model={"type": "mlp"}, optimizer=optimizer)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_steps_are_those_of_torchs_own(name):
    """Ten steps on f(x) = Σ x⁴; fused kernels add up in another order than plain ones."""
    settings, theirs, arguments = REFERENCES[name]
    ours = learn({"type": name, "lr": 0.01, **settings}).optimizer
    trained, reference = (torch.nn.Parameter(torch.linspace(-1, 1, 7)) for _ in range(2))
    for optimizer, value in (
        (ours.build([trained]), trained),
        (theirs([reference], lr=0.01, **arguments), reference),
    ):
        for _ in range(10):
            optimizer.zero_grad()
            value.pow(4).sum().backward()
            optimizer.step()
    torch.testing.assert_close(trained, reference, rtol=1e-6, atol=1e-7)
    assert (trained - torch.linspace(-1, 1, 7)).abs().max() > 1e-3


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValidationError, match="nesterov needs a momentum"):
        learn({"type": "sgd", "momentum": 0, "nesterov": True})
