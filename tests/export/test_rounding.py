"""Sampled rounding errors, compared with float32 sums in many orders."""

import numpy as np
import pytest
import torch
from torch import nn

from kinemill.export.rounding import COPIES, FACTOR, UNIT, Rounding, evaluate, rounded


def _distance(result):
    exact, others = result.part(0)
    return np.max([np.abs(sample - exact) for sample in others], axis=0)


class Sum(nn.Module):
    """A sum of terms that cancel, as one row of a layer."""

    def __init__(self, terms):
        super().__init__()
        weight = torch.randn(terms, generator=torch.Generator().manual_seed(0))
        self.weight = nn.Parameter(torch.stack([weight, -weight * (1 + 1e-6)]).T.flatten()[None])

    def forward(self, x):
        return (x @ self.weight.T,)


@pytest.mark.parametrize("terms", [4, 20, 120, 1000])
def test_every_order_of_a_sum_that_cancels_is_within_the_bound(terms):
    module, random = Sum(terms), np.random.default_rng(0)
    x = np.repeat(random.standard_normal((32, terms)).astype(np.float32), 2, axis=1)
    result = evaluate(module, lambda step, inputs: step(inputs), [x])
    allowed = FACTOR * _distance(result).max()
    weight = module.weight.detach().numpy()[0]
    worst = 0.0
    for _ in range(20):
        order = random.permutation(len(weight))
        summed = np.add.accumulate(x[:, order] * weight[order], axis=1, dtype=np.float32)[:, -1]
        worst = max(worst, float(np.abs(summed - result.exact[0][:, 0]).max()))
    assert worst <= allowed
    assert allowed <= 100 * max(worst, 1e-7)  # and not so wide that anything passes


class Mean(nn.Module):
    """The mean of a row."""

    def forward(self, x):
        return (x.mean(dim=1),)


class CumulativeSum(nn.Module):
    """The cumulative sum of a row."""

    def forward(self, x):
        return (x.cumsum(dim=1),)


@pytest.mark.parametrize("terms", [10, 400, 4000])
@pytest.mark.parametrize("offset", [0.0, 3.0], ids=["random signs", "positive"])
@pytest.mark.parametrize("module", [Mean(), CumulativeSum()])
def test_sums_in_float32_from_the_first_term_to_the_last_are_within_the_bound(
    module, offset, terms
):
    x = np.random.default_rng(0).standard_normal((32, terms)).astype(np.float32) + np.float32(
        offset
    )
    result = evaluate(module, lambda step, inputs: step(inputs), [x])
    allowed = FACTOR * _distance(result).max()
    sums = np.add.accumulate(x, axis=1, dtype=np.float32)
    actual = sums[:, -1] / np.float32(terms) if isinstance(module, Mean) else sums
    worst = float(np.abs(actual - result.exact[0]).max())
    assert worst <= allowed
    assert allowed <= 100 * max(worst, 1e-8)


def test_a_cumulative_sum_along_any_axis_is_perturbed_by_its_number_of_terms():
    """Entry k is the sum of k terms of 1: up to sqrt(k) u (sqrt(k) + k)."""
    for axis in (0, 1):
        ones = torch.ones(9, 9, dtype=torch.float64)
        exact, largest = ones.cumsum(axis), torch.zeros(9, 9, dtype=torch.float64)
        for seed in range(100):
            with Rounding(seed):
                moved = ones.cumsum(axis)
            largest = torch.maximum(largest, (moved - exact).abs())
        bound = UNIT["float32"] * exact.sqrt() * (exact.sqrt() + exact)
        assert (largest <= bound).all()
        assert (largest >= 0.9 * bound).all()  # 100 draws


def test_what_float32_does_exactly_is_not_moved():
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with Rounding(0):
        difference, copied, largest = x - x, torch.cat([x, x]), torch.maximum(x, -x)
        whole, moved = torch.round(x), torch.tanh(x)
    assert not difference.any()
    assert torch.equal(copied, torch.cat([x, x]))
    assert torch.equal(largest, x.abs())
    assert torch.equal(whole, x.round())
    off = (moved - x.tanh()).abs() / x.tanh().abs()
    assert 0 < float(off.max()) <= 2 * UNIT["float32"]


def test_samples_are_the_same_each_time_and_as_many_as_stated():
    module, x = Sum(20), np.ones((4, 40), np.float32)
    first, second = (evaluate(module, lambda step, inputs: step(inputs), [x]) for _ in range(2))
    assert len(first.rounded) == 2 + COPIES
    for sample, repeated in zip(first.rounded, second.rounded, strict=True):
        np.testing.assert_array_equal(sample[0], repeated[0])


def test_float64_rounds_less_by_29_bits():
    module, x = Sum(120), np.random.default_rng(0).standard_normal((8, 240)).astype(np.float32)
    single, double = (
        _distance(evaluate(module, lambda step, inputs: step(inputs), [x], dtype)).max()
        for dtype in ("float32", "float64")
    )
    assert double == pytest.approx(single * 2.0**-29, rel=3.0)
    assert double < 1e-6 * single


def test_each_weight_is_off_by_one_bit():
    module = Sum(20)
    off = (rounded(module).weight / module.weight - 1).detach().abs()
    assert 0 < float(off.max()) <= 4 * UNIT["float32"]
