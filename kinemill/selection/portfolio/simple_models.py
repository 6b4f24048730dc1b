"""Simple models of all families, fitted in closed form: histories first, then ridges."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kinemill.selection.portfolio.selection import Bars
from kinemill.task.portfolio import (
    RIDGES,
    USUAL_RIDGE,
    Candidate,
    CandidateResult,
    Structure,
    TaskFacts,
)

PATIENCE = 3  # histories without improvement after which a structure ends
GAIN = 0.99  # a score below this ratio to the best is an improvement


@dataclass
class _Sequence:
    """A structure with its remaining histories, short ones first.

    Attributes:
        structure: structure of a simple model.
        histories: remaining histories, rows.
        best: smallest score so far.
        waited: histories since the last improvement.
    """

    structure: Structure
    histories: Iterator[int]
    best: float = math.inf
    waited: int = 0

    def add(self, result: CandidateResult) -> None:
        """Record the result of the next history."""
        score = math.inf if result.score is None else result.score
        self.waited = 0 if score < GAIN * self.best else self.waited + 1
        self.best = min(self.best, score)


class SimpleModels:
    """All structures of all models, fitted as candidates of a portfolio.

    Args:
        facts: facts about the task and its data.
        structures: structures of all models.
        attempt: function that fits and measures a candidate.
        has_time: function that returns whether there is time for another fit.

    Attributes:
        results: results of the fits, in order.
    """

    def __init__(
        self,
        facts: TaskFacts,
        structures: Sequence[Structure],
        attempt: Callable[[Candidate], CandidateResult],
        has_time: Callable[[], bool],
    ) -> None:
        self._facts = facts
        self._structures = structures
        self._attempt = attempt
        self._has_time = has_time
        self._members: dict[str, tuple[Structure, int]] = {}
        self.results: list[CandidateResult] = []

    def fit(self) -> None:
        """Fit one history of each structure in turn, then the best fits with other ridges."""
        active = [
            _Sequence(structure, iter(structure.histories(self._facts)))
            for structure in self._structures
        ]
        while active and self._has_time():
            for sequence in active:
                history = next(sequence.histories, None)
                if history is None:
                    sequence.waited = PATIENCE
                else:
                    sequence.add(self._fit(sequence.structure, history))
            active = [search for search in active if search.waited < PATIENCE]
        for family in dict.fromkeys(structure.family for structure in self._structures):
            self._fit_ridges(family)

    def _fit(
        self, structure: Structure, history: int, ridge: float = USUAL_RIDGE
    ) -> CandidateResult:
        candidate = structure.candidate(history, ridge)
        self._members[candidate.name] = structure, history
        result = self._attempt(candidate)
        self.results.append(result)
        return result

    def _fit_ridges(self, family: str) -> None:
        """Fit the best of a family, by rank and by the longest horizon, with other ridges."""
        bars = Bars.of(self.results)
        ridges = [
            result
            for result in self.results
            if self._members[result.name][0].family == family and result.score is not None
        ]
        if not ridges:
            return
        best = {
            result.name for result in (min(ridges, key=bars.rank), min(ridges, key=_at_horizon))
        }
        for name in sorted(best):
            for ridge in RIDGES:
                if ridge != USUAL_RIDGE and self._has_time():
                    self._fit(*self._members[name], ridge)


def _at_horizon(result: CandidateResult) -> float:
    """Return the error at the longest horizon."""
    errors = result.errors or {}
    error = errors.get(max(errors, default=0))
    return math.inf if error is None else error
