"""Rank the members of a family on rows that are left out of their fits.

Symbols: M members of one structure and history.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kinemill.selection.constants import (
    COARSE,
    EXACT,
    NEAR,
    REFERENCE_TIE,
)
from kinemill.selection.cross_validation import Fold
from kinemill.selection.references.ridge import Fitted, fit_groups, make_step
from kinemill.selection.references.specs import Spec
from kinemill.selection.references.step_predictor import StepPredictor, stacked
from kinemill.selection.validation_errors import CandidateErrors, mean_errors


@dataclass(frozen=True)
class Candidate:
    """A member with its mean errors over the folds; `fitted` has the weights of the last fold."""

    fitted: Fitted
    errors: CandidateErrors


@dataclass(frozen=True)
class _Group:
    """Members of one structure and history, which run as one batch, as fitted for each fold."""

    fitted: list[Fitted]
    by_fold: list[StepPredictor]

    def ranked(self, folds: Sequence[Fold], *, coarse: bool) -> list[Candidate]:
        """Return all members with their mean errors over the folds."""
        stride, free_run = (COARSE, False) if coarse else (1, True)
        by_fold = [
            fold.rows.measure(predictor, len(self.fitted), stride, free_run=free_run)
            for fold, predictor in zip(folds, self.by_fold, strict=True)
        ]
        means = (mean_errors(errors) for errors in zip(*by_fold, strict=True))
        return [Candidate(*pair) for pair in zip(self.fitted, means, strict=True)]


def strongest(spec: Spec, folds: Sequence[Fold], histories: list[int]) -> Candidate | None:
    """Return the member with the smallest score whose free runs stay bounded; None without one.

    Of members with almost the same score it is the one with the shortest history and the largest
    ridge.
    """
    fits = [fit_groups(spec, fold.dataset, histories) for fold in folds]
    groups = [_group(spec, folds, by_fold) for by_fold in zip(*fits, strict=True)]
    coarse = [group.ranked(folds, coarse=True) for group in groups]
    smallest = min(candidate.errors.score for members in coarse for candidate in members)
    near = [
        group
        for group, members in zip(groups, coarse, strict=True)
        if min(candidate.errors.score for candidate in members) <= NEAR * smallest
    ]
    candidates = [
        candidate
        for group in near
        for candidate in group.ranked(folds, coarse=False)
        if candidate.errors.stays_bounded
    ]
    if not candidates and len(near) < len(groups):  # the best ones diverge in free run
        candidates = [
            candidate
            for group in groups
            for candidate in group.ranked(folds, coarse=False)
            if candidate.errors.stays_bounded
        ]
    if not candidates:
        return None
    level = REFERENCE_TIE * max(min(candidate.errors.score for candidate in candidates), EXACT)
    tied = [candidate for candidate in candidates if candidate.errors.score <= level]
    return min(tied, key=lambda candidate: (candidate.fitted.history, -candidate.fitted.ridge))


def _group(spec: Spec, folds: Sequence[Fold], by_fold: Sequence[list[Fitted]]) -> _Group:
    predictors = [
        StepPredictor(
            stacked(
                make_step(spec, fold.dataset, fitted[0]), [member.solution for member in fitted]
            )
        )
        for fold, fitted in zip(folds, by_fold, strict=True)
    ]
    return _Group(by_fold[-1], predictors)
