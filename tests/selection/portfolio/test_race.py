"""A portfolio on the pendulum whose equation is known: what wins, what fails, what resumes."""

import json
import math
import time
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kinemill.errors import BadInput
from kinemill.selection.cross_validation import Fold
from kinemill.selection.portfolio import finalists, race
from kinemill.selection.portfolio.candidate_fits import CandidateFits
from kinemill.selection.portfolio.finalists import FOLDS, Finalists
from kinemill.selection.portfolio.race import train_portfolio
from kinemill.selection.references import stage as references
from kinemill.selection.references.fit import published_members, strongest_members
from kinemill.selection.references.published import load_references
from kinemill.selection.validation_errors import CandidateErrors
from kinemill.store import read_json
from kinemill.task.plugins import MODELS
from kinemill.task.portfolio import RESULTS, Candidate, CandidateResult
from kinemill.task.protocols import NullReporter, WarmStart
from kinemill.train import stage
from kinemill.train.context import PORTFOLIO, TrainingContext
from kinemill.train.ddp import ProcessGroup
from kinemill.train.time_limit import check_time, time_limit
from kinemill.train.warm_start import WEIGHTS, described, load_model
from tests.train.conftest import Recorder, pendulum_task, publish

EXACT = ("linear, sin cos", "physics")  # families that hold the equation of the pendulum
FAMILIES = ("arx", "mlp", "physics")


