"""Successive halving among model families, and the training of the best.

Quick candidates are fitted in closed form first. The others are trained in rounds: each gets the
same time, and the better half continues. `portfolio.json` holds all results, and a killed portfolio
resumes after the last one. Numbers of steps depend on the measured time per step, so two machines
can choose differently; a published model is never changed.
"""

import json
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput, Diverged, KinemillError
from kinemill.selection.constants import (
    CLOSED,
    CROSS,
    FEWEST,
    FINALISTS,
    GRACE,
    LAST_WINDOWS,
    LEAST,
    MEASURE,
    MOST_STEPS,
    QUICK_FOLDS,
    ROUNDS,
    SHORT,
    SHORTEST,
)
from kinemill.selection.cross_validation import (
    HeldOut,
    best_of_families,
    folds_of,
    leaves_out_rows,
    projected,
    slow_finalists,
)
from kinemill.selection.divergence import divergence
from kinemill.selection.facts import facts_of
from kinemill.selection.portfolio.candidate_fits import (
    CandidateFits,
    gradient_steps,
    learn_of,
)
from kinemill.selection.portfolio.selection import Bars
from kinemill.selection.references.fit import published_members, strongest_members
from kinemill.selection.references.published import load_references
from kinemill.selection.references.stage import find_published
from kinemill.selection.validation_errors import (
    CandidateErrors,
    ValidationRows,
    errors_in,
    measured,
    score_text,
)
from kinemill.store import publish_document, publish_json, read_document, read_json, to_json_value
from kinemill.task import MODELS, Task
from kinemill.task.computed import estimator_rows
from kinemill.task.portfolio import RESULTS, UNTESTED, Candidate, CandidateResult
from kinemill.tracking.throughput import clock
from kinemill.train.context import PORTFOLIO, SELECTIONS, Trained, TrainingContext
from kinemill.train.ddp import process_group
from kinemill.train.loop import fit
from kinemill.train.run_config import dotted
from kinemill.train.summary import LearnFacts
from kinemill.train.time_limit import OutOfTime, time_limit

STEPS = "steps.json"
FOLDS = "folds.json"
REFERENCES = "references.json"
LAST = len(ROUNDS) + 1  # number of the last round
UNLIMITED = 3600.0  # s of a reference: without one, a small budget would have no result


@dataclass(frozen=True)
class Selected:
    """The references of a portfolio, and the time that their selection took, s."""

    members: list[Candidate]
    seconds: float


@dataclass(frozen=True)
class MeasuredFolds:
    """Errors of a finalist by recording, empty without time for them, and the time taken, s."""

    errors: list[CandidateErrors]
    seconds: float


@SELECTIONS.register("portfolio")
def train_portfolio(learn: Any, task: Task, data: Any, context: TrainingContext) -> Trained:
    """Choose a model family within `learn.budget` seconds, and train its best member to the end.

    Args:
        learn: settings of `objectives.dynamics`, without a model.
        task: the task with these settings as `learn`.
        data: the packed dataset and its training set.
        context: context of the training.

    Returns:
        The result of the last training; its `learn` holds the settings of the winner.

    Raises:
        BadInput: Several processes share the training, `learn.start_from` is set, or no episode of
            a split is long enough.
        TrainingFailed: Every candidate failed; the first failure is raised.
    """
    if process_group().size > 1 or context.start is not None:
        reason = "learn.start_from" if context.start is not None else "several processes"
        raise BadInput(
            f"task {task.name}",
            f"{reason}, and no learn.model",
            expected="the model family",
            fix="set learn.model; a portfolio trains from scratch in one process",
        )
    race = _Race(learn, task, data, context)
    winner = race.run()
    return race.finish(winner)


