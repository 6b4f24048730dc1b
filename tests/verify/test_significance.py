"""Comparisons of errors with a known truth."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinemill.dataset.scale import Scale
from kinemill.store import from_json_value, to_json_value
from kinemill.verify.comparison import Comparison
from kinemill.verify.losses import losses
from kinemill.verify.significance import compare_squares


def scale_of(std, resolution=0.0):
    none = np.zeros(len(std))
    return Scale(np.array(std), none + resolution, none, none)


SCALE = scale_of([2.0, 1.0])


def paired(episodes, windows, *, factor=1.0, seed=0):
    """Return squared errors (W, 2) of a model and a reference, with errors in ratio `factor`."""
    random = np.random.default_rng(seed)
    model, reference = random.standard_normal((2, episodes * windows, 2))
    return (factor * model) ** 2, reference**2, np.repeat(np.arange(episodes), windows)


def test_a_model_three_times_as_good_is_better_at_once():
    model, reference, episode = paired(12, 40, factor=1 / 3)
    whole, *apart = compare_squares((model, reference), SCALE, episode)
    assert whole.ratio == pytest.approx(1 / 3, rel=0.1)
    assert whole.low < 1 / 3 < whole.high < 0.5
    assert whole.error == pytest.approx((apart[0].error + apart[1].error) / 2)
    assert whole.error == pytest.approx(np.mean([1 / 6, 1 / 3]), rel=0.1)
    assert whole.p_worse > 0.999
    turned = compare_squares((reference, model), SCALE, episode)[0]
    assert turned.ratio == pytest.approx(1 / whole.ratio)
    assert turned.p_worse < 1e-4


def test_the_jackknife_of_equal_episodes_is_that_of_the_textbook():
    """One window per episode: leave out each episode by hand."""
    model, reference, episode = paired(10, 1, seed=3)
    whole = compare_squares((model[:, :1], reference[:, :1]), scale_of([1.0]), episode)
    remaining = [
        0.5 * np.log(np.delete(model[:, 0], k).mean() / np.delete(reference[:, 0], k).mean())
        for k in range(10)
    ]
    error = np.sqrt(0.9 * np.sum((remaining - np.mean(remaining)) ** 2))
    half = math.log(whole[1].high / whole[1].ratio)
    share = model[:, 0] / model[:, 0].sum() + reference[:, 0] / reference[:, 0].sum()
    effective = share.sum() ** 2 / (share**2).sum()
    assert whole[1].effective_n == pytest.approx(effective)
    from scipy.stats import t

    assert half == pytest.approx(t.ppf(0.975, effective - 1) * error)


def test_blocks_in_which_the_robot_rests_neither_widen_the_interval_nor_count():
    model, reference, episode = paired(12, 40, factor=0.8)
    still = np.zeros((12 * 40, 2))
    pair = np.concatenate([model, still]), np.concatenate([reference, still])
    two = np.concatenate([episode, 12 + episode])
    plain_, resting = (
        compare_squares(squares, SCALE, which)[0]
        for squares, which in (((model, reference), episode), (pair, two))
    )
    assert resting.ratio == pytest.approx(plain_.ratio)
    assert resting.high == pytest.approx(plain_.high, rel=0.02)
    assert resting.effective_n == pytest.approx(plain_.effective_n)


def test_errors_that_drift_from_episode_to_episode_count_by_episode():
    random = np.random.default_rng(5)
    offset = np.repeat(random.standard_normal((8, 2)), 50, axis=0)
    model, reference = offset**2, np.roll(offset, 50, axis=0) ** 2
    result = compare_squares((model, reference), SCALE, np.repeat(np.arange(8), 50))[0]
    assert result.unit == "episodes"
    assert result.effective_n <= 8.0


def test_two_errors_below_what_the_sensor_resolves_are_equal():
    scale = scale_of([1.0], 0.1)  # rounding alone is off by 0.029
    model, reference = np.full((40, 1), 0.02**2), np.full((40, 1), 1e-6)
    result = compare_squares((model, reference), scale, np.arange(40))[1]
    assert (result.ratio, result.low, result.high, result.p_worse) == (1.0, 1.0, 1.0, 1.0)


def test_a_channel_that_never_moves_in_training_is_left_out_of_the_average():
    model, reference, episode = paired(12, 4)
    whole, motion, still = compare_squares((model, reference), scale_of([1.0, 0.0]), episode)
    assert whole == motion
    assert math.isnan(still.ratio)


def test_two_episodes_are_compared_by_blocks_within_them():
    """A log that a fault cut in two has as much evidence as the whole log."""
    model, reference, episode = paired(2, 40)
    result = compare_squares((model, reference), SCALE, episode)[0]
    assert result.unit == "blocks"
    assert result.effective_n > 6.0
    uncut = compare_squares((model, reference), SCALE, np.zeros(len(episode), int))[0]
    assert math.log(result.high / result.low) == pytest.approx(
        math.log(uncut.high / uncut.low), rel=0.5
    )


def test_three_episodes_are_compared_as_a_whole_if_one_has_most_of_the_error():
    model, reference, episode = paired(3, 40)
    model, reference = (np.where(episode[:, None] == 0, 400.0, 1.0) * x for x in (model, reference))
    model = np.where(episode[:, None] == 0, 9.0, 1.0) * model
    result = compare_squares((model, reference), SCALE, episode)[0]
    assert result.unit == "episodes"
    assert result.effective_n < 2.0


def test_weaker_references_ask_for_no_more_evidence_of_a_loss():
    """One loss at p = 0.004 among 12 comparisons counts, with any number of other references."""
    model, reference, episode = paired(12, 4)
    (tie, *_) = compare_squares((model, reference), SCALE, episode)
    fine = replace(tie, error=0.2, reference=0.2, p_worse=0.6)
    lost = replace(fine, error=0.3, low=1.1, p_worse=0.004)
    weak = replace(fine, reference=0.6, p_worse=1.0)
    steps = ("1", "5", "25")
    strong = {key: dict.fromkeys(("nrmse", "a", "b", "c"), fine) for key in steps}
    strong["1"] = strong["1"] | {"c": lost}
    others = {key: dict.fromkeys(("nrmse", "a", "b", "c"), weak) for key in steps}
    history = {"linear": strong} | {f"weak{k}": others for k in range(5)}
    result = losses(history, steps)
    assert [(one.horizon, one.channel) for one in result["linear"]] == [("1", "c")]
    assert not any(result[name] for name in history if name != "linear")


def test_the_detectable_improvement_is_found_four_times_in_five():
    """With a known standard error, 30 equal episodes, and a model better by exactly that much."""
    scale, episode = scale_of([1.0]), np.arange(30)
    random, result, sizes = np.random.default_rng(2), 0, []
    for _ in range(300):
        noise = np.exp(0.1 * random.standard_normal((2, 30, 1)))
        sizes.append(compare_squares((noise[0], noise[1]), scale, episode)[1].detectable)
    for _ in range(300):
        noise = np.exp(0.1 * random.standard_normal((2, 30, 1)))
        better = noise[0] * (1 - np.mean(sizes)) ** 2
        result += compare_squares((better, noise[1]), scale, episode)[1].high < 1.0
    assert 0.74 <= result / 300 <= 0.92


@pytest.mark.parametrize("diverged", [False, True])
def test_a_comparison_survives_json(diverged):
    model, reference, episode = paired(12, 4)
    model = np.full_like(model, np.inf) if diverged else model
    result = compare_squares((model, reference), SCALE, episode)[0]
    again = from_json_value(to_json_value(result), Comparison, Path("c"))
    assert repr(again) == repr(result)
