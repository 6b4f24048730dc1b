"""Free runs over rows that are left out: their lengths, and errors that we know."""

import numpy as np
import pytest
import torch

from kinemill.train.data import Windows
from kinemill.train.objectives._rollouts import FreeRuns, is_left_out


def windows_of(lengths, history=3, horizon=4):
    """Episodes of some lengths, one behind the other; the state of row n is n."""
    rows, starts, first = history + horizon, [], 0
    for length in lengths:
        starts += range(first, first + length - rows + 1)
        first += length
    values = torch.stack([torch.arange(float(first)), torch.ones(first)], dim=1)
    return Windows(values, torch.tensor(starts), history, horizon, 1)


class Shifted:
    """Counts on with an error that grows by a constant in each step."""

    state_std = torch.tensor([2.0])

    def __init__(self, schedule):
        self.schedule, self.steps = schedule, 0

    def wrap(self, values):
        return values

    def rollout(self, states, past_actions, actions):
        assert states.shape[1:] == (3, 1)
        assert past_actions.shape[1:] == (2, 1)
        self.steps = actions.shape[1]
        count = torch.arange(1.0, self.steps + 1)
        return states[:, -1:] + ((1.0 + self.schedule) * count)[None, :, None]


def test_a_fifth_of_the_windows_is_left_out_in_two_blocks():
    mask = is_left_out(windows_of([106]))
    assert mask.nonzero().flatten().tolist() == [*range(20, 30), *range(70, 80)]
    assert is_left_out(windows_of([8])).tolist() == [False, True]


@pytest.mark.parametrize(("lengths", "steps"), [([1006], 103), ([56] * 20, 53)])
def test_a_run_ends_with_its_block_or_with_its_episode(lengths, steps):
    windows = windows_of(lengths)
    runs, step = FreeRuns(windows, is_left_out(windows)), Shifted(0.0)
    assert runs.error_of(step) < 1e-12
    assert step.steps == steps


def test_the_error_is_a_geometric_mean_over_doubling_steps():
    """0.02 k standard deviations after k steps: the mean of 1, 2, ... 64 of these is 8."""
    windows = windows_of([1006])
    runs = FreeRuns(windows, is_left_out(windows))
    assert runs.error_of(Shifted(0.04)) == pytest.approx(0.02 * 8, rel=1e-4)


def test_a_run_that_is_not_finite_counts_as_the_largest_error():
    windows = windows_of([1006])
    runs = FreeRuns(windows, is_left_out(windows))
    assert runs.error_of(Shifted(np.nan)) == pytest.approx(10.0)
