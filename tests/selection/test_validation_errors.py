"""Errors of candidates: known predictions on rows that we know."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.selection.validation_errors import CandidateErrors, ValidationRows


class Shifted:
    """Predicts the truth of the pendulum plus a constant, in standard deviations and turns."""

    history = rows = 3

    def __init__(self, packed, shift, turns=0):
        self.offset = torch.tensor(packed.std[:2] * shift, dtype=torch.float32)
        self.offset[0] += 2 * math.pi * turns
        (episode,) = packed.of("validation")
        self.values = torch.from_numpy(packed.values[episode.start : episode.stop])

    def estimate_history(self, states, past_actions):
        return states, past_actions

    def rollout(self, states, past_actions, actions):
        assert states.shape[1] == 3
        assert past_actions.shape[1] == 2
        ends = [int((self.values[:, :2] == row[-1]).all(1).nonzero()[0]) for row in states]
        steps = torch.arange(1, actions.shape[1] + 1)
        index = (torch.tensor(ends).unsqueeze(1) + steps).clamp(max=len(self.values) - 1)
        return self.values[index][..., :2] + self.offset


@pytest.mark.parametrize("turns", [0, 1])
def test_a_constant_error_is_the_error_at_every_horizon(packed, turns):
    rows = ValidationRows(packed, history=5, horizon=20)
    errors = rows.errors_of(Shifted(packed, 0.25, turns))
    assert rows.horizons == (1, 4, 20)
    for error in (*errors.by_horizon.values(), errors.free_run, errors.score):
        assert error == pytest.approx(0.25, rel=1e-4)


def test_a_rollout_that_is_not_finite_has_no_score(packed):
    rows = ValidationRows(packed, history=3, horizon=20)
    assert rows.errors_of(Shifted(packed, np.nan)).score == math.inf


def test_a_free_run_without_bounds_counts_as_the_largest_error():
    """One step and horizons decide between models of systems that are unstable themselves."""
    errors = CandidateErrors({1: 0.1, 10: 0.1}, math.inf)
    assert errors.score == pytest.approx((0.1 * 0.1 * 10.0) ** (1 / 3))


class Unsteady(Shifted):
    """Diverges from the third row of the episode."""

    def rollout(self, states, past_actions, actions):
        predicted = super().rollout(states, past_actions, actions)
        starts_early = (states[:, -1] == self.values[2, :2]).all(1)
        return torch.where(starts_early[:, None, None], math.nan, predicted)


def test_model_with_a_short_history_starts_its_free_run_at_the_first_row(packed):
    """Where the windows of all models begin after the longest history."""
    errors = ValidationRows(packed, history=5, horizon=20).errors_of(Unsteady(packed, 0.25))
    assert errors.free_run == math.inf
    assert errors.by_horizon[20] == pytest.approx(0.25, rel=1e-4)


class Constant:
    """Predicts that a state stays, plus a constant for the recording that it starts in."""

    rows = 3

    def __init__(self, packed, shifts):
        episodes = [episode for episode in packed.episodes if episode.recording in shifts]
        self.shifts = {
            episode.start: shifts[episode.recording] * packed.std[:2] for episode in episodes
        }
        self.packed = packed

    def estimate_history(self, states, past_actions):
        return states, past_actions

    def rollout(self, states, past_actions, actions):
        del past_actions
        values = self.packed.values
        predicted = []
        for row in states:
            (at,) = np.nonzero((values[:, :2] == row[-1].numpy()).all(1))[0]
            start = max(first for first in self.shifts if first <= at)
            following = np.arange(at + 1, at + 1 + actions.shape[1]).clip(max=len(values) - 1)
            predicted.append(values[following, :2] + self.shifts[start])
        return torch.tensor(np.array(predicted), dtype=torch.float32)


def test_errors_by_recording_are_those_of_its_windows_and_its_free_run(packed):
    first, second = packed.of("train")[:2]
    episodes = [
        replace(first, split="validation", recording="a"),
        replace(second, split="validation", recording="b"),
        *packed.episodes[2:3],
    ]
    dataset = replace(packed, episodes=episodes)
    rows = ValidationRows(dataset, history=3, horizon=20, std=packed.std[:2])
    measured = rows.errors_by_recording(Constant(dataset, {"a": 0.1, "b": 0.4}))
    for errors, expected in zip(measured, (0.1, 0.4), strict=True):
        values = [*errors.by_horizon.values(), errors.free_run]
        assert values == pytest.approx([expected] * 4, rel=1e-2)


def test_a_validation_split_without_a_window_is_an_error(packed):
    with pytest.raises(BadInput, match=r"no episode has 205 rows \(a history of 5"):
        ValidationRows(packed, history=5, horizon=200)


def test_free_runs_without_skill_count_alike_until_they_are_gross():
    def score(free_run):
        return CandidateErrors({1: 0.1, 25: 0.5}, free_run).score

    assert score(0.9) == score(2.3) == score(0.8) > score(0.79)
    assert score(2.5) > score(2.3)


class Estimating(Shifted):
    """Knows five rows, estimates the velocity of three, and predicts from the estimates."""

    rows = 5

    def estimate_history(self, states, past_actions):
        assert (states.shape[1], past_actions.shape[1]) == (5, 4)
        self.estimated = states[:, 2:].clone()
        self.estimated[..., 1] = 7.0
        return self.estimated, past_actions[:, 2:]

    def rollout(self, states, past_actions, actions):
        assert states is self.estimated
        return states[:, -1:].expand(-1, actions.shape[1], -1)


def test_candidates_start_from_estimates_of_derived_states(packed):
    rows = ValidationRows(packed, history=8, horizon=20)
    errors = rows.errors_of(Estimating(packed, 0.0))
    assert errors.by_horizon[1] > 1.0  # 7 rad/s is far off
    assert errors.free_run > 1.0


class Failing(Shifted):
    """Is off by 0.01 standard deviations, and by a hundred times as much in one window of ten."""

    def rollout(self, states, past_actions, actions):
        truth = super().rollout(states, past_actions, actions) - self.offset
        factor = torch.ones(len(states), 1, 1)
        factor[::10] = 100.0
        return truth + factor * self.offset


def test_a_few_windows_do_not_decide(packed):
    """The mean of their squares would make it 0.32, three times as much."""
    rows = ValidationRows(packed, history=3, horizon=20)
    errors = rows.errors_of(Failing(packed, 0.01))
    share = -(-len(rows._starts) // 10) / len(rows._starts)
    assert errors.by_horizon[20] == pytest.approx(0.01 * (1 + 99 * share), rel=1e-3)


@pytest.fixture
def noisy(packed):
    """The pendulum with a third state that is white noise."""
    noise = np.random.default_rng(0).standard_normal(len(packed.values)).astype(np.float32)
    values = np.insert(packed.values, 2, noise, axis=1)
    return replace(
        packed,
        segments=[values],
        states=(*packed.states, "battery"),
        mean=np.insert(packed.mean, 2, noise.mean()),
        std=np.insert(packed.std, 2, noise.std()),
    )


class Persistent:
    """Predicts the last values of the pendulum, and the mean of the noise, plus an error."""

    history = rows = 1

    def __init__(self, size=0.0):
        self.size = size

    def estimate_history(self, states, past_actions):
        return states, past_actions

    def rollout(self, states, past_actions, actions):
        predicted = states[:, -1:].repeat(1, actions.shape[1], 1)
        predicted[..., :2] += self.size
        predicted[..., 2:] = 0.0
        return predicted


def test_a_state_that_is_noise_hides_no_error_of_the_others(noisy):
    rows = ValidationRows(noisy, history=1, horizon=20)
    assert rows.find_noise(Persistent()) == ["battery"]

    def ratio():
        return (
            rows.errors_of(Persistent(0.1)).by_horizon[1]
            / rows.errors_of(Persistent()).by_horizon[1]
        )

    hidden = ratio()
    rows.set_noise(["battery"])
    assert rows.noise == ["battery"]
    assert ratio() > 1.5 > 1.1 > hidden


def test_if_every_state_is_noise_all_count_equally(noisy):
    rows = ValidationRows(noisy, history=1, horizon=20)
    before_all = rows.errors_of(Persistent())
    rows.set_noise(noisy.states)
    assert (rows.noise, rows.errors_of(Persistent())) == ([], before_all)


def test_the_pendulum_has_no_noise(packed):
    assert ValidationRows(packed, history=3, horizon=20).find_noise(Shifted(packed, 0.25)) == []
