"""Heads: reproducible random numbers, and both modes of demonstrations with two modes."""

import numpy as np
import pytest
import torch

from kinemill.models.heads import HEADS
from kinemill.models.networks.graph_noise import GraphNoise
from kinemill.models.networks.heads import signal_and_noise
from kinemill.models.networks.layers import clamp
from kinemill.train.noise import KeyedNoise

CPU = torch.device("cpu")
SETTINGS = {
    "deterministic": {},
    "gaussian_mixture": {"components": 4},
    "diffusion": {"width": 64, "steps": 10},
    "flow": {"width": 64, "steps": 10},
}


def draws(seeds, step=0):
    seeds = torch.as_tensor(seeds).view(-1, 1)
    return GraphNoise(seeds, torch.full((len(seeds), 1), float(step)))


def test_draws_are_even_and_not_alike_from_seed_to_seed_and_step_to_step():
    """20,000 numbers: mean and variance within 4 standard errors, correlation within 4 / √n."""
    seeds = torch.arange(20_000)
    one, other, later = (draws(seeds, step).uniform(2) for step in (0, 1, 2))
    for some in (one, other):
        assert float(some.mean()) == pytest.approx(0.5, abs=4 / np.sqrt(12 * 40_000))
        assert float(some.var()) == pytest.approx(1 / 12, rel=0.02)
    columns = torch.stack([one[:, 0], one[:, 1], other[:, 0], later[:, 1], one[:, 0].roll(1)])
    far = torch.corrcoef(columns) - torch.eye(5)
    assert float(far.abs().max()) < 4 / np.sqrt(20_000)


def test_normal_draws_have_the_tails_of_a_normal_distribution():
    result = draws(torch.arange(20_000)).normal(2).flatten()
    assert float(result.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(result.std()) == pytest.approx(1.0, abs=0.02)
    # P(|x| > 2) = 0.0455
    assert float((result.abs() > 2).float().mean()) == pytest.approx(0.0455, abs=0.004)


def test_draws_are_whole_numbers_mixed_as_written():
    """The same numbers from Python integers, also for a negative and a very large seed."""
    prime = 2**31 - 1
    rounds = ((1812433253, 1540483477), (1664525381, 739982445), (1103515245, 97654321))

    def mix(x):
        for a, c in rounds:
            x = (x * x + a * x + c) % prime
        return x

    for seed in (0, 7, -3, 2**62):
        key = mix((mix(seed % prime) + 5 * 1597334677) % prime)
        expected = [(np.float32(mix((key + k * 1380917953) % prime)) + 0.5) / prime for k in (1, 2)]
        assert draws([seed], 5).uniform(2)[0].tolist() == pytest.approx(expected, rel=1e-6)


def trained(name, expected, steps=500):
    """Train a head on the same demonstrations with a constant condition."""
    torch.manual_seed(0)
    head = HEADS[name].model_validate({"type": name, **SETTINGS[name]}).build(2, 1)
    messages = torch.nn.Parameter(torch.zeros(1, head.condition_size))
    own = list(head.parameters()) if isinstance(head, torch.nn.Module) else []
    torch.nn.init.normal_(messages, std=0.1)
    optimizer = torch.optim.Adam([messages, *own], lr=3e-3)
    for step in range(steps):
        loss = head.loss(
            messages.expand(len(expected), -1),
            expected,
            torch.ones(expected.shape[:2]),
            KeyedNoise(0, step, CPU),
        ).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return head, messages.detach()


@pytest.mark.ci
@pytest.mark.parametrize("name", list(HEADS))
def test_two_ways_are_both_taken_and_never_the_middle_but_by_one_answer(name):
    """Half of the demonstrations go to (1, 1), half to (-1, -1)."""
    expected = torch.tensor([1.0, -1.0]).repeat(64).view(-1, 1, 1).expand(-1, 2, 1)
    head, messages = trained(name, expected)
    with torch.no_grad():
        result = head(messages.expand(200, -1), draws(torch.arange(200)))[..., 0]
    if name == "deterministic":
        assert float(result.abs().max()) < 0.2
        return
    assert float(((result.abs() - 1).abs() < 0.35).all(1).float().mean()) > 0.9
    assert float((result[:, 0].sign() == result[:, 1].sign()).float().mean()) > 0.97
    assert 0.3 < float((result[:, 0] > 0).float().mean()) < 0.7


def test_signal_and_noise_are_a_quarter_of_a_circle():
    for time in (0.0, 0.3, 1.0):
        signal, noise = signal_and_noise(time)
        assert signal**2 + noise**2 == pytest.approx(1.0)
    assert signal_and_noise(0.0) == (1.0, 0.0)


def test_bounds_leave_what_is_no_number():
    result = clamp(torch.tensor([-9.0, 0.5, 9.0, float("nan")]), 2.0)
    assert result[:3].tolist() == [-2.0, 0.5, 2.0]
    assert bool(torch.isnan(result[3]))
