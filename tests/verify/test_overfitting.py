"""Results of `kinemill.verify.overfitting` for synthetic curves."""

import json
import math
import random

import pytest

from kinemill.train.warm_start import FORMAT
from kinemill.verify.overfitting import fitting_in, fitting_of, fitting_section

STEPS = 4000


def curves(validation, training, every=200):
    """Return curves as functions of the finished share of the training."""
    return {
        "validation/multi_step": [
            [step, validation(step / STEPS)] for step in range(every, STEPS + 1, every)
        ],
        "train/loss": [[step, training(step / STEPS)] for step in range(50, STEPS + 1, 50)],
        "lr": [[step, 1e-3] for step in range(50, STEPS + 1, 50)],
    }


def falling(x):
    return math.exp(-6 * x)


def valley(height):
    """Fall to 0.1 at half of the training, then rise by the share `height` until the end."""
    return lambda x: 0.1 + (0.5 - x) * 0.4 if x < 0.5 else 0.1 * (1 + height * (x - 0.5) / 0.5)


def settled(low):
    return lambda x: low + falling(3 * x)


def test_validation_that_rises_while_training_falls_is_over_fitting():
    result = fitting_of(curves(valley(0.4), falling), {})
    assert result.verdict == "over-fitted"
    # Of 20 evaluations the last 4 are 1.28, 1.32, 1.36, 1.4 times the best, which is at half way.
    assert "rose by 34%, from 0.100 at step 2000 to 0.134 at step 4000" in result.text
    assert "those of step 2000" in result.text


@pytest.mark.parametrize(
    ("height", "training"),
    [
        (0.1, falling),  # the last ones are 1.085 times the best
        (0.3, settled(0.01)),  # training does not fall on: it is as unlucky
        (0.0, falling),
    ],
)
def test_less_than_that_is_not(height, training):
    assert fitting_of(curves(valley(height), training), {}) is None


def test_a_training_that_still_falls_at_its_end_is_under_fitting():
    result = fitting_of(curves(falling, falling), {})
    assert result.verdict == "under-fitted"
    # Four evaluations later exp(-6 · 0.2) is left of it.
    assert "still learning when it stopped at step 4000" in result.text
    assert f"fell by {1 - math.exp(-1.2):.0%}" in result.text
    assert "more learn.steps" in result.fix
    # Down by 0.94 over the last fifth is the end of a good training.
    slow = math.log(0.94) / 0.2
    assert fitting_of(curves(lambda x: math.exp(slow * x), falling), {}) is None
    # Validation that falls while training does not is not a reason to go on.
    assert fitting_of(curves(falling, settled(0.01)), {}) is None


@pytest.mark.parametrize(
    ("loss", "validation", "learn", "verdict"),
    [
        (0.36, 0.65, {}, "under-fitted"),  # 0.6 spreads in training, 0.65 in validation
        (0.2, 0.5, {}, None),  # 0.45 spreads
        (0.36, 0.8, {}, None),  # validation is another matter
        (0.36, 0.65, {"loss": "gaussian"}, None),  # not a squared error
    ],
)
def test_an_error_that_stays_high_in_training_itself_is_under_fitting(
    loss, validation, learn, verdict
):
    result = fitting_of(curves(settled(validation), settled(loss)), learn)
    assert (result.verdict if result else None) == verdict
    assert result is None or "stays at 0.600 standard deviations" in result.text


def test_of_good_trainings_nothing_is_said_however_noisy():
    for seed in range(200):
        noise = random.Random(seed)
        result = fitting_of(
            curves(
                lambda x, noise=noise: settled(0.05)(x) * noise.uniform(0.95, 1.05),
                lambda x, noise=noise: settled(0.002)(x) * noise.uniform(0.8, 1.2),
            ),
            {},
        )
        # Training that only seems to fall is no over-fitting, as validation does not rise.
        assert result is None, seed


def test_of_few_evaluations_nothing_is_said():
    assert fitting_of(curves(falling, falling, every=600), {}) is None
    assert fitting_of(curves(falling, falling, every=400), {}) is not None
    assert fitting_of({}, {}) is None


def test_likelihoods_may_be_negative():
    result = fitting_of(curves(valley(0.5), lambda x: -2.0 - x), {"loss": "gaussian"})
    assert result.verdict == "over-fitted"
    assert fitting_of(curves(valley(0.5), lambda x: -2.0 + x), {"loss": "gaussian"}) is None


def test_what_changes_while_it_grows_is_not_looked_at():
    """A horizon that grows during the first half raises the loss, which is not overfitting."""
    rising = curves(falling, lambda x: 0.4 if x < 0.9 else 0.3)
    assert fitting_of(rising, {}) is not None
    assert fitting_of(rising, {"horizon_schedule": {"steps": 3800}}) is None
    assert (
        fitting_of(rising, {"horizon_schedule": None, "teacher_forcing": {"steps": 3800}}) is None
    )


def test_gaps_of_the_curves_are_passed_over():
    """JSON has no NaN, so an evaluation that is not finite is null."""
    whole = curves(valley(0.3), falling)
    whole["validation/multi_step"][3][1] = None
    whole["train/loss"][-1][1] = None
    assert fitting_of(json.loads(json.dumps(whole)), {}).verdict == "over-fitted"


def test_a_trained_model_is_judged_by_what_lies_in_its_folder(tmp_path):
    described = FORMAT.stamp({"learn": {"horizon_schedule": {"steps": 3800}}})
    (tmp_path / "model.json").write_text(json.dumps(described))
    assert fitting_in(tmp_path) is None
    (tmp_path / "history.json").write_text(json.dumps(curves(valley(0.4), falling)))
    assert fitting_in(tmp_path) is None
    (tmp_path / "model.json").write_text(json.dumps(FORMAT.stamp({"learn": {}})))
    assert fitting_in(tmp_path).verdict == "over-fitted"


def test_the_report_has_a_section_only_where_there_is_something_to_say():
    assert fitting_section(None) == ""
    section = fitting_section(fitting_of(curves(valley(0.3), falling), {}))
    assert "<h2>The training over-fitted</h2>" in section
    assert "step 2000" in section
