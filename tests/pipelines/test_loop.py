"""The learning loop: rounds, kills at every point, and plants that fail."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kinemill.control import EpisodeFailed, Robot, TruePhysics, loop_round
from kinemill.control.learning_loop import Journal
from kinemill.errors import Blocked, TrainingFailed
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill_dagster.pipelines import loop

NAME = "cart_pole_swing_up_loop"
SHORT = {
    "control.seconds": 0.6,
    "control.hold": 0.2,
    "control.controller.samples": 4,
    "control.controller.horizon": 5,
    "control.controller.knots": 5,
    "loop.rounds": 3,
    "loop.random_seconds": 0.4,
    "loop.random_episodes": 2,
}


class Killed(BaseException):
    """The process ends here."""


class Pipeline:
    """Stands in for `run_chain`: version n for the n-th content of the drop folder, cached.

    Attributes:
        successes: of the verification of each version, of 4.
        events: how many more calls of what the loop does before it is killed.
    """

    def __init__(self, monkeypatch, home):
        self.home, self.successes, self.events = home, [0, 0, 0, 0, 0, 0], 10**9
        self.versions, self.calls = [], []
        monkeypatch.setattr(loop, "run_chain", self.run)
        monkeypatch.setattr(loop, "registered", self.registered)
        monkeypatch.setattr(loop_round, "learned_model", lambda task, _, **__: TruePhysics(task))
        for name in ("add_episode", "finish"):
            monkeypatch.setattr(Journal, name, self.counted(getattr(Journal, name)))

    def counted(self, function):
        def call(*arguments, **options):
            self.count()
            result = function(*arguments, **options)
            self.count()
            return result

        return call

    def count(self):
        self.events -= 1
        if self.events < 0:
            raise Killed

    def run(self, task, overrides, **_):
        self.count()
        logs = sorted(path.name for path in self.home.logs(NAME).iterdir())
        if logs not in self.versions:
            self.versions.append(logs)
        version = self.versions.index(logs) + 1
        self.calls.append((version, dict(overrides)))
        self.count()
        return SimpleNamespace(version=version)

    def registered(self, _, task, number):
        metrics = SimpleNamespace(nrmse={"model": 1.0 / number})
        version = SimpleNamespace(number=number, aliases=["challenger"], gate=[], metrics=metrics)
        closed = SimpleNamespace(successes=self.successes[number - 1], episodes=[None] * 4)
        return version, SimpleNamespace(closed_loop=closed, analysis=None)


@pytest.fixture
def pipeline(monkeypatch, home):
    return Pipeline(monkeypatch, home)


def run(plant=None, **changed):
    return loop.run_loop(NAME, SHORT | changed, NullReporter(), plant=plant)


def timeless(document):
    rounds = [{**one, "wall": 0.0, "cpu": 0.0} for one in document["rounds"]]
    return {**document, "rounds": rounds, "status": ""}


def test_round_collects_then_trains_from_the_previous_version(pipeline, home):
    document = run(**{"loop.refit_steps": 7})
    assert (document["status"], document["version"]) == ("missed", 3)
    assert [one["steps"] for one in document["rounds"]] == [40, 100, 160]  # 20, then 30 each
    assert [len(one["episodes"]) for one in document["rounds"]] == [2, 2, 2]
    seeds = [episode["seed"] for each in document["rounds"] for episode in each["episodes"]]
    assert seeds == [1000, 1001, 2000, 2001, 3000, 3001]  # no start of `verify.closed_loop`
    starts = [changed.get("learn.start_from") for _, changed in pipeline.calls]
    assert starts == [None, f"models:/{NAME}/1", f"models:/{NAME}/2"]
    assert [changed.get("learn.steps") for _, changed in pipeline.calls] == [None, 7, 7]
    logs = sorted(path.name for path in home.logs(NAME).iterdir())
    assert [name.rsplit("-", 1)[0] for name in logs] == [
        *(f"mppi-00{seed}" for seed in (2000, 2001, 3000, 3001)),
        *(f"random-00{seed}" for seed in (1000, 1001)),
    ]


def test_loop_ends_at_the_target_and_its_rerun_is_unchanged(pipeline):
    pipeline.successes = [0, 4]
    document = run()
    assert (document["status"], len(document["rounds"])) == ("done", 2)
    assert document["successes"] == document["trials"] == 4
    page = Path(document["report"]).read_text()
    assert "4 <small>of 4</small>" in page
    again = run()
    assert (again["status"], timeless(again)) == ("unchanged", timeless(document))
    assert len(pipeline.calls) == 2


def test_loop_killed_at_any_event_ends_as_without_a_kill(pipeline, home, tmp_path):
    few = {"loop.rounds": 2, "loop.episodes": 1, "loop.random_episodes": 1}
    whole = timeless(run(**few))
    used = 10**9 - pipeline.events
    assert used == 2 * (2 + 2 + 2)  # before and after each episode, pipeline run and round
    for event in range(used):
        home.root.rename(tmp_path / f"before-{event}")
        pipeline.versions, pipeline.events = [], event
        with pytest.raises(Killed):
            run(**few)
        pipeline.events = 10**9
        resumed = timeless(run(**few))
        assert resumed == whole
        assert len(pipeline.versions) == 2
        assert len(list(home.logs(NAME).iterdir())) == 2


class Failing(Robot):
    """Fails in one way at one step of its life, counted over all episodes."""

    def __init__(self, at, how):
        super().__init__(load_task(NAME, SHORT))
        self.count, self.at, self.how = 0, at, how

    def observe(self):
        self.count += 1
        state = super().observe().copy()
        if self.count != self.at:
            return state
        if self.how == "silence":
            raise EpisodeFailed("socket", "no answer for 0.5 s", expected="one every 0.02 s")
        state[0] = np.nan if self.how == "divergence" else 3.0
        return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("silence", "no answer for 0.5 s"),
        ("divergence", "cart_position is not finite"),
        ("limits", r"cart_position is 3 m; expected -1\.6 to 1\.6 m"),
    ],
)
def test_failing_plant_ends_the_round_and_keeps_complete_episodes(pipeline, home, how, message):
    plant = Failing(at=85, how=how)  # round 0: 40 steps; round 1: 30 steps, then the 15th
    with pytest.raises(EpisodeFailed, match=message):
        run(plant)
    assert [version for version, _ in pipeline.calls] == [1]  # no training, no new version
    assert len(list(home.logs(NAME).iterdir())) == 3
    document = run(plant)
    second = document["rounds"][1]["episodes"]
    assert [one["seed"] for one in second] == [2000, 2001, 2002]
    assert [bool(one["error"]) for one in second] == [False, True, False]
    assert document["rounds"][1]["steps"] == 40 + 30 + 15 + 30  # all that were sent
    assert len(list(home.logs(NAME).iterdir())) == 6


def test_cost_that_is_nan_ends_the_round(pipeline, home):
    cost = [{"of": "sqrt(cart_position - 9)"}]
    with pytest.raises(EpisodeFailed, match="the cost is nan; expected a finite number"):
        run(**{"control.cost": cost})
    assert pipeline.calls == []
    assert not home.logs(NAME).exists()


def test_failed_training_ends_the_round_and_is_retried(pipeline, monkeypatch):
    good = pipeline.run

    def broken(*_, **__):
        raise TrainingFailed("loss", "is not finite")

    monkeypatch.setattr(loop, "run_chain", broken)
    with pytest.raises(TrainingFailed):
        run()
    monkeypatch.setattr(loop, "run_chain", good)
    assert len(run()["rounds"]) == 3


def test_round_without_a_version_is_an_error(pipeline, monkeypatch):
    nothing = SimpleNamespace(version=None)
    monkeypatch.setattr(loop, "run_chain", lambda *_, **__: nothing)
    with pytest.raises(Blocked, match="round 0 registered no version"):
        run()
