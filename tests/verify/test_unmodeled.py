import numpy as np
import pytest

from kinemill.verify.effects import ADVICE
from kinemill.verify.residuals import Series
from kinemill.verify.unmodeled import unmodeled_effects
from tests.verify.conftest import pack

ROWS, EPISODES = 1500, 5


@pytest.fixture(scope="module")
def rows():
    """Return angle, velocity and torque of episodes: smooth random signals of unit size."""
    random = np.random.default_rng(5)
    every = []
    for _ in range(EPISODES):
        noise = random.standard_normal((ROWS + 60, 3))
        smooth = np.stack([np.convolve(one, np.hanning(60), "valid") for one in noise.T], axis=1)
        every.append(smooth[:ROWS] / smooth.std(axis=0))
    return every


@pytest.fixture(scope="module")
def dataset(rows):
    return pack({"train": rows})


def effects_of(dataset, rows, residual, noise=0.3, seed=0):
    """Return the effects for errors of the velocity that follow `residual` of an episode's rows."""
    random = np.random.default_rng(seed)
    series = []
    for row in rows:
        errors = random.standard_normal((len(row), 2)) * noise
        errors[:, 1] += residual(row)
        series.append(Series(errors, row[:, :2], row[:, 2:]))
    return unmodeled_effects(series, dataset, {"velocity": "angle"})


def without_linear_part(residual, rows):
    every = np.concatenate(rows)
    values = np.concatenate([residual(row) for row in rows])
    weights, *_ = np.linalg.lstsq(every, values, rcond=None)
    return lambda one: residual(one) - one @ weights


@pytest.mark.parametrize(
    ("effect", "residual"),
    [
        ("linear", lambda rows: rows[:, 2]),
        ("past", lambda rows: np.concatenate([np.zeros(4), 8 * np.diff(rows[:-3, 2])])),
        ("friction", lambda rows: np.sign(rows[:, 1])),
        ("drag", lambda rows: rows[:, 1] * np.abs(rows[:, 1])),
        ("angle", lambda rows: np.sin(2 * rows[:, 0])),
        ("curvature", lambda rows: rows[:, 2] ** 2),
        ("product", lambda rows: rows[:, 2] * np.cos(rows[:, 0])),
        ("threshold", lambda rows: np.where(rows[:, 2] > 0, 1.0, -1.0)),
        ("drift", lambda rows: np.linspace(-2, 2, len(rows))),
    ],
)
def test_the_effect_that_is_missing_comes_first(dataset, rows, effect, residual):
    if effect != "linear":  # a trained model has learned what is linear
        residual = without_linear_part(residual, rows)
    first = effects_of(dataset, rows, residual)[0]
    assert (first.channel, first.effect) == ("velocity", effect)
    assert 0.3 < first.share <= 1.0


def test_noise_is_explained_by_nothing(dataset, rows):
    assert effects_of(dataset, rows, lambda one: np.zeros(len(one))) == []


def test_a_share_is_the_part_of_the_variance(dataset, rows):
    """Friction of ±1 (variance 1, of which v explains 2/π) and noise of variance 1."""
    effects = effects_of(dataset, rows, lambda one: np.sign(one[:, 1]), noise=1.0)
    shares = {effect.effect: effect.share for effect in effects if effect.channel == "velocity"}
    assert shares["linear"] == pytest.approx(0.5 * 2 / np.pi, abs=0.04)
    assert shares["friction"] == pytest.approx(0.5 * (1 - 2 / np.pi), abs=0.04)


def test_a_share_is_at_most_one_where_linear_terms_do_harm(dataset, rows):
    """In short episodes, linear terms fit the slope of a square, which the next one has not."""
    short = [row[:40] for row in rows]
    effects = effects_of(dataset, short, lambda one: one[:, 2] ** 2, noise=0.01)
    assert max(effect.share for effect in effects) == pytest.approx(1.0, abs=0.05)


def test_a_single_short_episode_has_no_effects(dataset, rows):
    assert effects_of(dataset, [rows[0][:9]], lambda one: one[:, 2]) == []


def test_errors_that_are_not_finite_have_no_effects(dataset, rows):
    assert effects_of(dataset, rows, lambda one: np.full(len(one), np.nan)) == []


def test_errors_of_a_position_count_only_without_its_velocity(dataset, rows):
    series = [Series(np.sin(row[:, [0, 0]]), row[:, :2], row[:, 2:]) for row in rows]
    paired = unmodeled_effects(series, dataset, {"velocity": "angle"})
    assert {one.channel for one in paired} == {"velocity"}
    alone = unmodeled_effects(series, dataset, {})
    assert {one.channel for one in alone} == {"angle", "velocity"}


def test_every_effect_has_advice(dataset, rows):
    history = effects_of(dataset, rows, lambda one: np.sign(one[:, 1]))
    assert {one.effect for one in history} <= set(ADVICE)
