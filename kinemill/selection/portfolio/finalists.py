"""Choice among the candidates of a portfolio: the best on left-out rows that does not diverge."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from torch import nn

from kinemill.errors import KinemillError
from kinemill.selection.constants import CROSS, FINALISTS, LEAST, MEASURE, QUICK_FOLDS
from kinemill.selection.cross_validation import (
    Fold,
    HeldOut,
    best_of_families,
    leaves_out_rows,
    projected,
    slow_finalists,
)
from kinemill.selection.divergence import divergence
from kinemill.selection.portfolio.candidate_fits import CandidateFits
from kinemill.selection.portfolio.selection import Bars
from kinemill.selection.validation_errors import CandidateErrors, errors_in, score_text
from kinemill.store import publish_document, read_document
from kinemill.task import Progress
from kinemill.task.portfolio import Candidate, CandidateResult
from kinemill.tracking.throughput import clock
from kinemill.train.time_limit import time_limit

FOLDS = "folds.json"


@dataclass(frozen=True)
class MeasuredFolds:
    """Errors of a finalist by recording, empty without time for them, and the time taken, s."""

    errors: list[CandidateErrors]
    seconds: float


@dataclass
class Entries:
    """Candidates of a portfolio, their results, and how much of its budget they have used.

    Attributes:
        budget: s.
        progress: reports each result.
        candidates: by name.
        results: in the order of the fits.
        bars: errors of the references.
        spent: s.
    """

    budget: float
    progress: Progress
    candidates: dict[str, Candidate] = field(default_factory=dict[str, Candidate])
    results: list[CandidateResult] = field(default_factory=list[CandidateResult])
    bars: Bars = field(default_factory=lambda: Bars({}))
    spent: float = 0.0

    @contextmanager
    def spending(self) -> Generator[None]:
        """Take the time of the block out of the budget."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.spent += time.monotonic() - began

    def log(self, text: str) -> None:
        """Report progress with the time of the budget that is left."""
        remaining = clock(max(0.0, self.budget - self.spent))
        self.progress.log_message(f"{text}, {remaining} left")


