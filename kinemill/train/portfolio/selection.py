"""Order of candidates: by score, held against the simple references, simple ones first in a tie."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kinemill.task.portfolio import CandidateResult
from kinemill.train.portfolio.validation_errors import LARGEST, SMALLEST, counted

TIE = 1.03  # ranks up to so many times the smallest are a tie: the fewest parameters come first
FREE_RUN = 0  # key of the free run beside steps of horizons


@dataclass(frozen=True)
class Bars:
    """Smallest errors of the references, by steps of the horizon; `FREE_RUN` for the free run."""

    errors: Mapping[int, float]

    @classmethod
    def of(cls, results: Iterable[CandidateResult]) -> "Bars":
        """Return the bars that results of references set."""
        smallest: dict[int, float] = {}
        for result in results:
            for steps, error in _errors(result).items():
                smallest[steps] = min(error, smallest.get(steps, math.inf))
        return cls(smallest)

    def rank(self, result: CandidateResult) -> float:
        """Return the score times the largest ratio to a reference, if that is above 1.

        The score alone would let a candidate pass that is good over whole episodes and far worse
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

    def order(self, results: Iterable[CandidateResult]) -> list[CandidateResult]:
        """Return all results, the best first; in a tie those with the fewest parameters."""
        ranked: Sequence[CandidateResult] = sorted(results, key=self.rank)
        level = TIE * self.rank(ranked[0]) if ranked else 0.0
        tied = [one for one in ranked if self.rank(one) <= level and one.score is not None]
        tied.sort(key=lambda one: one.parameters)
        return [*tied, *(one for one in ranked if one not in tied)]


def _errors(result: CandidateResult) -> dict[int, float]:
    """Return the errors that count, clipped, by steps; none of a result without a score."""
    if result.score is None:
        return {}
    free_run = math.inf if result.free_run is None else result.free_run
    errors = {**(result.errors or {}), FREE_RUN: counted(free_run)}
    return {
        steps: min(max(math.inf if error is None else error, SMALLEST), LARGEST)
        for steps, error in errors.items()
    }
