"""Robots of `kinemill.control.sim` as environments: in true physics, and in a learned simulator."""

import numpy as np
import pytest

from kinemill.control.sim.pendulum import Pendulum
from kinemill.errors import BadInput, TaskError
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.card import make_card, open_card
from kinemill.policies.environments.evaluation import run_episode, try_policy
from kinemill.runtime import load
from kinemill.task import load_task
from kinemill.task.document import Task
from tests.conftest import EXAMPLES


class Idle:
    def reset(self, seed):
        pass

    def act(self, observation):
        return np.zeros(1, np.float32)


def swing_up(environment) -> Task:
    whole = load_task(EXAMPLES / "pendulum_swing_up.yaml").model_dump(mode="json", by_alias=True)
    return Task.model_validate(whole | {"environment": environment})


def test_true_physics_is_that_of_the_plant_and_its_reward_the_cost_negative():
    task = swing_up({"type": "plant", "steps": 50})
    environment = make_environment(task)
    run = run_episode(task, environment, Idle(), 3)
    observed = run.observations["observation"]
    advance, _, _ = Pendulum().stepper(observed[0].astype(float))
    for row in observed[1:]:
        assert row == pytest.approx(advance(np.zeros(1), 1), abs=1e-5)
    # 3 |tip - its place upright| + 0.02 velocity^2, dt = 0.02 s
    tip = np.stack([np.sin(observed[1:, 0]), -np.cos(observed[1:, 0])])
    expected = -0.02 * (3 * np.hypot(*(tip - [[0], [1]])) + 0.02 * observed[1:, 1] ** 2)
    assert run.rewards == pytest.approx(expected, abs=1e-5)
    assert (run.terminated, run.success) == (False, False)


def test_an_episode_is_as_long_as_control_says_and_ends_with_its_verdict():
    task = swing_up({"type": "plant"})
    environment = make_environment(task)
    environment.reset(seed=0)
    environment.unwrapped._robot.reset(np.array([np.pi, 0.0]))
    ends = [environment.step(np.zeros(1))[2:] for _ in range(300)]
    assert [cut for _, cut, _ in ends] == [False] * 299 + [True]
    # It falls with a rate of 3.8/s: off by 1e-16 rad at first, it is off by 1e-6 rad after 6 s.
    assert ends[-1][2] == {"is_success": True}


def test_a_plant_reports_no_success_where_the_task_defines_none():
    """Else each demonstration would be a failure, and a summary would state a success of 0."""
    task = swing_up({"type": "plant", "steps": 3})
    control = task.control.model_copy(update={"success": []})
    task = task.model_copy(update={"control": control})
    assert run_episode(task, make_environment(task), Idle(), 3).success is None


