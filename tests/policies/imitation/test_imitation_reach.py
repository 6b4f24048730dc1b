"""Policies that reach what they are shown: small versions of `make prove-imitation`."""

import numpy as np
import pytest

from kinemill.augment import stage as augment
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.policies.environments.demonstrations import demonstrations as demonstrate
from kinemill.policies.environments.evaluation import try_policy
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.policy_runner import as_policy
from kinemill.validate import stage as validate
from tests.conftest import EXAMPLES
from tests.policies.imitation.cloning import demonstrations, policy_task


def trained(home, name, count, **changed):
    """Return the task, the policy learned from `count` demonstrations, and its curves."""
    task = load_task(EXAMPLES / f"{name}.yaml", changed)
    logs = home.root / "shown"
    list(demonstrate(task, logs, range(count)))
    accepted = validate.run(task, home, ingest.run(task, home, logs).artifact.ref)
    dataset = dataset_stage.run(task, home, accepted.ref).ref
    metrics = {}

    class Watcher(NullReporter):
        def log_metrics(self, result, step):
            for key, value in result.items():
                metrics.setdefault(key, []).append(value)

    training_set = augment.run(task, home, dataset).ref
    published = train.run(task, home, dataset, training_set, (Watcher(), NullReporter()))
    return task, as_policy(load_model(home.root / published.ref.path)), metrics


def success(task, policy, count=40):
    return try_policy(task, policy, range(10**6, 10**6 + count)).success


@pytest.mark.slow  # 20 s
def test_an_arm_reaches_targets_after_150_demonstrations(home):
    """The expert reaches all; success decides which weights are kept, from starts of its own."""
    changed = {
        "learn.steps": 2000,
        "learn.eval_every": 500,
        "learn.checkpoint": "success",
        "environment.trials.n_eval_episodes": 8,
    }
    task, policy, metrics = trained(home, "reach", 150, **changed)
    assert success(task, policy) >= 0.9
    assert len(metrics["validation/success"]) == 4
    assert metrics["validation/missed"][-1] == pytest.approx(
        1 - metrics["validation/success"][-1], abs=1e-3
    )


@pytest.mark.slow  # a minute
def test_two_ways_need_more_than_one_answer(home):
    settings = {
        "learn.head": {"type": "deterministic"},
        "learn.chunk": {"length": 1, "n_action_steps": 1},
        "learn.ema": None,
    }
    task, plain, _ = trained(home, "obstacle", 120, **settings)
    _, drawn, _ = trained(home, "obstacle", 120, **{"learn.steps": 2000})
    assert success(task, plain) < 0.6
    assert success(task, drawn) > 0.85


@pytest.mark.slow  # two minutes
def test_a_policy_does_what_it_is_told(home):
    """After 300 demonstrations it goes where it is told far more often than by chance (1/3)."""
    task, policy, _ = trained(home, "targets", 300, **{"learn.steps": 700})
    assert success(task, policy) > 0.7


def test_success_can_only_decide_where_there_is_an_environment():
    task, data = policy_task(checkpoint="success"), demonstrations()
    with pytest.raises(BadInput, match="names no environment"):
        task.learn.prepare(task, data, data, "cpu")


def test_starts_of_training_are_never_those_of_the_trials():
    from kinemill.policies.imitation.bc_setup import EnvEvaluation

    task = load_task(EXAMPLES / "reach.yaml")
    trials, seeds = task.environment.trials, EnvEvaluation(None, task).seeds
    assert not set(seeds) & set(range(trials.seed, trials.seed + trials.episodes))
    assert len(seeds) == trials.n_eval_episodes
    assert np.min(list(seeds)) > trials.seed
