"""Successive halving among model families, and the training of the best.

Quick candidates are fitted in closed form first. The others are trained in rounds: each gets the
same time, and the better half continues. `portfolio.json` holds all results, and a killed portfolio
resumes after the last one. Numbers of steps depend on the measured time per step, so two machines
can choose differently; a published model is never changed.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput, Diverged, KinemillError
from kinemill.selection.constants import (
    CLOSED,
    FEWEST,
    GRACE,
    LAST_WINDOWS,
    LEAST,
    MOST_STEPS,
    ROUNDS,
    SHORT,
    SHORTEST,
)
from kinemill.selection.cross_validation import family_of, folds_of
from kinemill.selection.divergence import divergence
from kinemill.selection.facts import facts_of
from kinemill.selection.portfolio.candidate_fits import (
    CandidateFits,
    gradient_steps,
    learn_of,
)
from kinemill.selection.portfolio.finalists import Entries, Finalists
from kinemill.selection.portfolio.selection import Bars
from kinemill.selection.references.fit import published_members, strongest_members
from kinemill.selection.references.published import load_references
from kinemill.selection.references.stage import find_published
from kinemill.selection.validation_errors import (
    ValidationRows,
    measured,
    score_text,
)
from kinemill.store import publish_document, publish_json, read_document, read_json, to_json_value
from kinemill.task import MODELS, Task
from kinemill.task.computed import estimator_rows
from kinemill.task.portfolio import RESULTS, UNTESTED, Candidate, CandidateResult
from kinemill.train.context import PORTFOLIO, SELECTIONS, Trained, TrainingContext
from kinemill.train.ddp import process_group
from kinemill.train.loop import fit
from kinemill.train.run_config import dotted
from kinemill.train.summary import LearnFacts
from kinemill.train.time_limit import OutOfTime, time_limit

STEPS = "steps.json"
REFERENCES = "references.json"
LAST = len(ROUNDS) + 1  # number of the last round
UNLIMITED = 3600.0  # s of a reference: without one, a small budget would have no result


@dataclass(frozen=True)
class Selected:
    """The references of a portfolio, and the time that their selection took, s."""

    members: list[Candidate]
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
    return race.finish(race.run())


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
        self._entries = Entries(learn.budget, context.progress)
        folds = folds_of(data, rows, task.verify.horizon)
        self._finalists = Finalists(self._entries, self._fits, folds)
        self._published: dict[str, Path] = {}  # folders of references, by candidate
        self._failures: list[KinemillError] = []
        # Results from before an interruption are used in the original order, so that all decisions
        # between them are the same.
        path = self._folder / RESULTS
        earlier = read_document(path, list[CandidateResult]) if path.is_file() else []
        self._earlier = {(result.name, result.round): result for result in earlier}

    def run(self) -> CandidateResult:
        """Return the best result of all candidates.

        Raises:
            KinemillError: Every candidate failed; the first failure is raised.
        """
        entries = self._entries
        self._fits.restore_noise()
        for candidate in self._references():
            self._attempt(candidate, 0, UNLIMITED)
        if noise := self._rows.noise:
            text = f"{', '.join(noise)}: noise to a linear model, so errors of it count little"
            self._context.progress.log_message(text)
        entries.bars = Bars.of(entries.results)
        if best := self._finalists.best():
            history = int(entries.candidates[best.name].settings["history"])
            self._facts = replace(self._facts, history=history)
        facts = self._facts
        proposals = [proposal for model in MODELS for proposal in MODELS[model].candidates(facts)]
        self._fit([candidate for candidate in proposals if not candidate.trains])
        self._halve([candidate for candidate in proposals if candidate.trains])
        winner = self._finalists.best()
        if winner is None:
            raise self._failure()
        # If every candidate diverges, the best one is the result, and the gate refuses it.
        return self._finalists.select() or winner

    def _references(self) -> list[Candidate]:
        """Return the references as candidates; unless published, they take time of the budget."""
        began = time.monotonic()
        published: list[tuple[Candidate, Path]] = []
        source = self._context.source
        if source and (ref := find_published(self._task, *source)):
            published = published_members(self._task, load_references(source[0], ref))
        self._published = {candidate.name: folder for candidate, folder in published}
        path = self._folder / REFERENCES
        if path.is_file():
            selected = read_document(path, Selected)
        else:
            members = [candidate for candidate, _ in published]
            members = members or strongest_members(self._task, self._data[0])
            selected = Selected(members, time.monotonic() - began)
            publish_document(path, selected)
        self._entries.spent += selected.seconds
        return selected.members

    def _end_of_rounds(self) -> float:
        """Return the time at which all rounds end, s after the start."""
        return (1.0 - LEAST - self._finalists.share) * self._entries.budget

    def _most_seconds(self, candidate: Candidate, seconds: float) -> float:
        """Return the time after which a candidate with a share of `seconds` is stopped, s."""
        if not candidate.trains:
            return seconds
        return min(GRACE * seconds, self._end_of_rounds() - self._entries.spent + seconds)

    def _failure(self) -> KinemillError:
        """Return the first failure; without one, an error that no rollout stays finite."""
        if self._failures:
            return self._failures[0]
        count = len(self._entries.results)
        return Diverged(
            f"portfolio of {self._task.name}",
            f"none of {count} candidates stays finite over the validation split",
            expected="rollouts that stay finite over verify.horizon",
            fix="lower verify.horizon, or check the units of the channels",
        )

    def _fit(self, candidates: list[Candidate]) -> None:
        """Fit candidates in closed form, those of slow families after all others."""
        entries = self._entries
        seconds = dict[str, float]()  # by family

        def wait(candidate: Candidate) -> float:
            return seconds.get(family_of(candidate.name), 0.0)

        while candidates:
            candidate = min(candidates, key=wait)
            candidates.remove(candidate)
            if entries.spent < CLOSED * entries.budget:
                limit = (CLOSED + SHORTEST) * entries.budget - entries.spent
                seconds[family_of(candidate.name)] = self._attempt(candidate, 0, limit).seconds
            else:
                self._skip(candidate)

    def _halve(self, candidates: Sequence[Candidate]) -> None:
        """Train candidates in rounds; the better half of a round continues.

        Gauss-Newton fits come first. If a budget is too small for all candidates, the others are
        listed as not tested.
        """
        budget = self._entries.budget
        candidates = sorted(
            candidates, key=lambda proposal: "gauss_newton" not in proposal.settings
        )
        for number, share in enumerate(ROUNDS, start=1):
            end = min(self._entries.spent + share * budget, self._end_of_rounds())
            results: list[CandidateResult] = []
            for index, candidate in enumerate(candidates):
                remaining = end - self._entries.spent
                if remaining > 0.0:
                    seconds = max(
                        remaining / (len(candidates) - index), min(SHORTEST * budget, SHORT)
                    )
                    results.append(self._attempt(candidate, number, min(seconds, remaining)))
                elif number == 1:
                    self._skip(candidate)
            results = self._entries.bars.order(result for result in results if not result.failure)
            better = {result.name for result in results[: math.ceil(len(results) / 2)]}
            candidates = [proposal for proposal in candidates if proposal.name in better]

    def _skip(self, candidate: Candidate) -> None:
        """List a candidate as not tested, because the budget is used up."""
        self._entries.candidates[candidate.name] = candidate
        empty = CandidateResult.empty(candidate, 1)
        why = f"{UNTESTED}learn.budget ({self._entries.budget:g} s) is used up"
        self._entries.results.append(replace(empty, failure=why))

    def _attempt(self, candidate: Candidate, number: int, seconds: float) -> CandidateResult:
        """Return the result of a candidate in a round, from the file if it exists."""
        self._entries.candidates[candidate.name] = candidate
        earlier = self._earlier.get((candidate.name, number))
        result = earlier or self._measure(candidate, number, seconds)
        self._entries.results.append(result)
        self._entries.spent += result.seconds
        if earlier is None:
            publish_document(self._folder / RESULTS, self._entries.results)
            text = result.failure or f"score {score_text(result.score)}"
            self._entries.log(f"{result.name}: {text}")
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
            of_what = f"learn.budget ({self._entries.budget:g} s)"
            result = replace(empty, failure=f"stopped: its share of {of_what} is {seconds:.3g} s")
        except KinemillError as failure:
            self._failures.append(failure)
            result = replace(empty, failure=str(failure))
        return replace(result, seconds=time.monotonic() - began)

    def finish(self, winner: CandidateResult) -> Trained:
        """Train with the remaining budget, and return the best weights.

        A winner that was fitted in closed form cannot be trained further. The best candidate that
        trains by gradients is trained instead, and published if it becomes better.
        """
        last = self._finalists.last_learner(winner)
        learn, rest = self._last_settings(last)
        context = self._context
        context.progress.log_message(f"best so far: {winner.name}")
        context.progress.log_message(f"last training: {last.name}, {learn.total_steps} steps")
        parameters = {"parameters": last.parameters, "family": last.name}
        task = self._task.model_copy(update={"learn": learn})
        context.tracker.log_params(dotted(task.part("learn")) | parameters)
        began = time.monotonic()
        start = self._fits.start_of(self._entries.candidates[last.name], last.round)
        module, objective = self._fits.prepare(task, self._data, start)
        with time_limit(rest - (time.monotonic() - began)):
            state, best = fit(module, objective, learn, context.folder, context.listeners)
        module.load_state_dict(best)
        errors = self._rows.errors_of(module.to("cpu").eval())
        empty = CandidateResult.empty(self._entries.candidates[last.name], LAST)
        trained = measured(empty, module, errors)
        trained = replace(trained, seconds=state.seconds, steps=state.step)
        expected = self._finalists.expected(trained, module, last)
        where = divergence(module, self._data[0])
        is_better = not where and self._finalists.is_better(expected, winner)
        if self._finalists.are_measured:
            trained = replace(trained, held_out=expected.mean.score)
        trained = replace(trained, failure=where)
        first, second = (trained, winner) if is_better else (winner, trained)
        remaining = [
            replace(result, failure=result.failure or self._finalists.divergence_of(result))
            for result in self._entries.bars.order(self._entries.results)
            if result is not winner
        ]
        served = self._entries.candidates[first.name]
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
        candidate = self._entries.candidates[last.name]
        rest = max(LEAST * self._entries.budget, self._entries.budget - self._entries.spent)
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
