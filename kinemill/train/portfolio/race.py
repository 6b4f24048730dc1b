"""Successive halving among model families, and the training of the best.

Quick candidates are fitted in closed form first. The others are trained in rounds: each gets the
same time, and the better half continues. All results are in `portfolio.json`, and a killed
portfolio continues after the last result. Numbers of steps follow from the measured time per step,
so two machines can choose differently; a published model is never changed.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput, Diverged, KinemillError
from kinemill.store import (
    digest,
    publish_document,
    publish_json,
    read_document,
    read_json,
    to_json_value,
)
from kinemill.task.computed import estimator_rows
from kinemill.task.document import Task
from kinemill.task.plugins import MODELS
from kinemill.task.portfolio import RESULTS, Candidate, CandidateResult, TaskFacts
from kinemill.task.protocols import NullReporter, WarmStart
from kinemill.train.context import PORTFOLIO, Trained, TrainingContext
from kinemill.train.ddp import process_group
from kinemill.train.loop import fit
from kinemill.train.portfolio.facts import facts_of
from kinemill.train.portfolio.measurement import measured, score_text, step_seconds
from kinemill.train.portfolio.selection import Bars
from kinemill.train.portfolio.settings import gradient_steps, learn_of
from kinemill.train.portfolio.simple_models import SimpleModels
from kinemill.train.portfolio.validation_errors import ValidationRows
from kinemill.train.run_config import dotted
from kinemill.train.warm_start import DESCRIPTION, WEIGHTS, description_of

STEPS = "steps.json"
# Shares of the budget that pass until: the quick candidates end, all others in closed form end.
QUICK, CLOSED = 0.2, 0.4
ROUNDS = (0.3, 0.15)  # shares of the rounds of training
LEAST = 0.2  # share of the budget of the last training at least
LAST = len(ROUNDS) + 1  # number of the last round
PROBE_SHARE = 0.2  # of the time of a candidate, to measure the time per step
FEWEST = 10  # steps of a round at least
# A candidate gets SHORT s at least, or this share of a small budget: a shorter training shows
# little of what it can do, so fewer candidates are tried.
SHORT, SHORTEST = 4.0, 0.07
LAST_WINDOWS = 4  # times the windows of a Gauss-Newton fit in the last training
MOST_STEPS = 20_000  # of the last training


def train_portfolio(learn: Any, task: Task, data: Any, context: TrainingContext) -> Trained:
    """Choose a model family within `learn.budget` seconds, and train its best member to the end.

    Args:
        learn: settings of `objectives.dynamics`, without a model.
        task: the task whose `learn` this is.
        data: the packed dataset and its training set.
        context: of the training.

    Returns:
        The result of the last training; its `learn` holds the settings of the winner.

    Raises:
        BadInput: several processes share the training, or `learn.start_from` is set; or no
            episode of a split is long enough.
        TrainingFailed: every candidate failed; the first failure is raised.
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
    """All candidates of one training.

    Args:
        learn: settings of `objectives.dynamics`, without a model.
        task: the task whose `learn` this is.
        data: the packed dataset and its training set.
        context: of the training.
    """

    def __init__(
        self,
        learn: Any,
        task: Task,
        data: tuple[PackedDataset, PackedDataset],
        context: TrainingContext,
    ) -> None:
        self._learn, self._task, self._data, self._context = learn, task, data, context
        self._folder = context.folder / PORTFOLIO
        self._folder.mkdir(exist_ok=True)
        self._facts = facts_of(task, data[0])
        derived = [task.channels[name] for name in task.derived]
        rows = max(self._facts.longest, estimator_rows(derived, task.dt))
        self._rows = ValidationRows(data[0], rows, task.verify.horizon)
        self._bars = Bars({})
        self._candidates: dict[str, Candidate] = {}
        self._failures: list[KinemillError] = []
        self._spent = 0.0  # s
        self._results: list[CandidateResult] = []
        # Results from before an interruption count when their turn comes, so that all decisions
        # between them are the same again.
        path = self._folder / RESULTS
        earlier = read_document(path, list[CandidateResult]) if path.is_file() else []
        self._earlier = {(one.name, one.round): one for one in earlier}

    def run(self) -> CandidateResult:
        """Return the best result of all candidates.

        Raises:
            KinemillError: every candidate failed; the first failure is raised.
        """
        simple = SimpleModels(
            self._facts,
            [one for model in MODELS for one in MODELS[model].structures(self._facts)],
            lambda candidate: self._attempt(candidate, 0, 0.0),
            lambda: self._spent < QUICK * self._learn.budget,
        )
        simple.fit()
        self._bars = Bars.of(simple.results)
        history = self._history(self._best())
        proposals = self._proposals(replace(self._facts, history=history))
        for candidate in proposals:
            if not candidate.trains:
                if self._spent < CLOSED * self._learn.budget:
                    self._attempt(candidate, 0, 0.0)
                else:
                    self._skip(candidate)
        self._halve([candidate for candidate in proposals if candidate.trains])
        winner = self._best()
        if winner is None:
            raise self._failure()
        return winner

    def _failure(self) -> KinemillError:
        """Return the first failure, or that no rollout stays finite."""
        if self._failures:
            return self._failures[0]
        return Diverged(
            f"portfolio of {self._task.name}",
            f"none of {len(self._results)} candidates stays finite over the validation split",
            expected="rollouts that stay finite over verify.horizon",
            fix="lower verify.horizon, or check the units of the channels",
        )

    def _proposals(self, facts: TaskFacts) -> list[Candidate]:
        return [one for model in MODELS for one in MODELS[model].candidates(facts)]

    def _halve(self, candidates: Sequence[Candidate]) -> None:
        """Train candidates in rounds; the better half of a round continues.

        Fits of few parameters come first. Where a budget is too small for all, the others are
        listed as not tried.
        """
        budget = self._learn.budget
        candidates = sorted(candidates, key=lambda one: "gauss_newton" not in one.settings)
        for number, share in enumerate(ROUNDS, start=1):
            end = min(self._spent + share * budget, (1.0 - LEAST) * budget)
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
            results = self._bars.order(one for one in results if not one.failure)
            going_on = {one.name for one in results[: math.ceil(len(results) / 2)]}
            candidates = [one for one in candidates if one.name in going_on]

    def _skip(self, candidate: Candidate) -> None:
        """List a candidate that the budget leaves no time for."""
        self._candidates[candidate.name] = candidate
        empty = CandidateResult(candidate.name, candidate.settings["model"]["type"], 1)
        why = f"not tried: no time is left of learn.budget ({self._learn.budget:g} s)"
        self._results.append(replace(empty, failure=why))

    def _history(self, best: CandidateResult | None) -> int:
        return int(self._candidates[best.name].settings["history"]) if best else 1

    def _best(self) -> CandidateResult | None:
        best = next(iter(self._bars.order(self._results)), None)
        return best if best is not None and best.score is not None else None

    def _attempt(self, candidate: Candidate, number: int, seconds: float) -> CandidateResult:
        """Return the result of a candidate in a round, from the file if it is there."""
        self._candidates[candidate.name] = candidate
        earlier = self._earlier.get((candidate.name, number))
        result = earlier or self._measure(candidate, number, seconds)
        self._results.append(result)
        self._spent += result.seconds
        if earlier is None:
            publish_document(self._folder / RESULTS, self._results)
            self._report(result)
        return result

    def _measure(self, candidate: Candidate, number: int, seconds: float) -> CandidateResult:
        """Train and measure a candidate; a failure is a result too."""
        began = time.monotonic()
        empty = CandidateResult(candidate.name, candidate.settings["model"]["type"], number)
        try:
            result = self._train(candidate, empty, seconds)
        except KinemillError as failure:
            self._failures.append(failure)
            result = replace(empty, failure=str(failure))
        return replace(result, seconds=time.monotonic() - began)

    def _train(
        self, candidate: Candidate, empty: CandidateResult, seconds: float
    ) -> CandidateResult:
        """Fit a candidate, or train it for about `seconds`, and measure it.

        Raises:
            KinemillError: the settings do not fit the task or the data, or the training diverged.
        """
        task = self._task_of(candidate, FEWEST, seconds)
        if problems := task.learn.problems(task.channels):
            raise BadInput(f"candidate {candidate.name}", "; ".join(text for _, text in problems))
        module, objective = self._prepare(task, candidate, empty.round)
        steps, each = 0, 0.0
        if candidate.trains:
            folder = self._folder_of(candidate, empty.round)
            each = step_seconds(module, objective, task.learn, PROBE_SHARE * seconds)
            steps = max(FEWEST, gradient_steps(task.learn, seconds, each))
            task = self._task_of(candidate, steps, seconds)
            silent = NullReporter()
            _, best = fit(module, objective, task.learn, folder, (silent, silent))
            module.load_state_dict(best)
        errors = self._rows.errors_of(module.to("cpu").eval())
        self._write(candidate, empty.round, task, module)
        return replace(measured(empty, module, errors), steps=steps, step_seconds=each)

    def _task_of(self, candidate: Candidate, steps: int, seconds: float, windows: int = 1) -> Task:
        """Return the task with the settings of a candidate, see `learn_of`."""
        learn = learn_of(self._learn, candidate, steps, seconds, windows)
        return self._task.model_copy(update={"learn": learn})

    def _prepare(self, task: Task, candidate: Candidate, number: int) -> tuple[Any, Any]:
        """Return module and objective; later rounds start from the weights of the one before."""
        start = None
        if number > 1:
            folder = self._folder_of(candidate, number - 1) / "model"
            start = WarmStart(str(folder), digest(candidate.name), str(folder))
        learn: Any = task.learn
        module, objective = learn.prepare(task, *self._data, self._context.device, start)
        return module, replace(objective, evaluate_start=True)

    def _folder_of(self, candidate: Candidate, number: int) -> Path:
        return self._folder / f"{digest(to_json_value(candidate))[:16]}-{number}"

    def _write(self, candidate: Candidate, number: int, task: Task, module: Any) -> None:
        """Write a candidate as a trained model, to start from."""
        folder = self._folder_of(candidate, number) / "model"
        folder.mkdir(parents=True, exist_ok=True)
        about = description_of(task, self._data, "")
        (folder / DESCRIPTION).write_text(json.dumps(about, allow_nan=False))
        weights = {name: value.cpu().contiguous() for name, value in module.state_dict().items()}
        save_file(weights, folder / WEIGHTS)

    def _report(self, result: CandidateResult) -> None:
        progress = self._context.listeners[1]
        text = result.failure or f"score {score_text(result.score)}, {result.parameters} parameters"
        progress.log_message(f"{result.name}: {text}, {result.seconds:.1f} s")

    def finish(self, winner: CandidateResult) -> Trained:
        """Train with what is left of the budget, and return the best weights.

        A winner that was fitted in closed form has nothing to gain. The best of the candidates that
        learn is trained in its place, and published if it becomes better.
        """
        last = self._last_learner(winner)
        candidate = self._candidates[last.name]
        rest = max(LEAST * self._learn.budget, self._learn.budget - self._spent)
        task = self._task_of(candidate, FEWEST, rest, LAST_WINDOWS)
        task = self._task_of(
            candidate, self._last_steps(task.learn, candidate, last, rest), rest, LAST_WINDOWS
        )
        learn: Any = task.learn
        start = self._folder_of(candidate, last.round) / "model"
        warm = WarmStart(str(start), digest(candidate.name), str(start))
        listeners = self._context.listeners
        listeners[1].log_message(f"best so far: {winner.name}")
        listeners[1].log_message(f"last training: {last.name}, {learn.steps} steps")
        parameters = {"parameters": last.parameters, "family": last.name}
        listeners[0].log_params(dotted(task.part("learn")) | parameters)
        module, objective = learn.prepare(task, *self._data, self._context.device, warm)
        objective = replace(objective, evaluate_start=True)
        state, best = fit(module, objective, learn, self._context.folder, listeners)
        module.load_state_dict(best)
        errors = self._rows.errors_of(module.to("cpu").eval())
        trained = measured(CandidateResult(last.name, last.type, LAST), module, errors)
        trained = replace(trained, seconds=state.seconds, steps=state.step)
        is_better = self._bars.order([winner, trained])[0] is trained
        others = [one for one in self._bars.order(self._results) if one is not winner]
        results = [trained, winner, *others] if is_better else [winner, trained, *others]
        best_candidate = self._candidates[results[0].name]
        listeners[1].log_message(f"best family: {results[0].name}")
        return Trained(
            weights=module.state_dict() if is_better else self._weights_of(winner),
            history=state.history,
            step=state.step,
            best_step=state.best_step if is_better else 0,
            best=state.best,
            monitor=objective.monitor,
            summary={
                "parameters": results[0].parameters,
                "windows": objective.windows,
                "train_loss": state.history["train/loss"][-1][1],
                "family": results[0].name,
            },
            files={RESULTS: json.dumps(to_json_value(results), indent=1).encode() + b"\n"},
            learn=learn if is_better else learn_of(self._learn, best_candidate, FEWEST, 0.0),
        )

    def _last_learner(self, winner: CandidateResult) -> CandidateResult:
        """Return the best result of a candidate that learns; the winner if there is none."""
        ordered = [winner, *self._bars.order(self._results)]
        learners = [one for one in ordered if self._candidates[one.name].trains]
        return next((one for one in learners if one.score is not None), winner)

    def _weights_of(self, result: CandidateResult) -> dict[str, Any]:
        candidate = self._candidates[result.name]
        return load_file(self._folder_of(candidate, result.round) / "model" / WEIGHTS)

    def _last_steps(
        self, learn: Any, candidate: Candidate, winner: CandidateResult, rest: float
    ) -> int:
        """Return the number of steps of the last training; the same after an interruption."""
        path = self._folder / STEPS
        if not path.is_file():
            steps = FEWEST
            if candidate.trains:
                steps = gradient_steps(learn, rest, winner.step_seconds)
                steps = min(MOST_STEPS, max(FEWEST, steps))
            publish_json(path, {"steps": steps})
        return int(read_json(path)["steps"])
