"""Drawings in Dagster's metadata."""

from kinemill.verify.results import TrialResults
from kinemill_dagster.resources.pictures import returns_drawn


def test_the_returns_of_trials_have_labeled_axes():
    returns = [3.0, 1.0, 2.0]
    trials = TrialResults(2.0, (1.0, 3.0), None, None, returns, [], [10, 10, 10], [0, 1, 2])
    drawn = returns_drawn({"policy": trials, "random": trials})
    assert "share of episodes" in drawn
    assert "return" in drawn
