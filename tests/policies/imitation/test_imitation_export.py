"""Every model and encoder of a policy, with two actions, in torch and in ONNX Runtime."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.export.policy import describe, write_policy
from kinemill.policies.imitation.bc_setup import assemble
from kinemill.runtime import load
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.train.demonstrations import as_bytes
from kinemill.train.policy_runner import as_policy
from tests.policies.imitation.cloning import policy_task

CASES = {
    "mlp of the present": ({"type": "mlp", "hidden_sizes": [8]}, 1, "conv", "words"),
    "mlp of a window": ({"type": "mlp", "hidden_sizes": [8]}, 3, "nature", "bytes"),
    "gru": ({"type": "gru", "hidden_size": 8}, 4, "conv", "bytes"),
    "lstm": ({"type": "lstm", "hidden_size": 8}, 1, "nature", "words"),
    "rnn": ({"type": "rnn", "hidden_size": 8}, 2, "conv", "words"),
    "transformer": ({"type": "transformer", "size": 8, "heads": 2}, 4, "conv", "bytes"),
    "linear": ({"type": "linear"}, 2, "nature", "words"),
}
FAST = "mlp of the present"
LAYOUT = PolicyLayout(
    dt=0.05,
    observation=("x", "angle"),
    actions=("push", "turn"),
    units={"x": "m", "angle": "rad", "push": "N", "turn": "N*m"},
    limits={"turn": (-0.5, 0.5)},
    choices=(0, 0),
    images={"camera": (16, 16, 3)},
    texts={"said": 24},
)


def policy_of(name):
    model, seq_len, image, text = CASES[name]
    drawn = {
        "head": {"type": "gaussian_mixture", "components": 3, "noise": 0.5},
        "chunk": {"length": 4, "n_action_steps": 2, "ensemble": 0.1},
    }
    learn = policy_task(
        model=model,
        seq_len=seq_len,
        image={"type": image, "size": 8},
        text={"type": text, "size": 8},
        text_bytes=24,
        **(drawn if name == FAST else {}),
    ).learn
    ones = torch.ones(2, dtype=torch.float64)
    scale = {"observation_mean": 0 * ones, "observation_std": ones}
    scale |= {"action_mean": 0 * ones, "action_std": ones}
    torch.manual_seed(0)
    layout = replace(LAYOUT, seeded=learn.head.seeded)
    about = {"layout": layout.to_json(), "angles": ["angle"], "words": ["left", "right"]}
    return assemble(learn, about, scale).eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [case if case == FAST else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
)
def test_what_is_exported_acts_as_what_was_trained(name, tmp_path):
    """Over 12 steps to 1e-5, from pictures, words, numbers and, the first, draws by the seed."""
    module = policy_of(name)
    write_policy(module, describe(module, "arm", "d"), tmp_path)
    ours, theirs = as_policy(module), load(tmp_path)
    random, acted = np.random.default_rng(0), []
    for step in range(12):
        inputs = {
            "observation": random.normal(size=2).astype(np.float32),
            "camera": random.integers(0, 255, (16, 16, 3), dtype=np.uint8),
            "said": as_bytes(("go Left!", "go right")[step % 2], 24),
        }
        exported, expected = ours.act(inputs), theirs.act(inputs)
        assert exported == pytest.approx(expected, abs=1e-5)
        assert abs(exported[1]) <= 0.5
        acted.append(exported)
    assert np.ptp(acted, axis=0).min() > 1e-4  # it does look


def test_a_whole_turn_more_is_the_same_to_a_policy():
    module = policy_of("mlp of a window")
    arguments = [torch.tensor([[0.2, 1.0]]), *module.blank(1)[1:], *module.initial_carry(1)]
    turned = [torch.tensor([[0.2, 1.0 + 2 * np.pi]], dtype=torch.float32), *arguments[1:]]
    assert module(*arguments)[0].tolist() == [
        pytest.approx(module(*turned)[0][0].tolist(), abs=1e-5)
    ]
