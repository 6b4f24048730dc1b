"""Policies that reach what they are shown: small versions of `make prove-imitation`."""

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.task import load_task
from tests.conftest import EXAMPLES
from tests.policies.imitation.cloning import demonstrations, policy_task


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