class Clock:
    """Each look at it takes 10 ms, on any machine."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 0.01
        return self.now


MEMBERS = {}  # by the rows of a dataset; to fit them takes seconds


def members_once(task, dataset):
    """Return the strongest members of a dataset, fitted for the first test that asks."""
    rows = dataset.values.tobytes()
    if rows not in MEMBERS:
        MEMBERS[rows] = strongest_members(task, dataset)
    return MEMBERS[rows]


@pytest.fixture(autouse=True)
def few_families(monkeypatch):
    monkeypatch.setattr(race, "strongest_members", members_once)
    for module in (race, finalists):
        monkeypatch.setattr(module, "time", Clock())
        monkeypatch.setattr(module, "time_limit", lambda _: nullcontext())  # limits are real time
    monkeypatch.setattr(race, "MODELS", {name: MODELS[name] for name in FAMILIES})


def task_without_model(budget=0.37, **learn):
    task = pendulum_task(model=None, budget=budget, steps=4000, **learn)
    return task.model_copy(update={"verify": task.verify.model_copy(update={"horizon": 20})})


def context_in(folder, start=None):
    return TrainingContext(folder, (NullReporter(), Recorder()), torch.device("cpu"), start)


def train(task, packed, folder, start=None):
    context = context_in(folder, start)
    return train_portfolio(task.learn, task, (packed, packed), context), context


def results_of(trained):
    return json.loads(trained.files[RESULTS])


def test_the_family_that_holds_the_equation_wins(packed, tmp_path):
    """Linear in sin q, the rate and the torque, it is exact; angles alone and a network are not."""
    trained, context = train(task_without_model(), packed, tmp_path)
    assert trained.facts.family.startswith(EXACT)
    results = [one for one in results_of(trained) if one["score"] is not None]
    exact = min(result["score"] for result in results if result["name"].startswith(EXACT))
    others = [result["score"] for result in results if not result["name"].startswith(EXACT)]
    assert exact < 1e-2 * min(others)
    for result in results:
        assert set(result["errors"]) == {"1", "4", "20"}
        assert result["parameters"] > 0
    # The winner has nothing left to learn, so the last training is that of the best learner.
    assert {result["round"] for result in results if result["type"] == "mlp"} == {1, 2, race.LAST}
    (last,) = [result for result in results if result["round"] == race.LAST]
    assert last["held_out"] > 0.0  # as with the other finalists
    assert any("best family: " in line for line in context.listeners[1].messages)


@pytest.mark.ci
def test_the_test_split_is_not_read(packed, tmp_path):
    """Rows of the test split that are not a number change no error."""
    nan_rows = np.full((150, 3), np.nan, dtype=np.float32)
    first = packed.episodes[0]
    test = replace(first, id="t", split="test", start=len(packed.values))
    test = replace(test, stop=test.start + len(nan_rows))
    other = replace(
        packed,
        segments=[np.concatenate([packed.values, nan_rows])],
        episodes=[*packed.episodes, test],
    )
    closed = []
    for number, data in enumerate((packed, other)):
        folder = tmp_path / str(number)
        folder.mkdir()
        trained, _ = train(task_without_model(), data, folder)
        results = [one for one in results_of(trained) if one["round"] == 0]
        closed.append({result["name"]: result["score"] for result in results})
    assert closed[0] == closed[1]
    assert len(closed[0]) > 3


def test_slow_families_in_closed_form_are_continued_after_all_others(packed, tmp_path, monkeypatch):
    """Else a family whose fits take seconds uses up the time of those that take milliseconds."""
    fitted = []

    def attempt(self, candidate, _number, _seconds):
        fitted.append(candidate.name)
        slow = candidate.name.startswith("narx")
        return replace(CandidateResult.empty(candidate, 0), seconds=9.0 if slow else 0.1)

    task = task_without_model(budget=60.0)
    portfolio = race._Race(task.learn, task, (packed, packed), context_in(tmp_path))
    monkeypatch.setattr(race._Race, "_attempt", attempt)
    names = ["narx, history 1", "narx, history 5", "arx, history 1", "arx, history 5"]
    portfolio._fit([Candidate(name, {"model": {"type": name[:4]}}) for name in names])
    assert fitted == [names[0], names[2], names[3], names[1]]


@pytest.mark.parametrize("phase", ["closed form", "training"])
def test_a_killed_portfolio_goes_on_behind_its_last_result(packed, tmp_path, monkeypatch, phase):
    """In closed form and while networks are trained: its choices are those of one run."""
    task, path = task_without_model(budget=0.7), tmp_path / PORTFOLIO / RESULTS
    original, killed = race.ValidationRows.errors_of, []

    def is_due():
        rounds = [one["round"] for one in read_json(path)] if path.is_file() else []
        return any(rounds) if phase == "training" else len(rounds) == 2

    def errors_of(rows, module):
        if not killed and is_due():
            killed.append(module)
            raise KeyboardInterrupt
        return original(rows, module)

    monkeypatch.setattr(race.ValidationRows, "errors_of", errors_of)
    with pytest.raises(KeyboardInterrupt):
        train(task, packed, tmp_path)
    saved = read_json(path)
    assert any(one["round"] for one in saved) == (phase == "training")
    trained, _ = train(task, packed, tmp_path)
    results = [{**one, "held_out": None} for one in results_of(trained)]
    assert all(one in results for one in saved)  # their times too: none was repeated
    names = [(one["name"], one["round"]) for one in results_of(trained)]
    assert len(names) == len(set(names))


@pytest.mark.ci
def test_a_portfolio_killed_in_its_last_training_repeats_no_decision(packed, tmp_path, monkeypatch):
    """Neither a fit nor a cross-validation is repeated, which could select another candidate."""
    task = task_without_model(budget=2.0, save_every=5)
    monkeypatch.setattr(race, "folds_of", lambda *_: [Fold(packed, packed, None)] * 3)
    errors = CandidateErrors({1: 0.1, 4: 0.1, 20: math.inf}, 0.1)
    monkeypatch.setattr(CandidateFits, "errors_on", lambda *_: [errors])
    with monkeypatch.context() as killed:
        killed.setattr(Finalists, "is_better", None)
        with pytest.raises(TypeError):
            train(task, packed, tmp_path)
    monkeypatch.setattr(CandidateFits, "errors_on", None)
    monkeypatch.setattr(CandidateFits, "result_of", None)
    saved = {path: path.read_bytes() for path in (tmp_path / PORTFOLIO).glob("*.json")}
    assert {path.name for path in saved} >= {FOLDS, race.STEPS, RESULTS}
    train(task, packed, tmp_path)
    assert {path: path.read_bytes() for path in saved} == saved


class Unfit(MODELS["mlp"]):
    """Its only candidate needs longer episodes than there are."""

    @classmethod
    def candidates(cls, facts):
        del facts
        return [Candidate("too long", {"model": {"type": "mlp"}, "history": 500}, trains=True)]


def test_a_candidate_that_fails_is_reported_and_the_others_go_on(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(race, "MODELS", {"arx": MODELS["arx"], "unfit": Unfit})
    trained, context = train(task_without_model(), packed, tmp_path)
    assert trained.learn.model.type != "mlp"
    (failed,) = [one for one in results_of(trained) if one["name"] == "too long"]
    assert "no episode has 504 steps" in failed["failure"]
    assert failed["score"] is None
    assert any("no episode has 504 steps" in line for line in context.listeners[1].messages)


def test_the_first_failure_is_raised_if_no_candidate_is_left(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(race, "MODELS", {"unfit": Unfit})
    monkeypatch.setattr(race, "strongest_members", lambda *_: [])
    with pytest.raises(BadInput, match="no episode has 504 steps"):
        train(task_without_model(), packed, tmp_path)


def test_a_portfolio_trains_from_scratch_in_one_process(packed, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match=r"learn.start_from, and no learn.model"):
        train(task_without_model(), packed, tmp_path, WarmStart("x", "y", "z"))
    monkeypatch.setattr(race, "process_group", lambda: ProcessGroup(0, 2))
    with pytest.raises(BadInput, match=r"several processes, and no learn.model"):
        train(task_without_model(), packed, tmp_path)


def test_the_published_model_is_the_winner(packed, home):
    """The description holds the winner's settings; the candidates' folder is gone."""
    task, dataset = task_without_model(), publish(home, packed)
    artifact = stage.run(task, home, dataset, dataset, (NullReporter(), NullReporter()))
    folder = home.root / artifact.ref.path
    learn = described(folder)["learn"]
    assert learn["model"]["type"] in {"arx", "physics"}
    step = load_model(folder)
    assert step.history == learn["history"]
    assert artifact.summary["family"] == read_json(folder / RESULTS)[0]["name"]
    assert not list(home.runs.rglob(PORTFOLIO))
    again = stage.run(task, home, dataset, dataset, (NullReporter(), NullReporter()))
    assert again.cached


def test_a_small_budget_is_kept_and_the_rest_is_listed_as_not_tried(packed, tmp_path, monkeypatch):
    """Networks take 0.12 s each by the clock: a budget of 0.3 s has no time for all ten."""

    class Many(MODELS["mlp"]):
        @classmethod
        def candidates(cls, facts):
            settings = {"model": {"type": "mlp", "hidden_sizes": [4]}, "history": facts.history}
            return [Candidate(f"network {number}", settings, trains=True) for number in range(10)]

    monkeypatch.setattr(race, "MODELS", {"arx": MODELS["arx"], "many": Many})
    task = task_without_model()
    learn = task.learn.model_copy(update={"budget": 0.3})
    trained, _ = train(task.model_copy(update={"learn": learn}), packed, tmp_path)
    results = results_of(trained)
    waiting = [result for result in results if "not tested" in result["failure"]]
    assert waiting
    assert all("learn.budget (0.3 s)" in one["failure"] for one in waiting)
    earlier = [result for result in results if result["round"] < race.LAST]
    longest = max(one["seconds"] for one in earlier)
    assert sum(one["seconds"] for one in earlier) <= (1.0 - race.LEAST) * 0.3 + longest
    assert trained.facts.family not in {one["name"] for one in waiting}


def test_a_candidate_that_takes_too_long_is_stopped_and_reported(packed, tmp_path, monkeypatch):
    """Without the limit its measurement, and this test, would never end."""
    original = race.ValidationRows.errors_of

    def errors_of(rows, module):
        while type(module.network).__name__ != "Regression":
            check_time()
            time.sleep(0.01)
        return original(rows, module)

    monkeypatch.setattr(race, "time_limit", time_limit)  # in real time
    monkeypatch.setattr(race.ValidationRows, "errors_of", errors_of)
    task = task_without_model()
    learn = task.learn.model_copy(update={"budget": 1.0})
    trained, context = train(task.model_copy(update={"learn": learn}), packed, tmp_path)
    assert trained.learn.model.type in {"arx", "physics"}
    stopped = [one for one in results_of(trained) if one["failure"].startswith("stopped")]
    assert "mlp" in {one["type"] for one in stopped}
    assert all("learn.budget (1 s)" in one["failure"] for one in stopped)
    assert any("stopped: its share" in line for line in context.listeners[1].messages)


def test_a_finalist_that_diverges_on_new_recordings_is_not_selected(packed, tmp_path, monkeypatch):
    """It is the best on the validation split, whose recordings its fit has seen."""
    errors = CandidateErrors({1: 0.1, 4: 0.1, 20: 0.1}, 0.1)
    measured_on_folds = []

    def errors_on(fits, fold, finalist, step, seconds, number):
        del fits, fold, step, seconds, number
        measured_on_folds.append(finalist.name)
        if finalist.name.startswith("linear"):  # the worst
            return [errors]
        return [replace(errors, free_run=math.inf, by_horizon={20: math.nan})]

    monkeypatch.setattr(race, "folds_of", lambda *_: [Fold(packed, packed, None)] * 3)
    monkeypatch.setattr(finalists, "leaves_out_rows", lambda _: False)
    monkeypatch.setattr(CandidateFits, "errors_on", errors_on)
    trained, context = train(task_without_model(budget=2.0), packed, tmp_path)
    scores = {one["name"]: one["score"] for one in results_of(trained) if one["score"] is not None}
    best = min(scores, key=scores.get)
    assert best in measured_on_folds
    assert best != trained.facts.family
    measured = {one["name"] for one in results_of(trained) if one["held_out"] is not None}
    assert trained.facts.family in measured
    assert best not in measured
    lines = context.listeners[1].messages
    text = f"{best}: score not finite on rows left out of its fit"
    assert any(line.startswith(text) for line in lines)


@pytest.mark.parametrize("folds", ["recordings", "none"])
def test_candidate_that_diverges_on_a_recorded_episode_is_not_selected(
    packed, tmp_path, monkeypatch, folds
):
    where = "diverges on 1 of 9 recorded episodes"
    diverging = ("LinearStep", "Regression")  # networks of all closed forms

    def divergence(module, _rows):
        return where if type(module.network).__name__ in diverging else ""

    monkeypatch.setattr(race, "divergence", divergence)
    monkeypatch.setattr(finalists, "divergence", divergence)
    if folds == "none":
        monkeypatch.setattr(race, "folds_of", lambda *_: [])
    trained, context = train(task_without_model(), packed, tmp_path)
    assert trained.learn.model.type == "mlp"
    best = min(
        (one for one in results_of(trained) if one["score"] is not None),
        key=lambda one: one["score"],
    )
    assert best["name"] != trained.facts.family
    assert best["failure"] == where
    lines = context.listeners[1].messages
    assert any(line.startswith(f"{best['name']}: {where}") for line in lines)


def test_best_candidate_is_selected_if_all_diverge(packed, tmp_path, monkeypatch):
    for module in (race, finalists):
        monkeypatch.setattr(module, "divergence", lambda *_: "diverges on 9 recorded episodes")
    trained, _ = train(task_without_model(), packed, tmp_path)
    assert trained.facts.family.startswith(EXACT)


def test_a_finalist_that_no_fit_has_seen_is_measured_without_a_refit(packed, tmp_path, monkeypatch):
    """With three whole validation recordings or more."""
    episodes = [
        replace(episode, recording=f"{number}", split="validation" if number > 1 else "train")
        for number, episode in enumerate(packed.episodes)
    ]
    monkeypatch.setattr(CandidateFits, "errors_on", None)
    trained, _ = train(task_without_model(), replace(packed, episodes=episodes), tmp_path)
    assert trained.facts.family.startswith(EXACT)
    measured = [one for one in results_of(trained) if one["held_out"] is not None]
    assert trained.facts.family in {one["name"] for one in measured}


@pytest.mark.ci
def test_published_references_are_candidates_with_their_weights(packed, home, monkeypatch):
    task, dataset = task_without_model(), publish(home, packed)
    published = load_references(home, references.run(task, home, dataset).ref)
    members = published_members(task, published)
    monkeypatch.setattr(race, "strongest_members", None)
    artifact = stage.run(task, home, dataset, dataset, (NullReporter(), NullReporter()))
    folder = home.root / artifact.ref.path
    results = json.loads((folder / RESULTS).read_text())
    assert {member.name for member, _ in members} <= {result["name"] for result in results}
    source = next(path for member, path in members if member.name == artifact.summary["family"])
    weights, expected = (load_file(path / WEIGHTS) for path in (folder, source))
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        torch.testing.assert_close(value, expected[name].to(value.dtype), rtol=0.0, atol=0.0)
