"""Searches over tasks that learn policies: by imitation, from motions, and by reinforcement."""

import json
from contextlib import ExitStack
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.models.heads import HEADS
from kinemill.policies.environments.card import make_card
from kinemill.selection.tune import (
    Bounds,
    begin,
    describe,
    list_trials,
    write_best,
    write_job,
)
from kinemill.selection.tune.defaults import default_space
from kinemill.selection.tune.study import next_trial
from kinemill.selection.tune.trial import Pruned, Watch
from kinemill.selection.tune.worker import run
from kinemill.store import read_json
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.task.reinforcement import ALGORITHMS
from kinemill.task.search import select_values
from kinemill.train import stage as train
from tests.api.test_objects import TASK
from tests.conftest import load_task_in
from tests.policies.imitation.cloning import CHANNELS, demonstrations, packed
from tests.policies.imitation.test_ddp_policies import gaits
from tests.selection.tune.test_defaults import Dice
from tests.train.conftest import publish

pytestmark = pytest.mark.ci


@pytest.fixture
def task(tmp_path):
    return load_task_in(tmp_path, TASK, {"tune.trials": 2})


def searched(task, home, dataset, trials=2):
    """Return a search of so many trials, and its finished lines."""
    overrides = {"tune.trials": trials}
    search = begin(load_task(task.path, overrides), home, dataset, overrides)
    run(read_json(write_job(search, Bounds(trials))), 0)
    return search, list_trials(search)


def test_the_space_around_a_policy_holds_its_own_model_and_rates(task):
    space = default_space(task)["learn"]
    (model,) = space["model"]["select"]
    assert (model["type"], model["dropout"]) == ("mlp", 0.0)  # evolution takes no other
    assert len(model["hidden_sizes"]["select"]) > 1
    (own, *_) = space["optimizer"]["select"]
    assert own["lr"]["range"] == pytest.approx([6e-5, 1.5e-3])
    assert space["algorithm"]["n_epochs"]["select"] == [1, 5, 10, 20]
    size = task.learn.batch_size
    assert space["batch_size"]["select"] == [size, size // 2, 2 * size, 4 * size]


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_has_settings_to_try_all_of_which_are_valid(name, tmp_path):
    path = tmp_path / "point.yaml"
    path.write_text(TASK.replace("{type: ppo, n_steps: 16, n_epochs: 1}", f"{{type: {name}}}"))
    task = load_task(path)
    space = default_space(task)
    assert "select" in str(space["learn"]["algorithm"])
    for seed in range(20):
        settings = select_values(space, Dice(seed))
        assert load_task(path, settings).learn.algorithm.type == name


def test_heads_are_searched_where_what_is_judged_can_be_compared(tmp_path):
    learn = {"type": "imitation", "model": {"type": "mlp"}, "checkpoint": "action", **LEARN}
    task = written(tmp_path, task="arm", learn=learn)
    heads = default_space(task)["learn"]["head"]["select"]
    assert {head["type"] for head in heads} == set(HEADS)
    for seed in range(20):
        load_task(task.path, select_values(default_space(task), Dice(seed)))


def test_trials_are_judged_by_what_their_policies_bring(task, home):
    search, result = searched(task, home, make_card(task, home).ref)
    done = [one for one in result if one.error is not None]
    assert len(done) == 2
    # A pendulum costs up to 16.3 a step: the error is the return of ten steps, negative.
    assert all(0.0 < one.error < 163.0 for one in done)
    document = describe(search, result)
    assert (document["objective"], document["unit"]) == ("return", "")
    assert document["best"]["value"] == -min(one.error for one in done)
    assert document["own"] == -result[0].error
    assert f"return {-result[0].error:.4g}" in result[0].describe()


class Hopeless:
    """A trial of Optuna that is pruned when it has reported twice."""

    user_attrs: ClassVar[dict] = {}

    def __init__(self):
        self.reports = []

    def report(self, error, step):
        self.reports.append((step, error))

    def should_prune(self):
        return len(self.reports) == 2


def test_a_training_by_reinforcement_is_pruned_at_an_evaluation(task, home):
    """Returns are reported after evaluations alone; the second ends the training."""
    task = load_task(task.path, {"learn.steps": 96, "learn.eval_every": 32})
    card, trial, quiet = make_card(task, home).ref, Hopeless(), NullReporter()
    watch = Watch(quiet, trial, Bounds(1), task.learn.total_steps)
    with pytest.raises(Pruned):
        train.run(task, home, card, card, (watch, quiet))
    (first, one), (second, other) = trial.reports
    assert 32 <= first < second < 96
    assert 0.0 < one < 163.0  # a cost: the negative return of a pendulum
    assert 0.0 < other < 163.0


@pytest.mark.parametrize("returns", [(481.0, 120.0), (-140.0, -56.0), (0.0, 0.0)])
def test_best_settings_of_a_search_by_returns_name_the_return(task, home, returns):
    search = begin(task, home, make_card(task, home).ref, {"tune.trials": 2})
    for mean_return in returns:
        with ExitStack() as locked:
            study, trial = next_trial(search, task, 2, 0, locked)
            trial.set_user_attr("settings", trial.user_attrs["proposed"])
            study.tell(trial, -mean_return)
    best = write_best(search).read_text().splitlines()[0]
    assert best.endswith(f": return {max(returns):.4g}.")


def written(tmp_path, **whole):
    return load_task_in(tmp_path, {"dt": 0.02, "channels": CHANNELS, **whole})


LEARN = {"batch_size": 16, "steps": 6, "eval_every": 3, "save_every": 3, "log_every": 3}


def test_cloning_is_searched_on_episodes_shorter_than_any_rollout(tmp_path, home):
    """The evaluation horizon of dynamics models, 25 steps, does not apply to policies."""
    learn = {"type": "imitation", "model": {"type": "mlp", "hidden_sizes": [8]}, **LEARN}
    space = {"learn": {"seq_len": {"select": [1, 3]}, "optimizer": {"lr": {"range": [1e-3, 1e-2]}}}}
    task = written(tmp_path, task="arm", learn=learn, tune={"space": space, "startup": 1})
    assert set(default_space(task)["learn"]) == {"model", "optimizer", "schedule"}
    dataset = publish(home, demonstrations(rows=12).packed)
    search, result = searched(task, home, dataset, 3)
    assert [one.state for one in result] == ["done"] * 3
    assert {one.settings.get("learn.seq_len") for one in result[1:]} <= {1, 3}
    # A loss of spreads squared; untrained it is about 1.
    assert all(0.0 < one.error < 3.0 for one in result)
    assert describe(search, result)["objective"] == "error"


def test_motions_are_searched(tmp_path, home):
    learn = {"type": "motion", "action_joints": {"torque": "angle"}, "history": 8, **LEARN}
    learn["hidden_size"] = 32
    task = written(tmp_path, task="arm", learn=learn)
    assert set(default_space(task)["learn"]) == {"optimizer", "schedule", "history"}
    _, result = searched(task, home, publish(home, packed(gaits())))
    assert [one.state for one in result] == ["done", "done"], [one.why for one in result]
    assert np.isfinite([one.error for one in result]).all()


@pytest.mark.slow  # the whole command, with processes of its own
def test_the_command_searches_a_policy_and_says_what_it_brings(task, tracked_home):
    arguments = ["model", "tune", str(task.path), "--trials", "2", "--no-register"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["trials"], document["failed"]) == (2, 0)
    assert -163.0 < document["best"]["value"] < 0.0
    done = CliRunner().invoke(app, arguments)
    assert f"return {document['best']['value']:.4g}" in done.stdout