class _Race:
    """All candidates of one training; arguments as in `train_portfolio`."""

    def __init__(
        self,
        learn: Any,
        task: Task,
        data: tuple[PackedDataset, PackedDataset],
        context: TrainingContext,
    ) -> None:
        self._learn = learn
        self._task = task
        self._data = data
        self._context = context
        self._folder = context.folder / PORTFOLIO
        self._folder.mkdir(exist_ok=True)
        self._facts = facts_of(task, data[0])
        derived = [task.channels[name] for name in task.derived]
        rows = max(self._facts.longest, estimator_rows(derived, task.dt))
        self._rows = ValidationRows(data[0], rows, task.verify.horizon)
        self._fits = CandidateFits(learn, task, data, self._rows, self._folder, context.device)
        self._bars = Bars({})
        self._folds = folds_of(data, rows, task.verify.horizon)
        self._refits = any(fold.training_set is not None for fold in self._folds)
        self._leaves_out_rows = leaves_out_rows(data[0])
        self._held_out: dict[str, HeldOut] = {}  # errors of finalists by cross-validation
        self._diverging: dict[str, str] = {}  # where, by checked candidate; "" nowhere
        self._candidates: dict[str, Candidate] = {}
        self._published: dict[str, Path] = {}  # folders of references, by candidate
        self._failures: list[KinemillError] = []
        self._spent = 0.0  # s
        self._results: list[CandidateResult] = []
        # Results from before an interruption are used in the original order, so that all decisions
        # between them are the same.
        path = self._folder / RESULTS
        earlier = read_document(path, list[CandidateResult]) if path.is_file() else []
        self._earlier = {(result.name, result.round): result for result in earlier}
        path = self._folder / FOLDS
        self._measured = read_document(path, dict[str, MeasuredFolds]) if path.is_file() else {}

    def run(self) -> CandidateResult:
        """Return the best result of all candidates.

        Raises:
            KinemillError: Every candidate failed; the first failure is raised.
        """
        self._fits.restore_noise()
        for candidate in self._references():
            self._attempt(candidate, 0, UNLIMITED)
        if noise := self._rows.noise:
            text = f"{', '.join(noise)}: noise to a linear model, so errors of it count little"
            self._context.progress.log_message(text)
        self._bars = Bars.of(self._results)
        if best := self._best():
            history = int(self._candidates[best.name].settings["history"])
            self._facts = replace(self._facts, history=history)
        facts = self._facts
        proposals = [proposal for model in MODELS for proposal in MODELS[model].candidates(facts)]
        for candidate in proposals:
            if not candidate.trains:
                if self._spent < CLOSED * self._learn.budget:
                    limit = (CLOSED + SHORTEST) * self._learn.budget - self._spent
                    self._attempt(candidate, 0, limit)
                else:
                    self._skip(candidate)
        self._halve([candidate for candidate in proposals if candidate.trains])
        winner = self._best()
        if winner is None:
            raise self._failure()
        # If every candidate diverges, the best one is the result, and the gate refuses it.
        return self._best_by_cross_validation() or self._stable(self._best) or winner

    def _references(self) -> list[Candidate]:
        """Return the references as candidates; unless published, they take time of the budget."""
        path = self._folder / REFERENCES
        began = time.monotonic()
        source = self._context.source
        if source and (ref := find_published(self._task, *source)):
            published = published_members(self._task, load_references(source[0], ref))
            self._published = {candidate.name: folder for candidate, folder in published}
            members = [candidate for candidate, _ in published]
        elif not path.is_file():
            members = strongest_members(self._task, self._data[0])
        else:
            members = read_document(path, Selected).members
        if not path.is_file():
            publish_document(path, Selected(members, time.monotonic() - began))
        selected = read_document(path, Selected)
        self._spent += selected.seconds
        return selected.members

    def _best_by_cross_validation(self) -> CandidateResult | None:
        """Return the best stable finalist of a cross-validation; None without one."""
        # Unused time of earlier rounds goes to the folds, so that fewer long trainings have to be
        # projected from shorter ones.
        share = CROSS if self._refits else MEASURE
        end = max(self._spent + share * self._learn.budget, (1.0 - LEAST) * self._learn.budget)
        seconds = dict[str, float]()
        for candidate in self._results:
            seconds[candidate.name] = seconds.get(candidate.name, 0.0) + candidate.seconds
        families = best_of_families(self._bars.order(self._results)) if self._folds else []
        quick = [result for result in families if seconds[result.name] < QUICK_FOLDS]
        quick.sort(key=lambda result: seconds[result.name])
        # Quick ones cost little, and a slow winner could use up the time of all of them.
        self._hold_out(quick, (self._spent + end) / 2)
        self._hold_out([family for family in families[:1] if family not in quick], end)
        if not families or families[0].name not in self._held_out:
            self._held_out = {}
            return None
        self._stable(self._best_held_out)
        rest = [family for family in families if not self._diverging.get(family.name)]
        slow = slow_finalists(rest, self._stable_held_out(), seconds)
        self._hold_out(slow, end)
        best = self._stable(self._best_held_out)
        if best is not None and best.round == 0:
            # It has nothing to learn, so the time of the last training shows whether others win.
            others = [family for family in rest if family not in slow]
            self._hold_out([other for other in others if other.name not in self._held_out], end)
            best = self._stable(self._best_held_out)
        if best is None:
            return None
        self._results = [
            replace(entry, held_out=self._held_out[entry.name].mean.score)
            if entry.name in self._held_out
            else entry
            for entry in self._results
        ]
        return next(entry for entry in self._bars.order(self._results) if entry.name == best.name)

    def _best_held_out(self) -> CandidateResult | None:
        """Return the best result of the cross-validation that is not known to diverge."""
        held_out = self._stable_held_out()
        return self._select(held_out.values()) if held_out else None

    def _stable_held_out(self) -> dict[str, HeldOut]:
        return {
            name: entry for name, entry in self._held_out.items() if not self._diverging.get(name)
        }

    def _stable(self, select: Callable[[], CandidateResult | None]) -> CandidateResult | None:
        """Return the first selected result that does not diverge on a recorded episode."""
        while (result := select()) is not None and result.name not in self._diverging:
            began = time.monotonic()
            module = self._fits.model_of(self._candidates[result.name], result.round)
            where = divergence(module, self._data[0])
            self._spent += time.monotonic() - began
            self._diverging[result.name] = where
            if where:
                self._log(f"{result.name}: {where}")
        return result

    def _hold_out(self, candidates: Sequence[CandidateResult], end: float) -> None:
        """Add the errors of candidates on left-out rows, as long as there is time."""
        for number, candidate in enumerate(candidates):
            share = (end - self._spent) / min(FINALISTS, len(candidates) - number)
            if errors := self._errors_on_folds(candidate, end, share):
                self._held_out[candidate.name] = HeldOut(candidate, errors)
                score = score_text(self._held_out[candidate.name].mean.score)
                self._log(f"{candidate.name}: score {score} on rows left out of its fit")
            else:
                self._log(f"{candidate.name}: no time to measure it on rows left out of its fit")

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
            self._spent += measured.seconds
            return measured.errors
        began = self._spent
        errors = self._cross_validate(result, end, share)
        self._measured[result.name] = MeasuredFolds(errors, self._spent - began)
        publish_document(self._folder / FOLDS, self._measured)
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
        if not self._refits:
            if self._spent > end:
                return []
            began = time.monotonic()
            module = self._fits.model_of(self._candidates[result.name], result.round)
            errors = self._measure_on_folds(module)
            self._spent += time.monotonic() - began
            return errors
        rounds = [
            tested for tested in self._results if tested.name == result.name and not tested.failure
        ]
        rounds = [tested for tested in rounds if tested.round <= result.round]
        while len(rounds) > 1 and self._fold_seconds(rounds) > share:
            rounds.pop()
        if not rounds or self._spent + self._fold_seconds(rounds) > end:
            return []
        seconds = sum(tested.seconds for tested in rounds)
        began = time.monotonic()
        errors = list[CandidateErrors]()
        try:
            with time_limit(end - self._spent):
                for number, fold in enumerate(self._folds):
                    candidate = self._candidates[result.name]
                    step = result.step_seconds
                    errors += self._fits.errors_on(fold, candidate, step, seconds, number)
                    if not all(math.isfinite(entry.score) for entry in errors):
                        break  # its mean is not finite either
        except KinemillError as failure:
            self._log(f"{result.name}: {failure}")
            return []
        finally:
            self._spent += time.monotonic() - began
        expected = [projected(entry, rounds[-1], result) for entry in errors]
        return [*expected, errors_in(result)] if self._leaves_out_rows else expected

    def _measure_on_folds(self, module: nn.Module) -> list[CandidateErrors]:
        """Return the errors of a module on each recording of the folds, whose rows no fit has."""
        errors = list[CandidateErrors]()
        for fold in self._folds:
            fold.rows.set_noise(self._rows.noise)
            errors += fold.rows.errors_by_recording(module)
        return errors

    def _fold_seconds(self, rounds: Sequence[CandidateResult]) -> float:
        """Return the expected time of all folds with the trainings of these rounds, s."""
        return len(self._folds) * sum(tested.seconds for tested in rounds)

    def _end_of_rounds(self) -> float:
        """Return the time at which all rounds end, s after the start."""
        share = (CROSS if self._refits else MEASURE) if self._folds else 0.0
        return (1.0 - LEAST - share) * self._learn.budget

    def _most_seconds(self, candidate: Candidate, seconds: float) -> float:
        """Return the time after which a candidate with a share of `seconds` is stopped, s."""
        if not candidate.trains:
            return seconds
        return min(GRACE * seconds, self._end_of_rounds() - self._spent + seconds)

    def _failure(self) -> KinemillError:
        """Return the first failure; without one, an error that no rollout stays finite."""
        if self._failures:
            return self._failures[0]
        return Diverged(
            f"portfolio of {self._task.name}",
            f"none of {len(self._results)} candidates stays finite over the validation split",
            expected="rollouts that stay finite over verify.horizon",
            fix="lower verify.horizon, or check the units of the channels",
        )

    def _halve(self, candidates: Sequence[Candidate]) -> None:
        """Train candidates in rounds; the better half of a round continues.

        Gauss-Newton fits come first. If a budget is too small for all candidates, the others are
        listed as not tested.
        """
        budget = self._learn.budget
        candidates = sorted(
            candidates, key=lambda proposal: "gauss_newton" not in proposal.settings
        )
        for number, share in enumerate(ROUNDS, start=1):
            end = min(self._spent + share * budget, self._end_of_rounds())
            results: list[CandidateResult] = []
            for index, candidate in enumerate(candidates):
                remaining = end - self._spent
                if remaining > 0.0:
                    seconds = max(
                        remaining / (len(candidates) - index), min(SHORTEST * budget, SHORT)
                    )
                    results.append(self._attempt(candidate, number, min(seconds, remaining)))
                elif number == 1:
                    self._skip(candidate)
            results = self._bars.order(result for result in results if not result.failure)
            better = {result.name for result in results[: math.ceil(len(results) / 2)]}
            candidates = [proposal for proposal in candidates if proposal.name in better]

    def _skip(self, candidate: Candidate) -> None:
        """List a candidate as not tested, because the budget is used up."""
        self._candidates[candidate.name] = candidate
        empty = CandidateResult.empty(candidate, 1)
        why = f"{UNTESTED}learn.budget ({self._learn.budget:g} s) is used up"
        self._results.append(replace(empty, failure=why))

    def _best(self) -> CandidateResult | None:
        stable = (entry for entry in self._results if not self._diverging.get(entry.name))
        best = next(iter(self._bars.order(stable)), None)
        return best if best is not None and best.score is not None else None

    def _attempt(self, candidate: Candidate, number: int, seconds: float) -> CandidateResult:
        """Return the result of a candidate in a round, from the file if it exists."""
        self._candidates[candidate.name] = candidate
        earlier = self._earlier.get((candidate.name, number))
        result = earlier or self._measure(candidate, number, seconds)
        self._results.append(result)
        self._spent += result.seconds
        if earlier is None:
            publish_document(self._folder / RESULTS, self._results)
            text = result.failure or f"score {score_text(result.score)}"
            self._log(f"{result.name}: {text}")
        return result

    def _measure(self, candidate: Candidate, number: int, seconds: float) -> CandidateResult:
        """Train and measure a candidate; a failure is a result too."""
        began = time.monotonic()
        empty = CandidateResult.empty(candidate, number)
        try:
            with time_limit(self._most_seconds(candidate, seconds)):
                if number == 0 and candidate.name in self._published:
                    published = self._published[candidate.name]
                    result = self._fits.published_result(candidate, empty, published)
                else:
                    result = self._fits.result_of(candidate, empty, seconds)
        except OutOfTime:
            why = (
                f"stopped: its share of learn.budget ({self._learn.budget:g} s) is {seconds:.3g} s"
            )
            result = replace(empty, failure=why)
        except KinemillError as failure:
            self._failures.append(failure)
            result = replace(empty, failure=str(failure))
        return replace(result, seconds=time.monotonic() - began)

    def _log(self, text: str) -> None:
        """Report progress with the time of the budget that is left."""
        remaining = clock(max(0.0, self._learn.budget - self._spent))
        self._context.progress.log_message(f"{text}, {remaining} left")

    def finish(self, winner: CandidateResult) -> Trained:
        """Train with the remaining budget, and return the best weights.

        A winner that was fitted in closed form cannot be trained further. The best candidate that
        trains by gradients is trained instead, and published if it becomes better.
        """
        last = self._last_learner(winner)
        learn, rest = self._last_settings(last)
        context = self._context
        context.progress.log_message(f"best so far: {winner.name}")
        context.progress.log_message(f"last training: {last.name}, {learn.total_steps} steps")
        parameters = {"parameters": last.parameters, "family": last.name}
        task = self._task.model_copy(update={"learn": learn})
        context.tracker.log_params(dotted(task.part("learn")) | parameters)
        began = time.monotonic()
        start = self._fits.start_of(self._candidates[last.name], last.round)
        module, objective = self._fits.prepare(task, self._data, start)
        with time_limit(rest - (time.monotonic() - began)):
            state, best = fit(module, objective, learn, context.folder, context.listeners)
        module.load_state_dict(best)
        errors = self._rows.errors_of(module.to("cpu").eval())
        empty = CandidateResult.empty(self._candidates[last.name], LAST)
        trained = measured(empty, module, errors)
        trained = replace(trained, seconds=state.seconds, steps=state.step)
        expected = self._expected(trained, module, last)
        where = divergence(module, self._data[0])
        is_better = not where and self._is_better(expected, winner)
        if self._held_out:
            trained = replace(trained, held_out=expected.mean.score)
        trained = replace(trained, failure=where)
        first, second = (trained, winner) if is_better else (winner, trained)
        remaining = [
            replace(result, failure=result.failure or self._diverging.get(result.name, ""))
            for result in self._bars.order(self._results)
            if result is not winner
        ]
        served = self._candidates[first.name]
        context.progress.log_message(f"best family: {first.name}")
        results = to_json_value([first, second, *remaining])
        return Trained(
            weights=module.state_dict()
            if is_better
            else self._fits.weights_of(served, winner.round),
            history=state.history,
            step=state.step,
            best_step=state.best_step if is_better else 0,
            best=state.best,
            monitor=objective.monitor,
            facts=LearnFacts(
                parameters=first.parameters,
                windows=objective.windows,
                train_loss=state.history["train/loss"][-1][1],
                family=first.name,
            ),
            files={RESULTS: json.dumps(results, indent=1).encode() + b"\n"},
            learn=learn if is_better else learn_of(self._learn, served, FEWEST, 0.0),
        )

    def _last_settings(self, last: CandidateResult) -> tuple[Any, float]:
        """Return the settings of the last training, and its time limit, s."""
        candidate = self._candidates[last.name]
        rest = max(LEAST * self._learn.budget, self._learn.budget - self._spent)
        path = self._folder / STEPS  # stored, for a resume with the same number
        steps = FEWEST
        if path.is_file():
            steps = int(read_json(path))
        elif candidate.trains:
            learn = learn_of(self._learn, candidate, FEWEST, rest, LAST_WINDOWS)
            steps = gradient_steps(learn, rest, last.step_seconds)
            steps = min(MOST_STEPS, max(FEWEST, steps))
        publish_json(path, steps)
        return learn_of(self._learn, candidate, steps, rest, LAST_WINDOWS), rest

    def _expected(
        self, trained: CandidateResult, module: nn.Module, last: CandidateResult
    ) -> HeldOut:
        """Return the errors of the last training on rows left out, if finalists have them."""
        if self._held_out and self._refits:
            return self._held_out[last.name].after(trained)
        return HeldOut(trained, self._measure_on_folds(module) if self._held_out else [])

    def _is_better(self, expected: HeldOut, winner: CandidateResult) -> bool:
        """Return whether the last training beats the winner, by cross-validation if possible."""
        if not self._held_out:
            return self._bars.order([winner, expected.result])[0] is expected.result
        return self._select([self._held_out[winner.name], expected]) is expected.result

    def _last_learner(self, winner: CandidateResult) -> CandidateResult:
        """Return the best result of a candidate that trains; the winner if there is none."""
        ordered = [winner, *self._bars.order(self._results)]
        learners = [
            result
            for result in ordered
            if self._candidates[result.name].trains
            and not self._diverging.get(result.name)
            and (not self._held_out or result.name in self._held_out)
        ]
        return next((learner for learner in learners if learner.score is not None), winner)
