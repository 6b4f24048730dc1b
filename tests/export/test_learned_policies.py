"""Exported policies of reinforcement learning act in ONNX Runtime as in torch."""

import numpy as np
import pytest
import torch

from kinemill.export import stage as export
from kinemill.policies.environments.card import make_card
from kinemill.policies.environments.evaluation import try_policy
from kinemill.runtime import load
from kinemill.store import open_ref
from kinemill.task.protocols import NullReporter
from kinemill.train import load_model
from kinemill.train import stage as train
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


class InTorch:
    """Run the trained module on one observation at a time."""

    def __init__(self, module):
        self._module = module

    def reset(self, seed):
        self._carry = self._module.initial_carry(1)

    @torch.no_grad()
    def act(self, observed):
        layout = self._module.layout
        parts = observed if isinstance(observed, dict) else {"observation": observed}
        arguments = [torch.from_numpy(np.float32(parts[name])[None]) for name in layout.inputs]
        action, *self._carry = self._module(*arguments, *self._carry)
        if not any(layout.choices):
            return action[0].numpy()
        selected = action[0].numpy().astype(int)
        return selected if len(selected) > 1 else int(selected[0])


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
    module = InTorch(load_model(open_ref(home, trained.ref)))
    ours, theirs = (try_policy(task, mine, [1, 2], record=2) for mine in (file, module))
    for mine, expected in zip(ours.episodes, theirs.episodes, strict=True):
        if any(module._module.layout.choices):
            assert np.array_equal(mine.actions, expected.actions)
        assert mine.actions == pytest.approx(expected.actions, abs=1e-5)
    assert ours.returns == pytest.approx(theirs.returns, rel=1e-5, abs=1e-5)
