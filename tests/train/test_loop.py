"""Options of a training: averaged weights, micro-batches, low precision."""

import copy
import os
from dataclasses import replace

import pytest
import torch

from kinemill.errors import BadInput, TrainingFailed
from kinemill.train.amp import in_precision, lowered
from kinemill.train.checkpoint import read_checkpoint
from kinemill.train.devices import determined, pick_device, single_thread
from kinemill.train.ema import Average
from kinemill.train.loop import fit
from tests.train.conftest import CPU, QUIET, ready

STEADY = {"type": "constant", "warmup_steps": 0}


def trained(packed, folder, **settings):
    module, objective, learn = ready(packed, **settings)
    state, best = fit(module, objective, learn, folder, QUIET)
    return module.state_dict(), best, state


def same(found, expected):
    return all(torch.equal(value, expected[name]) for name, value in found.items())


def nearly(found, expected, tolerance):
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=tolerance, atol=tolerance)


def test_an_average_is_the_sum_of_what_was_weighted_by_hand():
    """Σ β^(k-i) w_i (1 - β) / (1 - β^k): of the values 1, 2 and 4 by hand."""
    line = torch.nn.Linear(1, 1, bias=False)
    average, decay = Average(line, 0.5), 0.5
    for done, value in enumerate((1.0, 2.0, 4.0), start=1):
        torch.nn.init.constant_(line.weight, value)
        average.update(done)
    by_hand = (decay**2 * 1.0 + decay * 2.0 + 4.0) * (1 - decay) / (1 - decay**3)
    assert average.values["weight"].item() == pytest.approx(by_hand, rel=1e-6)
    with average.applied():
        assert line.weight.item() == pytest.approx(by_hand, rel=1e-6)
    assert line.weight.item() == 4.0


def test_averaged_weights_are_those_of_the_steps_and_what_is_judged_and_kept(packed, tmp_path):
    module, objective, learn = ready(packed, ema=0.9, steps=4, eval_every=2)
    inputs, evaluated_ = [], []

    def loss(*arguments):
        inputs.append(copy.deepcopy(module.state_dict()))
        return objective.loss(*arguments)

    def evaluate():
        evaluated_.append(copy.deepcopy(module.state_dict()))
        return objective.evaluate()

    spied = replace(objective, loss=loss, evaluate=evaluate)
    _, best = fit(module, spied, learn, tmp_path, QUIET)
    after = [*inputs[1:], module.state_dict()]  # the weights after each of four steps
    for name, _ in module.named_parameters():
        for count, result in ((2, evaluated_[0][name]), (4, evaluated_[1][name])):
            weights = [0.9 ** (count - i) for i in range(1, count + 1)]
            steps = [w * after[i][name] for i, w in enumerate(weights)]
            torch.testing.assert_close(result, torch.stack(steps).sum(0) / sum(weights))
    assert same(best, evaluated_[1])  # the errors fall, so the last ones judged are the best
    assert not same(module.state_dict(), evaluated_[1])  # its own weights were put back


@pytest.mark.parametrize("clip", [None, 0.05])
def test_micro_batches_learn_what_one_batch_as_large_does(packed, tmp_path, clip):
    """In float32 sums in another order differ by some 1e-7, and that grows over 20 steps."""
    settings = {"optimizer": {"type": "sgd", "lr": 0.05}, "schedule": STEADY, "steps": 20}
    settings["grad_clip"] = clip
    large, _, whole = trained(packed, tmp_path / "large", batch_size=96, **settings)
    small, _, parts = trained(packed, tmp_path / "small", batch_size=32, accumulate=3, **settings)
    nearly(small, large, 2e-5)
    smaller, *_ = trained(packed, tmp_path / "other", batch_size=32, **settings)
    assert max((smaller[name] - large[name]).abs().max() for name in large) > 1e-3
    for name in ("train/loss", "validation/multi_step"):
        expected = [value for _, value in whole.history[name]]
        assert [value for _, value in parts.history[name]] == pytest.approx(expected, rel=1e-4)


def test_micro_batches_of_an_ensemble_with_noise_draw_what_the_batch_does(packed, tmp_path):
    settings = {
        "ensemble": 2,
        "loss": "gaussian",
        "noise": {"angle": 0.1},
        "steps": 20,
        "optimizer": {"type": "sgd", "lr": 1e-3},
    }
    large, *_ = trained(packed, tmp_path / "large", batch_size=30, **settings)
    small, *_ = trained(packed, tmp_path / "small", batch_size=10, accumulate=3, **settings)
    nearly(small, large, 1e-4)


