"""From clips to a policy in physics: trained, killed, resumed, rebuilt."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.prove_motion import data_of
from kinemill.errors import BadInput
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.demonstrations import Demonstrations
from tests.conftest import EXAMPLES

WALKER = Path(__file__).parents[1] / "tasks" / "walker.yaml"
SHORT = {
    "learn.prior": 0.5,
    "learn.physics": {
        "algorithm": {"type": "ppo", "n_steps": 64},
        "num_envs": 2,
        "batch_size": 64,
        "steps": 1536,
        "eval_every": 256,
        "save_every": 256,
        "evals_per_round": 1,
        "patience": None,
    },
    "environment.steps": 60,
    "environment.trials.episodes": 2,
    "environment.trials.n_eval_episodes": 2,
}


class Killed(Exception):
    """Stops a training in the middle of this test."""


class Killer(NullReporter):
    """Stops a training after `steps` steps."""

    def __init__(self, after: int) -> None:
        self._after = after

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Raise when it is time."""
        del stage, total, note
        if done > self._after:
            raise Killed


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_bit_for_bit(shared_data, tmp_path):
    task = load_task(WALKER, SHORT)
    models = []
    for after in (None, 900):
        home = Home(tmp_path / str(after))
        refs = data_of(task, home, shared_data / "awd_motion")
        if after is not None:
            with pytest.raises(Killed):
                train.run(task, home, *refs, (NullReporter(), Killer(after)))
        model = train.run(task, home, *refs, (NullReporter(), NullReporter()))
        models.append(load_model(home.root / model.ref.path))
        assert isinstance(models[-1], TrackingPolicy)
        assert model.summary["best_step"] > 0
    whole, interrupted = (one.state_dict() for one in models)
    assert all(torch.equal(value, interrupted[name]) for name, value in whole.items())


@pytest.mark.slow
def test_an_environment_of_other_channels_is_refused(shared_data, tmp_path):
    other = {"learn.observations": ["left_knee", "left_ankle"], "learn.action_joints": {}}
    task = load_task(WALKER, SHORT)
    refs = data_of(task, Home(tmp_path), shared_data / "awd_motion")
    data = tuple(Demonstrations.open(Home(tmp_path), ref) for ref in refs)
    wrong = task.model_copy(
        update={"environment": load_task(EXAMPLES / "cartpole_rl.yaml").environment}
    )
    with pytest.raises(BadInput, match=r"expected .*legged"):
        wrong.learn.describe(wrong, data)
    assert np.isclose(task.learn.describe(task, data)["cycle"], 0.4235, atol=1e-3)
    with pytest.raises(BadInput, match="next value of no observed joint"):
        load_task(WALKER, SHORT | other)