def test_a_plants_parameters_can_be_drawn_and_its_links_seen():
    task = swing_up({"type": "plant", "steps": 3, "randomize": {"mass": [0.2, 0.9]}})
    environment = make_environment(task, render=True)
    masses = []
    for seed in (0, 1):
        environment.reset(seed=seed)
        masses.append(environment.unwrapped._robot.plant.mass)
    assert masses[0] != masses[1]
    assert environment.render().shape == (240, 240, 3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of the pendulum that was hardly trained: what it says is what counts here."""
    from kinemill.export import stage as export
    from kinemill.store.home import Home
    from kinemill.task.protocols import NullReporter
    from kinemill.train import stage as train
    from tests.selection.tune.conftest import packed_with
    from tests.train.conftest import pendulum_task, publish, swing

    home = Home(tmp_path_factory.mktemp("learned"))
    task = pendulum_task(history=2, steps=5, eval_every=5, ensemble=2)
    dataset = publish(home, packed_with(swing(60, 11)))
    model = train.run(task, home, dataset, dataset, (NullReporter(), NullReporter()))
    return home.root / export.run(task, home, model.ref).ref.path


def learned_task(folder, **more) -> Task:
    return swing_up({"type": "learned", "model": str(folder), "steps": 12, **more})


@pytest.mark.ci
def test_a_learned_simulator_moves_one_row_as_it_moves_many(trained):
    task = learned_task(trained)
    environment, simulator = make_environment(task), load(trained)
    rows = task.environment.vectorized(task)(3)
    observed, _ = rows.reset([0, 1, 2])
    seen, _ = environment.reset(seed=5)
    environment.unwrapped._row = rows._states[1].copy()
    past = np.zeros((1, 1, 1), np.float32)
    history = np.stack([observed[1], observed[1]])[None]
    for push in (0.5, -1.0, 0.25):
        after, rewards, dones, _, _ = rows.step(np.full((3, 1), push))
        seen, reward, _, _, _ = environment.step(np.array([push]))
        expected = simulator.rollout(history, past, np.full((1, 1, 1), push, np.float32))[0, 0]
        assert seen == pytest.approx(expected, abs=1e-5)
        assert after[1] == pytest.approx(seen, abs=1e-5)
        assert rewards[1] == pytest.approx(reward, abs=1e-5)
        history = np.stack([history[0, 1], expected])[None]
        past = np.full((1, 1, 1), push, np.float32)
    assert not dones.any()
    assert layout_of(task, environment).observation == ("angle", "velocity")


def test_in_the_model_episodes_begin_where_it_says_and_in_the_plant_where_control_says(trained):
    start, true = {"angle": [2.0, 3.0], "velocity": [-7.0, -6.0]}, {"plant": {"physics": "plant"}}
    task = learned_task(trained, start=start, variants=true)
    seen = make_environment(task).reset(seed=1)[0]
    for angle, velocity in [seen, *task.environment.vectorized(task)(4).reset(range(4))[0]]:
        assert 2.0 <= angle <= 3.0
        assert -7.0 <= velocity <= -6.0
    assert np.abs(make_environment(task, variant="plant").reset(seed=1)[0]).max() <= 0.5
    wrong = {"environment.start": {"velocty": [0.0, 1.0]}}
    with pytest.raises(TaskError, match=r"environment\.start\.velocty: no state; .*'velocity'"):
        load_task(EXAMPLES / "pendulum_swing_up.yaml", wrong)


def test_the_card_freezes_the_model_and_says_where_it_is_from(trained, home):
    task = learned_task(trained, variants={"plant": {"physics": "plant"}}, trials={"episodes": 2})
    card = open_card(home, make_card(task, home).ref)
    assert (card.folder / "sources" / "model" / "rollout.onnx").is_file()
    assert card.document.lineage["dataset"] == load(trained).interface.dataset
    pinned = card.task(task)
    assert pinned.environment.model == str(card.folder / "sources" / "model")
    true = try_policy(pinned, Idle(), [4], variant="plant", record=1).episodes[0]
    advance, _, _ = Pendulum().stepper(true.observations["observation"][0].astype(float))
    assert true.observations["observation"][1] == pytest.approx(advance(np.zeros(1), 1), abs=1e-5)


def test_an_episode_follows_one_member_of_an_ensemble(trained):
    task, simulator = learned_task(trained, members="sampled"), load(trained)
    rows = task.environment.vectorized(task)(8)
    observed, _ = rows.reset(range(8))
    members = rows._states[:, -1].astype(int)
    assert set(members) == {0, 1}
    history = np.stack([observed, observed], axis=1)
    push = np.full((8, 1, 1), 0.5, np.float32)
    each = simulator.rollout_members(history, np.zeros((8, 1, 1), np.float32), push)[:, :, 0]
    assert np.abs(each[:, 0] - each[:, 1]).max() > 1e-4
    after = rows.step(push[:, 0])[0]
    assert after == pytest.approx(each[np.arange(8), members], abs=1e-5)
    assert (rows._states[:, -1] == members).all()


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(BadInput, match=r"has no rollout\.onnx"):
        learned_task(tmp_path).environment.sources()
