"""Where copies of an environment act: the same numbers everywhere."""

import os

import numpy as np
import pytest

from kinemill.errors import BadInput, ProcessLost, TrainingFailed
from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.rl.evaluation import Evaluator
from kinemill.policies.rl.evolution import centered_ranks
from kinemill.policies.rl.subproc_vec_env import shares
from kinemill.policies.rl.training_loop import TrainingLoop
from kinemill.train.checkpoint import pack_tensors
from tests.policies.rl.test_training_loop import POINT, bench, rl_task, site_of


def walked(task, steps=14):
    environment = site_of(task).environment
    environment.seed(3)
    random, observations = np.random.default_rng(0), [environment.reset()]
    for _ in range(steps):
        space = environment.action_space
        actions = random.uniform(space.low, space.high, (environment.num_envs, *space.shape))
        observations.append(environment.step(actions.astype(np.float32))[0])
    stats = environment.drain()
    environment.close()
    return np.stack(observations), stats


@pytest.mark.parametrize(
    "runner",
    [
        pytest.param({"type": "processes", "workers": 2}, marks=pytest.mark.ci),
        pytest.param({"type": "ray", "workers": 2}, marks=pytest.mark.slow),
    ],
)
def test_copies_in_other_processes_do_the_same_as_in_this_one(runner):
    here, ended = walked(rl_task(num_envs=3, runner="in_process"))
    there, others = walked(rl_task(num_envs=3, runner=runner))
    assert np.array_equal(here, there)
    assert ended == others
    assert len(ended) == 3


def test_what_goes_wrong_in_another_process_is_told():
    task = rl_task(
        {**POINT, "path": "tests.policies.environments.plants:Doors"},
        "maskable_ppo",
        runner={"type": "processes", "workers": 1},
    )
    environment = site_of(task).environment
    environment.reset()
    with pytest.raises(TrainingFailed, match="a forbidden door was taken"):
        environment.step(np.array([[2, 0], [2, 0]]))
    os.kill(environment._workers[0]._process.pid, 9)
    with pytest.raises(ProcessLost, match="resumes from the last checkpoint"):
        environment.step(np.array([[0, 0], [0, 0]]))
    environment.close()


def test_copies_are_shared_out_evenly():
    assert shares(8, 3) == [3, 3, 2]
    assert shares(2, 5) == [1, 1]


def test_native_is_refused_where_there_is_nothing_of_the_kind():
    with pytest.raises(BadInput, match="in_process or processes"):
        site_of(rl_task(POINT, runner="native"))


@pytest.mark.slow
def test_a_generation_is_the_same_for_any_number_of_workers():
    states = []
    for runner in ("in_process", {"type": "processes", "workers": 2}):
        task = rl_task(POINT, "evolution", num_envs=6, runner=runner)
        site = site_of(task)
        learner = task.learn.algorithm.learner(site)
        learner.advance(120, 4)
        states.append((learner.step, pack_tensors(learner.state()[0])))
        site.environment.close()
    assert states[0] == states[1]


def test_ranks_weigh_returns_and_equal_ones_alike():
    states = centered_ranks(np.array([3.0, -1.0, 100.0, 3.0]))
    assert states.tolist() == pytest.approx([0.0, -0.5, 0.5, 0.0])


def test_the_gradient_of_evolution_points_to_where_the_return_grows():
    task = rl_task(
        {**POINT, "steps": 4},
        {"type": "evolution", "noise": 0.1},
        num_envs=32,
        optimizer={"type": "adam", "lr": 0.1},
    )
    learner = task.learn.algorithm.learner(site_of(task))
    loop = TrainingLoop(task, layout_of(task, make_environment(task)), bench())
    first = Evaluator(task).run(loop.policy(learner), range(20)).mean_return
    learner.advance(10_000, 1)
    after = Evaluator(task).run(loop.policy(learner), range(20)).mean_return
    assert after > 0.4 * first  # both negative
