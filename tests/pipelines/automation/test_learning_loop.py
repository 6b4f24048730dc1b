"""The learning loop in Dagster: the champion collects when the last round is learned."""

from types import SimpleNamespace

import dagster as dg
import numpy as np
import pytest

from kinemill.control import EpisodeFailed, Robot, TruePhysics, loop_round
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.verify.effects import UnmodeledEffect
from kinemill_dagster.pipelines.chain import definitions_of, pipeline_assets
from tests.pipelines.automation.ticks import Ticks
from tests.pipelines.conftest import TINY

NAME = "cart_pole_swing_up_loop"
SHORT = {
    "control.seconds": 0.6,
    "control.hold": 0.2,
    "control.controller.samples": 4,
    "control.controller.horizon": 5,
    "control.controller.knots": 5,
    "loop.automatic": True,
    "loop.rounds": 3,
    "loop.random_seconds": 0.4,
    "loop.random_episodes": 2,
}


class Registry:
    """Versions of the task, with how many of 4 episodes succeed, and the champion's number."""

    def __init__(self, monkeypatch):
        self.successes, self.champion, self.addresses = [], None, []
        self.unmodeled = []
        monkeypatch.setattr(loop_round, "versions_of", self.versions)
        monkeypatch.setattr(loop_round, "registered", self.registered)
        monkeypatch.setattr(loop_round, "find_version", self.collecting)
        monkeypatch.setattr(loop_round, "learned_model", self.model)

    def versions(self, *_):
        return [SimpleNamespace(number=n) for n in range(len(self.successes), 0, -1)]

    def registered(self, _, __, number):
        version = SimpleNamespace(
            number=number, aliases=[], gate=[], metrics=SimpleNamespace(nrmse={})
        )
        closed = SimpleNamespace(successes=self.successes[number - 1], episodes=[None] * 4)
        return version, SimpleNamespace(closed_loop=closed, analysis=None, unmodeled=self.unmodeled)

    def collecting(self, *_):
        return SimpleNamespace(name=f"version {self.champion or len(self.successes)}")

    def model(self, task, address, **_):
        self.addresses.append(address)
        return TruePhysics(task)


@pytest.fixture
def registry(monkeypatch, home):
    return Registry(monkeypatch)


@pytest.fixture
def task(home):
    return load_task(NAME, SHORT)


def advance(task, plant=None, report=lambda _: None):
    return loop_round.continue_loop(task, Home.resolve(), report, plant)


def logs():
    return sorted(path.name[:-13] for path in Home.resolve().logs(NAME).iterdir())


def test_the_champion_collects_each_round_until_the_target(registry, task):
    assert advance(task).status == "training"  # random actions; now a version is due
    assert logs() == ["random-001000", "random-001001"]
    assert advance(task).status == "training"  # nothing new without a version
    registry.successes = [0]
    assert advance(task).status == "training"
    registry.successes, registry.champion = [0, 1], 1
    assert advance(task).status == "training"
    assert registry.addresses == ["version 1", "version 1"]  # the champion, not the newest
    registry.successes = [0, 1, 4]
    state = advance(task)
    assert state.status == "done"
    assert [(one.version, one.successes) for one in state.rounds] == [(1, 0), (2, 1), (3, 4)]
    assert [one.steps for one in state.rounds] == [40, 100, 160]
    assert len(logs()) == 6
    folder = loop_round.journal_of(task, Home.resolve()).folder
    assert "4 <small>of 4</small>" in (folder / "loop.html").read_text()


def test_contacts_with_end_stops_are_reported_until_the_target(registry, task):
    registry.unmodeled = [UnmodeledEffect("cart_velocity", "end_stop", 0.4)]
    lines = []
    advance(task)
    for registry.successes in ([1], [1, 4]):
        advance(task, report=lines.append)
    hints = [line for line in lines if "end stop" in line]
    assert len(hints) == 1
    assert hints[0].startswith("round 0: contacts with an end stop: 40% of the squared errors of")


class Broken(Robot):
    """Stops answering at the tenth measurement of its life."""

    count = 0

    def observe(self):
        self.count += 1
        if self.count == 10:
            raise EpisodeFailed("socket", "no answer for 1 s")
        return np.copy(super().observe())


def test_a_failed_episode_stops_the_automation_until_a_user_continues_it(registry, task):
    plant = Broken(task)
    with pytest.raises(EpisodeFailed):
        advance(task, plant)
    assert loop_round.loop_state(task, Home.resolve()).status == "failed"
    assert advance(task, plant).status == "training"


def test_the_graph_has_the_rollouts_and_the_pipeline_leaves_them_out(task):
    graph = definitions_of([task]).resolve_asset_graph()
    rollouts, model = (dg.AssetKey([NAME, name]) for name in ("rollouts", "registered_model"))
    assert model in graph.get(rollouts).parent_keys
    assert rollouts not in pipeline_assets(task).resolve(graph)
    assert model in pipeline_assets(task).resolve(graph)
    plain = definitions_of([load_task(NAME)]).resolve_asset_graph()
    assert not plain.has(rollouts)


def test_the_sensor_requests_a_collection_once_per_round(registry, task):
    task._path = None  # the task as it is here, not as in its file
    ticks = Ticks([task])
    (request,) = ticks.tick(f"{NAME}_rollouts").run_requests
    assert request.asset_selection == [dg.AssetKey([NAME, "rollouts"])]
    assert request.tags["kinemill/why"] == "learning loop, round 0"
    assert "already requested" in ticks.tick(f"{NAME}_rollouts").skip_message
    advance(task)  # what the run does
    assert "waits for the version" in ticks.tick(f"{NAME}_rollouts").skip_message
    registry.successes = [0]
    assert len(ticks.tick(f"{NAME}_rollouts").run_requests) == 1


LOOP = """\
control:
  plant: cart_pole_swing_up
  seconds: 1
  hold: 0.2
  start: {pole_angle: [-0.5, 0.5]}
  cost: [{of: pole_angle, target: pi, shape: upright}]
  success: [{of: pole_angle, target: pi, within: 0.2}]
  controller: {type: mppi, samples: 4, horizon: 5, knots: 5}
loop: {rounds: 2, random_episodes: 4, random_seconds: 2, episodes: 2, automatic: true}
"""


@pytest.mark.slow
@pytest.mark.e2e
def test_two_rounds_in_dagster_with_a_tiny_network(home, tmp_path, monkeypatch):
    text = TINY.replace('validation: ["*0001*"], test: ["*0002*"]', "validation: 0.25, test: 0.25")
    (tmp_path / "tiny.yaml").write_text(
        text.replace("verify: {", "verify: {closed_loop: 1, ") + LOOP
    )
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path))
    task = load_task("tiny")
    ticks, collected = Ticks([task]), []
    for _ in range(6):
        for name, job in (("rollouts", "__ASSET_JOB"), ("retraining", "tiny")):
            for request in ticks.tick(f"tiny_{name}").run_requests:
                run = ticks.repository.get_job(job).execute_in_process(
                    instance=ticks.instance,
                    asset_selection=request.asset_selection,
                    tags=request.tags,
                )
                assert run.success
                collected.append(name)
    assert collected == ["rollouts", "retraining"] * 2 + ["rollouts"]
    state = loop_round.loop_state(task, Home.resolve())
    assert state.status == "done"
    assert [one.version for one in state.rounds] == [1, 2]
    logs = sorted(path.name[:4] for path in Home.resolve().logs("tiny").iterdir())
    assert logs == ["mppi"] * 2 + ["rand"] * 4
