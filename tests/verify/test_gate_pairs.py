"""Synthetic pairs of the gate's benchmark: models of a pair are equal in distribution."""

import numpy as np
import pytest

from benchmarks._gate_pairs import DEVELOPMENT_KINDS, HORIZONS, KINDS, Size, draw_pair

MANY = Size(400, 60)


def drawn(kind, size=MANY, seed=0):
    return draw_pair(kind, size, np.random.default_rng([seed, KINDS.index(kind)]))


def by_episode(errors, values):
    return [values[errors.episode == number] for number in range(errors.episode[-1] + 1)]


# Sums of the absolute errors of both models at the last horizon, and of the free run of the first,
# with seed [kind, 3, 40]: drawn before the held-out kinds were added (commit 6deb8cd).
@pytest.mark.parametrize(
    ("kind", "sums"),
    [
        ("plain", (43.871273992047264, 55.52615288714888, 2.1234236178299817)),
        ("resting", (35.01683095809662, 36.58722893072456, 1.8480903025365583)),
        ("heavy tails", (67.42388213819873, 41.750783865185056, 3.523646681292303)),
        ("drifting", (33.13520035598439, 26.584839056485258, 1.442257504658902)),
    ],
)
def test_the_development_kinds_are_drawn_as_before_others_were_added(kind, sums):
    location = DEVELOPMENT_KINDS.index(kind)
    model, reference = draw_pair(kind, Size(3, 40), np.random.default_rng([location, 3, 40]))
    errors = [np.abs(one.errors.errors).sum() for one in (model, reference)]
    assert (*errors, model.run.by_episode.sum()) == pytest.approx(sums, rel=1e-12)


# Under exchange of the two models the mean of log(error / error of the other) is 0. It is compared
# with its standard error over 300 pairs; 4.5 are exceeded by chance in 1 of 150,000 cases.
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_models_of_a_pair_are_exchangeable(kind):
    random = np.random.default_rng([7, KINDS.index(kind)])
    pairs = [draw_pair(kind, Size(5, 60), random) for _ in range(300)]
    for figure in (
        *(
            lambda one, steps=steps: (one.errors.by_horizon[steps] ** 2).mean()
            for steps in HORIZONS
        ),
        lambda one: one.run.nrmse,
    ):
        logs = np.array([np.log(figure(model) / figure(reference)) for model, reference in pairs])
        assert abs(logs.mean()) < 4.5 * logs.std() / np.sqrt(len(logs))
