"""Exported policies of reinforcement learning act in ONNX Runtime as in torch."""

import numpy as np
import pytest

from kinemill.export import stage as export
from kinemill.policies.environments.card import make_card
from kinemill.policies.environments.evaluation import try_policy
from kinemill.runtime import load
from kinemill.store import open_ref
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
from kinemill.train.policy_runner import as_policy
from tests.policies.rl.test_training_loop import CART, DOORS, POINT, rl_task

WRAPPED = {
    **POINT,
    "wrappers": [
        {"type": "angle_features", "of": ["position"]},
        "frame_stack",
        {"type": "normalize_observation", "steps": 100},
        "action_scaling",
    ],
}
SLOW = pytest.mark.slow


@pytest.mark.ci
@pytest.mark.parametrize(
    ("environment", "algorithm", "model"),
    [
        (WRAPPED, "recurrent_ppo", {"type": "mlp", "hidden_sizes": [8]}),
        (DOORS, "maskable_ppo", {"type": "mlp", "hidden_sizes": [8]}),
        pytest.param(WRAPPED, "sac", {"type": "mlp", "hidden_sizes": [8]}, marks=SLOW),
        pytest.param(POINT, "td3", {"type": "transformer"}, marks=SLOW),
        pytest.param(CART, "evolution", {"type": "mlp", "hidden_sizes": [8]}, marks=SLOW),
    ],
)
def test_the_file_acts_as_the_module_does(home, environment, algorithm, model):
    task = rl_task(environment, algorithm, steps=64, model=model)
    card, silent = make_card(task, home), (NullReporter(), NullReporter())
    trained = train.run(task, home, card.ref, card.ref, silent)
    exported = export.run(task, home, trained.ref, card.ref)
    file = load(home.root / exported.ref.path)
    module = load_model(open_ref(home, trained.ref))
    ours, theirs = (try_policy(task, mine, [1, 2], record=2) for mine in (file, as_policy(module)))
    for mine, expected in zip(ours.episodes, theirs.episodes, strict=True):
        if any(module.layout.choices):
            assert np.array_equal(mine.actions, expected.actions)
        assert mine.actions == pytest.approx(expected.actions, abs=1e-5)
    assert ours.returns == pytest.approx(theirs.returns, rel=1e-5, abs=1e-5)
