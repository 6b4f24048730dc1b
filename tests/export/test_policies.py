"""The exported file of every kind of policy acts like the policy in torch."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
import yaml

from benchmarks._policies import KINDS, Chooser, Gains, Looking, Sampler, published
from kinemill.errors import BadInput, Blocked
from kinemill.export.policy import describe, write_policy
from kinemill.export.policy_cases import allowed_of, make_cases, random_inputs
from kinemill.runtime import Policy, load
from kinemill.runtime.policy_self_test import play
from kinemill.train.policy_runner import as_policy


@pytest.fixture(scope="module")
def folders(policy_folders):
    return policy_folders


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_does_what_the_policy_in_torch_does(folders, kind):
    module = kind()
    policy = load(folders[kind])
    assert isinstance(policy, Policy)
    cases = make_cases(module, policy.interface, random_inputs(policy.interface, 7, 40, seed=5))
    result = play(policy, cases.inputs)
    assert result.shape == (7, 40, len(policy.actions))
    assert bool((np.abs(result - cases.action) <= cases.allowed).all())
    # What is allowed is rounding: a thousandth of the limits or of the spread would be seen.
    assert float(cases.allowed.max()) < 1e-3 * 10.0 or kind is Chooser


@pytest.mark.parametrize("kind", KINDS)
def test_constants_of_the_file_are_used(folders, kind):
    """ONNX Runtime prints a warning about each that is not."""
    graph = onnx.load(folders[kind] / "policy.onnx").graph
    used = {name for node in graph.node for name in node.input}
    inner = [item.g for node in graph.node for item in node.attribute if item.HasField("g")]
    used |= {name for part in inner for node in part.node for name in node.input}
    assert {constant.name for constant in graph.initializer} <= used


def test_the_gains_of_servos_go_with_the_policy(folders, tmp_path):
    module = Gains()
    servos = {"force": {"kp": 35.0, "kv": 1.3, "limit": None}}
    interface = describe(module, "cart", "d" * 64)
    write_policy(module, interface, tmp_path, more={"servos": servos})
    assert load(tmp_path).servos == servos
    assert yaml.safe_load((tmp_path / "io.yaml").read_text())["servos"] == servos
    assert load(folders[Gains]).servos == {}


def test_memory_travels_from_step_to_step_and_an_episode_begins_without(folders):
    policy = load(folders[Gains])
    first = policy.act([0.0, 0.05, 0.0])
    # by hand: 4 * 0.5 + 2 * 0.5, as the first observation stands for the one before it
    assert first == pytest.approx([3.0], abs=1e-5)
    assert policy.act([0.0, 0.0, 0.0]) == pytest.approx([1.0], abs=1e-5)
    policy.reset()
    assert policy.act([0.0, 0.0, 0.0]) == pytest.approx([0.0], abs=1e-5)


def test_a_batch_of_one_gives_what_it_gives_within_a_batch(folders):
    for kind in KINDS:
        policy = load(folders[kind])
        inputs = random_inputs(policy.interface, 7, 3, seed=2)
        alone = [play(policy, {k: v[[n]] for k, v in inputs.items()}) for n in range(7)]
        expected = make_cases(kind(), policy.interface, inputs)
        off = np.abs(np.concatenate(alone) - expected.action)
        assert bool((off <= expected.allowed).all()), kind


def test_draws_follow_from_the_seed_and_differ_from_step_to_step(folders):
    policy, module = load(folders[Sampler]), as_policy(Sampler())
    runs = []
    for policy_ in (policy, policy, module):
        policy_.reset(seed=4)
        runs.append([float(policy_.act([0.0])[0]) for _ in range(50)])
    assert runs[0] == runs[1]
    assert runs[0] == pytest.approx(runs[2], abs=1e-7)
    assert len(set(runs[0])) == 50
    assert -0.1 <= min(runs[0]) < -0.05 < 0.05 < max(runs[0]) <= 0.1
    policy.reset(seed=5)
    assert float(policy.act([0.0])[0]) not in runs[0]


def test_nan_in_a_row_is_nan_in_that_row_alone_even_of_a_choice(folders):
    for kind in (Gains, Chooser, Sampler):
        policy = load(folders[kind], non_finite="pass")
        inputs = {name: part[:, 0] for name, part in random_inputs(policy.interface, 4, 1).items()}
        inputs["observation"] = inputs["observation"].copy()
        inputs["observation"][2, 0] = np.nan
        action, carry = policy.step(inputs, policy.initial_carry(4))
        for part in (action, *carry):
            assert np.isnan(part[2]).all(), kind
            assert np.isfinite(part[[0, 1, 3]]).all(), kind


def test_the_file_says_what_it_is(folders):
    document = yaml.safe_load((folders[Gains] / "io.yaml").read_text())
    inputs = document["files"]["policy.onnx"]["inputs"]
    assert [item["name"] for item in inputs] == ["observation", "carry_0", "carry_1"]
    assert inputs[0]["units"] == ["m", "rad", "m/s"]
    assert document["channels"][-1] == {
        "name": "force",
        "role": "action",
        "unit": "N",
        "limits": [-10.0, 10.0],
        "kind": None,
    }
    model = onnx.load(folders[Looking] / "policy.onnx")
    kinds = {item.name: item.type.tensor_type.elem_type for item in model.graph.input}
    assert kinds == {"camera": onnx.TensorProto.UINT8, "order": onnx.TensorProto.UINT8}


def test_a_safe_action_is_declared_or_nearest_to_nothing(folders, tmp_path):
    assert load(folders[Gains]).safe_action == pytest.approx([0.0])
    braking = published(Gains(), tmp_path, safe_action={"force": -3.0})
    assert load(braking).safe_action == pytest.approx([-3.0])
    with pytest.raises(BadInput, match=r"safe_action: force: is -11; expected one of force"):
        published(Gains(), tmp_path, safe_action={"force": -11.0})


def test_a_policy_that_gives_nan_is_not_exported(tmp_path):
    broken = Gains()
    with torch.no_grad():
        broken.layer.bias.fill_(torch.nan)
    with pytest.raises(Blocked, match="returns values that are not finite"):
        write_policy(broken, describe(broken, "cart", "d"), tmp_path)


def test_an_action_that_rounding_leaves_by_chance_has_the_tolerance_of_the_others():
    layout = SimpleNamespace(actions=("lift", "grip"))
    interface = SimpleNamespace(layout=layout, limits={}, choices=(0, 0))
    action = np.tile(np.float32([-97.0, 0.5]), (1, 5, 1))
    rounded = action + np.float32([1.5e-5, 0.0]) * np.float32([0, 1, 1, 1, 0])[None, :, None]
    allowed = allowed_of(action, [rounded], interface)
    assert (allowed[..., 0] >= 1e-4).all()
    np.testing.assert_allclose(allowed[..., 1], np.spacing(np.float32(0.5)))