def test_micro_batches_may_be_of_unequal_size(packed, tmp_path):
    """Five windows in 3 parts are two, two and one; their mean is weighted by that."""
    settings = {"optimizer": {"type": "sgd", "lr": 0.05}, "steps": 5, "schedule": STEADY}

    def of_five(folder, **more):
        module, objective, learn = ready(packed, **settings, **more)
        fit(module, replace(objective, windows=5), learn, tmp_path / folder, QUIET)
        return module.state_dict()

    large = of_five("large", batch_size=5)
    nearly(of_five("small", batch_size=2, accumulate=3), large, 1e-5)


def test_only_networks_are_lowered_and_validation_is_whole(packed, tmp_path):
    module, objective, learn = ready(packed, amp="bf16", steps=3, eval_every=3)
    inputs, network = {"loss": set(), "evaluate": set()}, module.network.forward
    now = "loss"

    def forward(*arguments):
        result = network(*arguments)
        inputs[now].add(result[0].dtype)
        return result

    def evaluate():
        nonlocal now
        now = "evaluate"
        return objective.evaluate()

    module.network.forward = forward
    fit(module, replace(objective, evaluate=evaluate), learn, tmp_path, QUIET)
    assert inputs == {"loss": {torch.bfloat16}, "evaluate": {torch.float32}}
    # What comes after the network is in float32: relations with it could not be as near as this.
    states = torch.tensor([[[3.14159, 1.0]] * 3])
    module.network.forward = lambda features, *carry: (torch.zeros(1, 1), *carry)
    actions = torch.zeros(1, 1, 1)
    whole = module.rollout(states, torch.zeros(1, 2, 1), actions)
    with in_precision(lowered(module, "bf16"), "bf16", CPU):
        low = module.rollout(states, torch.zeros(1, 2, 1), actions)
    torch.testing.assert_close(low, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"type": "gru", "hidden_size": 8}},
        {"ensemble": 2, "loss": "gaussian"},
        {"integrator": "rk4"},
    ],
)
def test_low_precision_learns_nearly_the_same(packed, tmp_path, changes):
    settings = {"steps": 20, "eval_every": 20, "schedule": {"warmup_steps": 5}, **changes}
    *_, exact = trained(packed, tmp_path / "exact", **settings)
    for amp in ("bf16", "fp16"):
        *_, low = trained(packed, tmp_path / amp, amp=amp, **settings)
        # bfloat16 has 8 bits, so gradients are off by some 0.4 % each.
        assert low.best == pytest.approx(exact.best, rel=0.05)
        assert low.best != exact.best


def test_a_scaled_gradient_that_overflows_costs_a_step_and_halves_the_scale(packed, tmp_path):
    module, objective, learn = ready(packed, amp="fp16", steps=2, save_every=1, eval_every=2)
    original = copy.deepcopy(module.state_dict())
    huge = replace(objective, loss=lambda *arguments: objective.loss(*arguments) * 1e35)
    with pytest.raises(TrainingFailed):  # a scale of 65536 = 2^16 comes down to 1 in 16 steps
        fit(module, huge, learn.model_copy(update={"steps": 40}), tmp_path / "cut", QUIET)
    tensors, state = read_checkpoint(tmp_path / "cut")
    assert (state["step"], state["scaler"]["scale"]) == (16, 1.0)
    assert same(tensors["weights"], original)


def test_low_precision_is_refused_where_it_would_round_physics(packed, tmp_path):
    module, objective, learn = ready(packed, amp="bf16")
    module.network.physical = True
    with pytest.raises(BadInput, match=r"learn\.amp: bf16: the model works in physical units"):
        fit(module, objective, learn, tmp_path, QUIET)


@pytest.mark.parametrize(
    ("cuda", "mps", "result"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_is_the_first_device_that_there_is(monkeypatch, cuda, mps, result):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device("auto").type == result


def test_deterministic_algorithms_are_asked_for_and_given_back(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with determined(on=True):
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.backends.cudnn.deterministic
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    assert not torch.are_deterministic_algorithms_enabled()
    with determined(on=False):
        assert not torch.are_deterministic_algorithms_enabled()


def test_a_single_thread_lasts_as_long_as_its_context():
    count = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with single_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(count)
