"""Reference errors, and two distances of distributions, compared with independent values."""

from pathlib import Path

import numpy as np
import pytest

from kinemill.catalog.evaluations import ListedEpisode
from kinemill.store import ArtifactRef
from kinemill.validate.drift.documents import ChannelError, EpisodeMeasurement
from kinemill.validate.drift.evaluate import population_stability
from kinemill.validate.drift.reference import Reference
from kinemill.validate.drift.stage import _verdict
from tests.conftest import ROOT


def reference(*rmse, windows=40, floor=0.0, shortest=10):
    """Held-out episodes of constant error, one channel."""
    squares = [np.full((windows, 1), error**2) for error in rmse]
    return Reference(
        ArtifactRef("", ""), squares, np.zeros((1, 1)), np.array([floor]), shortest, {}
    )


def test_usual_is_what_95_of_100_held_out_stretches_stay_below():
    value = reference(*np.arange(1, 101)).usual(40)
    assert value == pytest.approx([95.05])  # as numpy interpolates between the 95th and the 96th


def test_an_error_below_a_hundredth_of_the_spread_is_usual():
    assert reference(0.0, 0.0, 0.0, 0.0, 0.0, floor=0.02).usual(40) == pytest.approx([0.02])


def test_stretches_are_as_long_as_the_evaluated_episode():
    """Squared errors 0, 0, 0, 4, 0, 0, 0, 4, ...: short stretches vary, long ones do not."""
    squares = [np.tile([[0.0], [0.0], [0.0], [4.0]], (10, 1)) for _ in range(5)]
    value = Reference(ArtifactRef("", ""), squares, np.zeros((1, 1)), np.zeros(1), 1, {})
    assert value.usual(40) == pytest.approx([1.0])  # the root of 4 / 4
    assert value.usual(8) == pytest.approx([1.0])
    assert value.usual(1) == pytest.approx([2.0])
    assert value.usual(1000) == pytest.approx([1.0])


def test_few_held_out_episodes_are_cut_into_stretches_of_a_second():
    """One episode, three quarters of it calm: whole it errs by 1, in seconds by 0 or by 2."""
    squares = [np.concatenate([np.zeros((30, 1)), np.full((10, 1), 4.0)])]
    cut = Reference(ArtifactRef("", ""), squares, np.zeros((1, 1)), np.zeros(1), 10, {})
    assert cut.usual(40) == pytest.approx([np.quantile([0, 0, 0, 2], 0.95)])
    whole = Reference(ArtifactRef("", ""), squares * 5, np.zeros((1, 1)), np.zeros(1), 10, {})
    assert whole.usual(40) == pytest.approx([1.0])


def test_a_diverging_rollout_drifts_more_than_any_number(robot):
    finite = ChannelError("m", rmse=1.0, usual=0.1, ratio=10.0)
    diverged = ChannelError("rad", rmse=None, usual=0.1, ratio=None)
    errors = {"cart_position": finite, "pole_angle": diverged}
    measured = EpisodeMeasurement("e-0000", 99, 9, errors, {})
    listed = ListedEpisode("e-0000", "e", "e.csv", 99, ArtifactRef("", ""), "e.parquet", "")
    one = _verdict(robot.task, listed, measured)
    assert (one.verdict, one.worst, one.ratio) == ("drift", "pole_angle", None)
    assert one.message == "pole_angle: the champion's predictions diverge within 25 steps"


def test_population_stability_of_shares_known_by_hand():
    training = np.arange(1000.0)
    assert population_stability(training, training) == pytest.approx(0.0, abs=1e-12)
    # All new values in the lowest of ten bins: 0.9 ln(10) there, 9 times 0.1 ln(0.1 / 1e-4).
    value = population_stability(training, np.zeros(50))
    assert value == pytest.approx(0.9 * np.log(10) + 9 * (0.1 - 1e-4) * np.log(1000), rel=1e-6)


def test_population_stability_of_a_channel_that_never_changed():
    still = np.zeros(100)
    assert population_stability(still, np.zeros(30)) == 0.0
    assert population_stability(still, np.full(30, 1e-9)) > 1.0
    assert population_stability(still, np.full(30, -1e-9)) > 1.0


def test_validate_knows_no_later_stage():
    """The champion comes through the port: no file of drift names registry, dataset or verify."""
    files = sorted(Path(ROOT / "kinemill" / "validate" / "drift").glob("*.py"))
    assert len(files) >= 4
    later = ("kinemill.dataset", "kinemill.register", "kinemill.verify", "mlflow", "torch")
    named = [
        (file.name, name)
        for file in files
        for name in later
        if f"import {name}" in file.read_text() or f"from {name}" in file.read_text()
    ]
    assert named == []