class Finalists:
    """The best result of each family, measured on rows left out of its fits, and checked.

    A result that diverges on a recorded episode is not selected. Earlier rounds of its candidate
    can be.
    """

    def __init__(self, entries: Entries, fits: CandidateFits, folds: Sequence[Fold]) -> None:
        self._entries = entries
        self._fits = fits
        self._folds = folds
        self._refits = any(fold.training_set is not None for fold in folds)
        self._leaves_out_rows = leaves_out_rows(fits.data[0])
        self._held_out: dict[str, HeldOut] = {}  # by candidate
        self._diverging: dict[tuple[str, int], str] = {}  # by checked result; "" on no episode
        self._path = fits.folder / FOLDS
        exists = self._path.is_file()
        self._measured = read_document(self._path, dict[str, MeasuredFolds]) if exists else {}

    @property
    def share(self) -> float:
        """Share of the budget that is kept for measurements on left-out rows."""
        return (CROSS if self._refits else MEASURE) if self._folds else 0.0

    @property
    def are_measured(self) -> bool:
        """Whether finalists have errors on left-out rows."""
        return bool(self._held_out)

    def divergence_of(self, result: CandidateResult) -> str:
        """Return where a result is known to diverge, or an empty text."""
        return self._diverging.get((result.name, result.round), "")

    def best(self) -> CandidateResult | None:
        """Return the best result that is not known to diverge; of equal ones the simplest."""
        stable = (entry for entry in self._entries.results if not self.divergence_of(entry))
        return self._entries.bars.simplest(stable)

    def select(self) -> CandidateResult | None:
        """Return the winner: by cross-validation if there is time for one; None if all diverge."""
        return self._best_by_cross_validation() or self._stable(self.best)

    def _best_by_cross_validation(self) -> CandidateResult | None:
        entries = self._entries
        # Unused time of earlier rounds goes to the folds, so that fewer long trainings have to be
        # projected from shorter ones.
        end = max(entries.spent + self.share * entries.budget, (1.0 - LEAST) * entries.budget)
        seconds = dict[str, float]()
        for result in entries.results:
            seconds[result.name] = seconds.get(result.name, 0.0) + result.seconds
        ordered = entries.bars.order(entries.results)
        families = best_of_families(ordered) if self._folds else []
        quick = [result for result in families if seconds[result.name] < QUICK_FOLDS]
        # Of equal ones the smallest wins, so that it has to be measured before the time is used up.
        quick.sort(key=lambda result: result.parameters)
        # Quick ones cost little, and a slow winner could use up the time of all of them.
        self._hold_out(quick, (entries.spent + end) / 2)
        self._hold_out([family for family in families[:1] if family not in quick], end)
        if not families or families[0].name not in self._held_out:
            self._held_out = {}
            return None
        self._stable(self._best_held_out)
        rest = [family for family in families if not self.divergence_of(family)]
        slow = slow_finalists(rest, self._stable_held_out(), seconds)
        self._hold_out(slow, end)
        best = self._stable(self._best_held_out)
        if best is not None and best.round == 0:
            # It has nothing to learn, so the time of the last training shows whether others win.
            measured = {*self._held_out, *(family.name for family in slow)}
            self._hold_out([family for family in rest if family.name not in measured], end)
            best = self._stable(self._best_held_out)
        if best is None:
            self._held_out = {}  # the winner is none of them
            return None
        entries.results = [
            replace(entry, held_out=self._held_out[entry.name].mean.score)
            if entry.name in self._held_out
            else entry
            for entry in entries.results
        ]
        ordered = entries.bars.order(entries.results)
        return next(entry for entry in ordered if entry.name == best.name)

    def _best_held_out(self) -> CandidateResult | None:
        """Return the best result of the cross-validation that is not known to diverge."""
        held_out = self._stable_held_out()
        return self._select(held_out.values()) if held_out else None

    def _stable_held_out(self) -> dict[str, HeldOut]:
        return {
            name: entry
            for name, entry in self._held_out.items()
            if not self.divergence_of(entry.result)
        }

    def _stable(self, select: Callable[[], CandidateResult | None]) -> CandidateResult | None:
        """Return the first selected result that does not diverge on a recorded episode."""
        while (result := select()) is not None:
            key = result.name, result.round
            if key in self._diverging:
                break
            with self._entries.spending():
                module = self._fits.model_of(self._entries.candidates[result.name], result.round)
                self._diverging[key] = divergence(module, self._fits.data[0])
            if self._diverging[key]:
                self._entries.log(f"{result.name}: {self._diverging[key]}")
        return result

    def _hold_out(self, candidates: Sequence[CandidateResult], end: float) -> None:
        """Add the errors of candidates on left-out rows, as long as there is time."""
        for number, candidate in enumerate(candidates):
            share = (end - self._entries.spent) / min(FINALISTS, len(candidates) - number)
            if errors := self._errors_on_folds(candidate, end, share):
                self._held_out[candidate.name] = HeldOut(candidate, errors)
                score = score_text(self._held_out[candidate.name].mean.score)
                text = f"score {score} on rows left out of its fit"
            else:
                text = "no time to measure it on rows left out of its fit"
            self._entries.log(f"{candidate.name}: {text}")

    def _select(self, held_out: Iterable[HeldOut]) -> CandidateResult:
        """Return the best result of a cross-validation, see `Bars.select`."""
        means = (entry.mean for entry in self._held_out.values())
        bars = Bars.of(mean for mean in means if mean.round == 0)
        return bars.select(list(held_out), by_score=self._leaves_out_rows)

    def _errors_on_folds(
        self, result: CandidateResult, end: float, share: float
    ) -> list[CandidateErrors]:
        """Return the errors of `_cross_validate`, from the file if they exist."""
        if (measured := self._measured.get(result.name)) is not None:
            self._entries.spent += measured.seconds
            return measured.errors
        began = self._entries.spent
        errors = self._cross_validate(result, end, share)
        self._measured[result.name] = MeasuredFolds(errors, self._entries.spent - began)
        publish_document(self._path, self._measured)
        return errors

    def _cross_validate(
        self, result: CandidateResult, end: float, share: float
    ) -> list[CandidateErrors]:
        """Return the errors of a candidate on each recording left out; empty if there is no time.

        Rows of the validation split that no fold leaves out count as a recording.

        If its whole training takes longer than its share, the folds are trained as long as in an
        earlier round, and the errors are projected.

        Args:
            result: the best result of the candidate.
            end: time at which the cross-validation of all candidates ends, s after the start.
            share: time of this candidate, s; a single round may take longer.
        """
        entries = self._entries
        candidate = entries.candidates[result.name]
        if not self._refits:
            if entries.spent > end:
                return []
            with entries.spending():
                return self._measure(self._fits.model_of(candidate, result.round))
        rounds = [
            tested
            for tested in entries.results
            if tested.name == result.name and not tested.failure and tested.round <= result.round
        ]
        while len(rounds) > 1 and self._fold_seconds(rounds) > share:
            rounds.pop()
        if not rounds or entries.spent + self._fold_seconds(rounds) > end:
            return []
        seconds = sum(tested.seconds for tested in rounds)
        errors = list[CandidateErrors]()
        try:
            with entries.spending(), time_limit(end - entries.spent):
                for number, fold in enumerate(self._folds):
                    errors += self._fits.errors_on(
                        fold, candidate, result.step_seconds, seconds, number
                    )
                    if not all(math.isfinite(entry.score) for entry in errors):
                        break  # its mean is not finite either
        except KinemillError as failure:
            entries.log(f"{result.name}: {failure}")
            return []
        expected = [projected(entry, rounds[-1], result) for entry in errors]
        return [*expected, errors_in(result)] if self._leaves_out_rows else expected

    def _fold_seconds(self, rounds: Sequence[CandidateResult]) -> float:
        """Return the expected time of all folds with the trainings of these rounds, s."""
        return len(self._folds) * sum(tested.seconds for tested in rounds)

    def _measure(self, module: nn.Module) -> list[CandidateErrors]:
        """Return the errors of a module on each recording of the folds, whose rows no fit has."""
        errors = list[CandidateErrors]()
        for fold in self._folds:
            fold.rows.set_noise(self._fits.rows.noise)
            errors += fold.rows.errors_by_recording(module)
        return errors

    def last_learner(self, winner: CandidateResult) -> CandidateResult:
        """Return the best result of a candidate that trains; the winner if there is none."""
        learners = (
            result
            for result in [winner, *self._entries.bars.order(self._entries.results)]
            if self._entries.candidates[result.name].trains
            and not self.divergence_of(result)
            and (not self._held_out or result.name in self._held_out)
        )
        return next((learner for learner in learners if learner.score is not None), winner)

    def expected(
        self, trained: CandidateResult, module: nn.Module, last: CandidateResult
    ) -> HeldOut:
        """Return the errors of the last training on left-out rows, if finalists have them.

        Args:
            trained: its result on the validation split.
            module: its model.
            last: result of the candidate that it continues.
        """
        if self._held_out and self._refits:
            return self._held_out[last.name].after(trained)
        return HeldOut(trained, self._measure(module) if self._held_out else [])

    def is_better(self, expected: HeldOut, winner: CandidateResult) -> bool:
        """Return whether the last training beats the winner, by cross-validation if possible."""
        if not self._held_out:
            return self._entries.bars.simplest([winner, expected.result]) is expected.result
        return self._select([self._held_out[winner.name], expected]) is expected.result
