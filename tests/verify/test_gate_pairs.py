"""Synthetic pairs of the gate's benchmark: models of a pair are equal in distribution."""

import numpy as np
import pytest

from benchmarks._gate_pairs import DEVELOPMENT_KINDS, HORIZONS, KINDS, STRIDE, Size, draw_pair

LAST = HORIZONS[-1]
MANY = Size(400, 60)


def drawn(kind, size=MANY, seed=0):
    return draw_pair(kind, size, np.random.default_rng([seed, KINDS.index(kind)]))


def by_episode(errors, values):
    return [values[errors.episode == number] for number in range(errors.episode[-1] + 1)]


def correlation(one, other):
    return np.corrcoef(np.ravel(one), np.ravel(other))[0, 1]


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


def test_a_regime_that_is_good_for_one_model_is_bad_for_the_other():
    model, reference = drawn("regimes", Size(200, 200))
    # Amplitude ratios are 4 and 1/4: averaged over 5 windows the logarithm has two peaks.
    logs = [
        np.log(np.square(one.errors.errors).reshape(200, 40, 5, 2).mean(axis=(2, 3)))
        for one in (model, reference)
    ]
    apart = logs[0] - logs[1]
    sign = np.sign(apart[np.abs(apart) > 2.0])
    assert np.mean(np.abs(apart) > 1.0) > 0.8
    assert abs(sign.mean()) < 0.1
    # A dwell of 15 windows: two blocks of 5 in a row are in one regime with (1 + (13/15)^5) / 2.
    assert np.mean(apart[:, 1:] * apart[:, :-1] > 0.0) == pytest.approx(0.74, abs=0.05)


def test_biased_models_are_off_in_the_same_direction_all_episode_each_on_its_own():
    means = {
        kind: [
            np.array([own.mean(axis=0) for own in by_episode(one.errors, one.errors.errors)])
            for one in drawn(kind, Size(400, 200))
        ]
        for kind in ("plain", "biased")
    }
    # Mean of 200 windows of a unit AR(1) of 0.8: variance 9 / 200; the offset adds 1.
    deviation = [
        np.mean(means["biased"][which] ** 2) / np.mean(means["plain"][which] ** 2)
        for which in (0, 1)
    ]
    assert deviation == pytest.approx([1.0 / 0.045 + 1.0] * 2, rel=0.5)
    # Of that only half of the 0.045 is common to both.
    assert abs(correlation(*means["biased"])) < 0.15
    one = drawn("biased", Size(400, 200))[0].errors
    at = [
        np.array([own.mean(axis=0) for own in by_episode(one, one.by_horizon[k])])
        for k in (1, LAST)
    ]
    assert correlation(np.sign(at[0]), np.sign(at[1])) > 0.8


def test_errors_grow_fourfold_within_an_episode():
    for one in drawn("growing", Size(2000, 60)):
        squares = np.square(one.errors.errors).reshape(2000, 60, 2)
        first, last = (np.sqrt(squares[:, k].mean()) for k in (0, -1))
        assert last / first == pytest.approx(4.0, rel=0.12)


def test_one_episode_of_six_is_an_outlier_for_both_models():
    model, reference = drawn("outlier episodes", Size(3000, 20))
    rms = [
        np.array([np.sqrt(np.mean(own**2)) for own in by_episode(one.errors, one.errors.errors)])
        for one in (model, reference)
    ]
    large = (rms[0] * rms[1]) ** 0.5 > np.sqrt(5.0) * np.median((rms[0] * rms[1]) ** 0.5)
    assert large.mean() == pytest.approx(1.0 / 6.0, abs=0.04)
    logs = np.log(rms[0] / rms[1])
    added = logs[large].var() - logs[~large].var()
    assert added == pytest.approx(2.0 * 0.4**2, rel=0.35)


def test_student_errors_have_the_variance_of_plain_ones_and_heavier_tails():
    plain, student = (
        (one := drawn(kind, Size(400, 200))[0].errors).by_horizon[1]
        / np.repeat(
            np.sqrt([np.mean(own**2, axis=0) for own in by_episode(one, one.by_horizon[1])]),
            200,
            axis=0,
        )
        for kind in ("plain", "student")
    )
    assert np.mean(plain**4) == pytest.approx(3.0, rel=0.05)
    assert np.mean(student**4) > 4.5
    size = [
        np.median(
            [np.mean(np.square(drawn(kind, seed=seed)[0].errors.errors)) for seed in range(9)]
        )
        for kind in ("plain", "student")
    ]
    assert size[1] / size[0] == pytest.approx(1.0, rel=0.2)


def test_uneven_episodes_are_0_3_to_3_times_as_long_for_both_models_alike():
    model, reference = drawn("uneven")
    lengths = np.bincount(model.errors.episode)
    assert lengths.min() >= 18
    assert lengths.max() <= 180
    # Log-uniform: the median is the geometric mean of the limits.
    assert np.median(lengths) == pytest.approx(60.0 * np.sqrt(0.9), rel=0.15)
    assert np.array_equal(model.errors.episode, reference.errors.episode)
    assert model.run.steps.tolist() == (lengths * STRIDE).tolist()
    assert [episode.rows for episode in model.run.episodes] == (lengths * STRIDE).tolist()
    assert len(model.errors.errors) == len(model.errors.starts) == lengths.sum()
