"""Order of candidates: by score relative to simple references; within noise, simple ones first."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kinemill.selection.constants import (
    LARGEST,
    LEEWAY,
    SMALLEST,
    TIE,
)
from kinemill.selection.cross_validation import HeldOut
from kinemill.selection.validation_errors import counted, errors_in
from kinemill.task.portfolio import CandidateResult

FREE_RUN = 0  # key of the free run among the steps of horizons


@dataclass(frozen=True)
class Bars:
    """Smallest errors of the references, which are simple models fitted in closed form.

    Attributes:
        errors: error in standard deviations, by steps of the horizon; `FREE_RUN` for the free run.
    """

    errors: Mapping[int, float]

    @classmethod
    def of(cls, results: Iterable[CandidateResult]) -> "Bars":
        """Return the smallest errors of the results of references."""
        smallest: dict[int, float] = {}
        for result in results:
            for steps, error in _errors(result).items():
                smallest[steps] = min(error, smallest.get(steps, math.inf))
        return cls(smallest)

    def rank(self, result: CandidateResult) -> float:
        """Return the score times the largest ratio to a reference, if that is above 1.

        By the score alone, a candidate could win that is good over whole episodes and far worse
        than a linear model at one step. Infinite without a score.
        """
        if result.score is None:
            return math.inf
        ratios = (
            error / self.errors[steps]
            for steps, error in _errors(result).items()
            if steps in self.errors
        )
        return result.score * max(1.0, *ratios, 1.0)

    def is_behind(self, result: CandidateResult) -> bool:
        """Return whether a reference is better at the longest horizon, where the gate compares."""
        last = self._longest
        return (
            last in self.errors and _errors(result).get(last, math.inf) > LEEWAY * self.errors[last]
        )

    @property
    def _longest(self) -> int:
        return max(self.errors, default=FREE_RUN)

    def order(
        self, results: Iterable[CandidateResult], *, by_score: bool = False
    ) -> list[CandidateResult]:
        """Return all results, the best first.

        Results that are worse than a reference at the longest horizon come after all others. With
        `by_score`, the ratio to a reference has no other influence: rows that a fold holds out can
        be unlike all others.
        """

        def key(result: CandidateResult) -> tuple[bool, float]:
            score = math.inf if result.score is None else result.score
            return self.is_behind(result), score if by_score else self.rank(result)

        return sorted(results, key=key)

    def simplest(self, results: Iterable[CandidateResult]) -> CandidateResult | None:
        """Return the smallest of the results whose rank is within TIE of the best one.

        None if no result has a score.
        """
        ordered = [result for result in self.order(results) if result.score is not None]
        tied = [
            result
            for result in ordered
            if self.is_behind(result) == self.is_behind(ordered[0])
            and self.rank(result) <= TIE * self.rank(ordered[0])
        ]
        return min(tied, key=lambda result: result.parameters, default=None)

    def select(self, held_out: Sequence[HeldOut], *, by_score: bool) -> CandidateResult:
        """Return the result of the smallest model within the noise of the folds of the best one.

        Args:
            held_out: errors on rows left out of fits.
            by_score: whether the score alone decides which one is the best, see `order`.
        """
        means = [entry.mean for entry in held_out]
        best = self.order(means, by_score=by_score)[0]
        first = next(entry for entry in held_out if entry.mean is best)
        tier = self.is_behind(best)
        tied = [
            entry
            for entry in held_out
            if self.is_behind(entry.mean) == tier and entry.is_as_good_as(first)
        ]
        return min([first, *tied], key=lambda entry: entry.result.parameters).result


def _errors(result: CandidateResult) -> dict[int, float]:
    """Return the errors that count, clipped, by steps; none of a result without a score."""
    if result.score is None:
        return {}
    measured = errors_in(result)
    errors = {**measured.by_horizon, FREE_RUN: counted(measured.free_run)}
    return {steps: min(max(error, SMALLEST), LARGEST) for steps, error in errors.items()}
