"""Which candidate wins, by errors on left-out rows that are made up."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from kinemill.selection.cross_validation import Fold
from kinemill.selection.portfolio import finalists
from kinemill.selection.portfolio.finalists import Entries, Finalists
from kinemill.selection.portfolio.selection import Bars
from kinemill.selection.validation_errors import CandidateErrors
from kinemill.task.portfolio import Candidate, CandidateResult
from kinemill.task.protocols import NullReporter

SLOW = CandidateResult(
    "slow", "mlp", 1, seconds=0.05, errors={1: 0.2, 20: 0.4}, free_run=0.4, score=0.3
)
LARGE = CandidateResult(
    "large", "mlp", 1, seconds=2.5, parameters=9999, errors={20: 0.1}, free_run=0.1, score=0.1
)
SMALL = replace(LARGE, name="small", seconds=0.01, parameters=9, errors={20: 0.11}, score=0.105)
SIMPLE = replace(SMALL, name="simple", round=0, errors={20: 0.9}, free_run=0.9, score=0.9)


@pytest.fixture
def finalists_of(packed, tmp_path, monkeypatch):
    """Return what makes finalists: (results, their errors on the folds, number of folds)."""
    monkeypatch.setattr(finalists, "leaves_out_rows", lambda _: False)
    monkeypatch.setattr(finalists, "divergence", lambda *_: "")

    def make(results, errors_on=None, budget=100.0, folds=3):
        names = {result.name for result in results}
        candidates = {name: Candidate(name, {}, trains=False) for name in names}
        bars = Bars.of(result for result in results if result.round == 0)
        entries = Entries(budget, NullReporter(), candidates, results, bars)
        fits = SimpleNamespace(
            data=(packed, packed),
            folder=tmp_path,
            errors_on=errors_on,
            model_of=lambda candidate, number: (candidate.name, number),
        )
        return Finalists(entries, fits, [Fold(packed, packed, None)] * folds)

    return make


def test_folds_of_a_long_training_train_as_long_as_its_first_round(finalists_of):
    """Without, the family that takes longest would win without any cross-validation."""
    longer = replace(
        SLOW, round=2, seconds=0.2, errors={1: 0.05, 20: 0.025}, free_run=0.1, score=0.1
    )
    trainings = []

    def errors_on(_fold, _candidate, _step, seconds, _number):
        trainings.append(seconds)
        return [CandidateErrors({1: 0.3, 20: 0.8}, 0.8)]

    whole = finalists_of([SLOW, longer], errors_on, budget=2.0)
    errors = whole._cross_validate(longer, end=0.4, share=0.4)
    assert trainings == [0.05] * 3
    for error in errors:
        assert error.by_horizon == pytest.approx({1: 0.0525**0.5, 20: 0.480625**0.5})
    # One round may take longer than the share, but not longer than all finalists have.
    assert len(whole._cross_validate(longer, end=0.4, share=0.01)) == 3
    assert whole._cross_validate(longer, end=0.1, share=0.01) == []


@pytest.mark.parametrize(
    ("errors", "selected"),
    [
        ((0.21, 0.21, 0.21), "large"),  # worse on every fold
        ((0.15, 0.21, 0.26), "small"),
    ],
)
def test_of_models_alike_on_rows_left_out_the_smallest_is_selected(finalists_of, errors, selected):
    """The larger one is the best on the validation split, and by a little on the other rows."""
    by_name = {"large": (0.2,) * 3, "small": errors, "simple": (0.9,) * 3}
    measured = []

    def errors_on(_fold, candidate, _step, _seconds, number):
        measured.append(candidate.name)
        error = by_name[candidate.name][number]
        return [CandidateErrors({20: error}, error)]

    assert finalists_of([LARGE, SMALL, SIMPLE], errors_on).select().name == selected
    assert measured[-3:] == ["large"] * 3  # a slow winner takes no time from quick candidates


def test_earlier_round_of_a_candidate_is_selected_if_only_the_last_diverges(
    finalists_of, monkeypatch
):
    longer = replace(LARGE, round=2, errors={20: 0.05}, free_run=0.05, score=0.05)
    monkeypatch.setattr(
        finalists, "divergence", lambda model, _rows: "diverges" if model == ("large", 2) else ""
    )
    whole = finalists_of([SIMPLE, LARGE, longer], folds=0)
    assert whole.select() == LARGE
    assert whole.divergence_of(longer) == "diverges"


def test_winner_is_compared_by_the_validation_split_if_all_measured_finalists_diverge(
    finalists_of, monkeypatch
):
    """Only the best result of a family is measured on left-out rows."""
    longer = replace(LARGE, round=2, errors={20: 0.05}, free_run=0.05, score=0.05)
    monkeypatch.setattr(
        finalists, "divergence", lambda model, _rows: "" if model == ("large", 1) else "diverges"
    )
    errors = [CandidateErrors({20: 0.2}, 0.2)]
    whole = finalists_of([LARGE, longer], lambda *_: errors)
    assert whole.select() == LARGE
    assert not whole.are_measured
    assert whole.last_learner(LARGE) == LARGE
