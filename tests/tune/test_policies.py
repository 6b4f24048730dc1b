"""A search over a task that learns by reinforcement: the return is what counts."""

import pytest

from kinemill.environments.card import make_card
from kinemill.spec import load_task
from kinemill.store import read_json
from kinemill.tune import Bounds, begin, lines, write_job
from kinemill.tune.defaults import default_space
from kinemill.tune.worker import run
from tests.cli.test_returned import TASK


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "point.yaml"
    path.write_text(TASK)
    return load_task(path, {"tune.trials": 2})


def test_the_space_around_a_policy_holds_its_own_model_and_rates(task):
    space = default_space(task)["learn"]
    assert [one["type"] for one in space["model"]["select"]] == ["mlp"]
    (own, *_) = space["optimizer"]["select"]
    assert own["lr"]["range"] == pytest.approx([6e-5, 1.5e-3])


def test_trials_are_judged_by_what_their_policies_bring(task, home, tmp_path):
    card = make_card(task, home)
    search = begin(task, home, card.ref, {"tune.trials": 2})
    run(read_json(write_job(search, Bounds(2))), 0)
    done = [one for one in lines(search) if one.error is not None]
    assert len(done) == 2
    # A pendulum costs up to 16.3 a step: the error is the return of ten steps, negative.
    assert all(0.0 < one.error < 163.0 for one in done)
