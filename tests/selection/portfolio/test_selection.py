"""Order of candidates: what a reference does better costs, and in a tie the simple one wins."""

from dataclasses import replace

import pytest

from kinemill.selection.cross_validation import HeldOut
from kinemill.selection.portfolio.selection import Bars
from kinemill.selection.validation_errors import CandidateErrors
from kinemill.task.portfolio import CandidateResult


def result(name, errors, free_run, parameters=10):
    score = 1.0
    for error in (*errors.values(), free_run):
        score *= error
    score **= 1.0 / (len(errors) + 1)
    return CandidateResult(name, "x", 0, 0, parameters, 1.0, 0.0, errors, free_run, score)


REFERENCE = result("linear", {1: 0.01, 5: 0.05, 25: 0.2}, 0.4)


def test_a_candidate_far_worse_than_a_reference_at_one_step_loses():
    """Its score is half of the reference's, but it is 19 times worse at one step."""
    narx = result("narx", {1: 0.19, 5: 0.01, 25: 0.02}, 0.06)
    assert narx.score < 0.7 * REFERENCE.score
    bars = Bars.of([REFERENCE])
    assert [one.name for one in bars.order([narx, REFERENCE])] == ["linear", "narx"]
    assert bars.rank(narx) == pytest.approx(19.0 * narx.score)
    assert bars.rank(REFERENCE) == REFERENCE.score


def test_a_candidate_that_is_nowhere_worse_ranks_by_its_score():
    better = result("mlp", {1: 0.009, 5: 0.04, 25: 0.1}, 0.3)
    bars = Bars.of([REFERENCE])
    assert bars.rank(better) == better.score
    assert bars.order([REFERENCE, better])[0] is better


def test_bars_are_the_smallest_errors_of_all_references():
    other = result("physics", {1: 0.02, 5: 0.02, 25: 0.05}, 0.5)
    assert Bars.of([REFERENCE, other]).errors == {1: 0.01, 5: 0.02, 25: 0.05, 0: 0.4}


def test_free_runs_without_skill_are_no_bar():
    """Both predict nothing after a whole episode, so neither loses for it."""
    lucky = result("lucky", {1: 0.01, 25: 0.2}, 0.81)
    other = result("other", {1: 0.01, 25: 0.2}, 2.3)
    bars = Bars.of([lucky])
    assert bars.rank(other) == pytest.approx(other.score)


def test_simplest_result_within_a_tie_is_selected_without_folds():
    """A larger model in which the gate finds no gain would be refused for the reference."""
    narx = result("narx", {1: 0.00995, 5: 0.04975, 25: 0.199}, 0.398, parameters=86)
    better = result("mlp", {1: 0.009, 5: 0.045, 25: 0.18}, 0.36, parameters=900)
    bars = Bars.of([REFERENCE])
    assert bars.simplest([narx, REFERENCE]) is REFERENCE
    assert bars.simplest([narx, REFERENCE, better]) is better
    assert bars.simplest([replace(narx, score=None)]) is None


def test_candidates_without_a_score_come_last():
    failed = CandidateResult("gru", "gru", 1, failure="not tried")
    bars = Bars.of([failed])
    assert bars.order([failed, REFERENCE]) == [REFERENCE, failed]
    assert bars.errors == {}


def test_a_candidate_behind_a_reference_at_the_longest_horizon_comes_after_all_others():
    """There the gate compares; a reference itself is never behind."""
    exact = result("physics", {1: 0.001, 25: 0.01}, 0.13)
    steady = result("physics, more ridge", {1: 0.001, 25: 0.04}, 0.001)
    bars = Bars.of([exact, steady])
    assert steady.score < exact.score
    assert bars.rank(steady) < bars.rank(exact)
    assert bars.order([steady, exact]) == [exact, steady]
    assert bars.order([result("mlp", {1: 0.001, 25: 0.0104}, 0.001), exact])[0].name == "mlp"


def on_folds(of, *factors):
    """Errors of a result on three folds, as factors of its errors."""
    folds = [
        CandidateErrors({k: f * v for k, v in of.errors.items()}, f * of.free_run) for f in factors
    ]
    return HeldOut(of, folds)


@pytest.mark.parametrize(("noise", "selected"), [(1.0, "large"), (1.5, "small")])
def test_selection_takes_the_smaller_model_within_the_noise_of_the_folds(noise, selected):
    errors = {1: 0.01, 5: 0.05, 25: 0.1}
    large = result("large", errors, 0.3, parameters=900)
    small = result("small", {k: 1.04 * v for k, v in errors.items()}, 0.312)
    far = result("far", {k: 1.6 * v for k, v in errors.items()}, 0.48, parameters=1)
    held_out = [
        on_folds(large, 1.0, 1.0, 1.0),
        on_folds(small, 1.0, noise, 1.0 / noise),
        on_folds(far, 1.0, noise, 1.0 / noise),
    ]
    for by_score in (False, True):
        assert Bars.of([]).select(held_out, by_score=by_score).name == selected


def test_selection_hides_no_difference_at_the_longest_horizon():
    """As with the double pendulum C.0: a network is better in free run, and 1.5 times worse."""
    chain = result("chain", {1: 0.019, 5: 0.020, 25: 0.044}, 0.150, parameters=900)
    network = result("network", {1: 0.018, 5: 0.020, 25: 0.066}, 0.095)
    bars = Bars.of([chain])
    assert network.score < chain.score
    held_out = [on_folds(network, 1.0, 1.1, 0.9), on_folds(chain, 1.0, 1.0, 1.0)]
    assert bars.select(held_out, by_score=False).name == "chain"


def test_over_all_rows_the_score_alone_decides_among_those_that_are_not_behind():
    linear = result("linear", {1: 0.01, 25: 0.2}, 0.4)
    latent = result("latent", {1: 0.02, 25: 0.1}, 0.2)
    short = result("short", {1: 0.001, 25: 0.3}, 0.1)
    bars = Bars.of([linear])
    assert bars.order([linear, latent])[0] is linear
    assert bars.order([linear, short, latent], by_score=True) == [latent, linear, short]
    assert bars.order([replace(latent, score=None), linear], by_score=True)[0] is linear
