"""Behavior cloning: what is learned, resumed, exported; sampling and chunks inside the graph."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from kinemill.errors import BadInput
from kinemill.export.policy import describe, write_policy
from kinemill.models.heads import HEADS
from kinemill.policies.imitation.chunks import Chunk
from kinemill.runtime import load
from kinemill.store import get_or_build
from kinemill.store.home import Home
from kinemill.task.protocols import WarmStart
from kinemill.train import warm_start
from kinemill.train.eval_callback import load_callback
from kinemill.train.loop import fit
from kinemill.train.policy_runner import as_policy
from tests.policies.imitation.cloning import demonstrations, policy_task
from tests.train.conftest import CPU, QUIET, assert_resumes

MODELS = {
    "mlp": {"type": "mlp", "hidden_sizes": [16]},
    "gru": {"type": "gru", "hidden_size": 8},
    "lstm": {"type": "lstm", "hidden_size": 8},
    "transformer": {"type": "transformer", "size": 8, "heads": 2, "layers": 1},
    "linear": {"type": "linear"},
}
SMALL = {"gaussian_mixture": {"components": 3, "noise": 0.5}}
SMALL |= {name: {"steps": 2, "width": 16, "condition": 8} for name in ("diffusion", "flow")}


def made(data=None, **learn):
    task, data = policy_task(**learn), data or demonstrations()
    return task, *task.learn.prepare(task, data, data, CPU)


@pytest.mark.parametrize("model", MODELS)
def test_acting_row_by_row_is_what_was_trained_on_windows(model):
    """At each row of an episode the first of it included, to rounding."""
    torch.manual_seed(0)
    data = demonstrations(rows=9)
    _, module, _ = made(data, model=MODELS[model], seq_len=9 if model in ("gru", "lstm") else 3)
    module.eval()
    inputs = torch.from_numpy(data.observed(module.layout.observation)[:9])
    rows = torch.arange(9)
    with torch.no_grad():
        carry, acted = module.initial_carry(1), []
        for k in range(9):
            action, *carry = module(inputs[k : k + 1], *carry)
            acted.append(action)
        is_known = (rows[-1:, None] if module.memory.carried else rows[:, None]) + torch.arange(
            1 - module.memory.rows, 1
        )
        there = (is_known >= 0).float()
        features = module.see({"observation": inputs})[is_known.clamp(min=0)]
        result = module.head(module.conditions(features, there).flatten(0, 1), None)[:, 0]
    expected = module.limited(result * module.action_std + module.action_mean)
    assert torch.cat(acted).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_policy_learns_what_was_demonstrated_and_keeps_limits(tmp_path):
    task, module, objective = made(
        steps=400, batch_size=64, eval_every=100, compile="off", optimizer={"lr": 3e-3}
    )
    state, best = fit(module, objective, task.learn, tmp_path, QUIET)
    errors = [value for _, value in state.history["validation/action"]]
    assert errors[-1] < 0.2  # spreads; untrained it is about 1
    module.load_state_dict(best)
    policy = as_policy(module)
    policy.reset(0)
    torque = policy.act([np.pi / 2, 1.0])
    assert torque == pytest.approx([0.5], abs=0.2)
    assert abs(policy.act([1.5, 80.0])[0]) <= 2.0


@pytest.mark.parametrize(
    "learn",
    [
        {"head": {"type": "deterministic"}, "ema": 0.9},
        {"head": {"type": "flow", **SMALL["flow"]}, "ema": 0.9},
        {"model": {"type": "mlp", "hidden_sizes": [16], "dropout": 0.3}},
    ],
)
def test_a_killed_cloning_goes_on_bit_for_bit(learn, tmp_path):
    """Stopped at step 30 with a checkpoint at 20: the same weights, averages and draws after."""

    def prepare():
        task, module, objective = made(patience=None, **learn)
        return module, objective, task.learn

    assert_resumes(prepare, tmp_path)


@pytest.mark.slow  # exports four times
@pytest.mark.parametrize("head", list(HEADS))
def test_every_head_trains_and_acts_alike_in_torch_and_onnx_runtime(head, tmp_path):
    """To 1e-4 of the action's spread over 20 steps, from two seeds; another seed differs."""
    chunk = {"length": 4, "n_action_steps": 2, "ensemble": 0.1}
    settings = {"type": head, **SMALL.get(head, {})}
    task, module, objective = made(head=settings, chunk=chunk, seq_len=2)
    state, _ = fit(module, objective, task.learn, tmp_path / "training", QUIET)
    losses = [value for _, value in state.history["train/loss"]]
    assert losses[-1] < losses[0]
    (tmp_path / "policy").mkdir()
    write_policy(module.eval(), describe(module, "arm", "d"), tmp_path / "policy")
    ours, theirs = as_policy(module), load(tmp_path / "policy")
    random, acted = np.random.default_rng(0), {}
    for seed in (1, 2):
        ours.reset(seed)
        theirs.reset(seed)
        for inputs in random.normal(size=(20, 2)).astype(np.float32):
            array, changed = ours.act(inputs), theirs.act(inputs)
            assert array == pytest.approx(changed, abs=1e-4)
        ours.reset(seed)
        acted[seed] = ours.act([0.5, 0.5])[0]
    assert (acted[1] != acted[2]) == module.layout.seeded


def test_a_number_that_is_none_spoils_its_row_alone_even_from_the_queue():
    """NaN arrives between two plans, where the action comes from the queue."""
    _, module, _ = made(chunk={"length": 4, "n_action_steps": 4})
    inputs, carry = torch.zeros(3, 2), module.initial_carry(3)
    _, *carry = module(inputs, *carry)
    inputs[1, 0] = float("nan")
    action, *carry = module(inputs, *carry)
    assert torch.isnan(action).flatten().tolist() == [False, True, False]
    assert all(
        torch.isnan(array[1]).all() and not torch.isnan(array[[0, 2]]).any() for array in carry
    )


def plans(count, length, n_action_steps, ensemble):
    """Actions of a queue when the plan made at row k says 10 k + j for j rows later."""
    chunk = Chunk(length=length, n_action_steps=n_action_steps, ensemble=ensemble)
    queue, result = torch.zeros(1, *chunk.queue_shape(1)), []
    for row in range(count):
        plan = 10.0 * row + torch.arange(float(length)).view(1, length, 1)
        action, queue = chunk.join(plan, torch.tensor([[float(row)]]), queue)
        result.append(float(action))
    return result


def test_between_two_plans_actions_come_from_the_queue():
    assert plans(6, 3, 3, None) == [0, 1, 2, 30, 31, 32]
    assert plans(6, 4, 2, None) == [0, 1, 20, 21, 40, 41]


def test_overlapping_plans_are_averaged_oldest_first():
    """Zhao et al. 2023: w_i = exp(-m i), i = 0 for the oldest plan of a moment."""
    m, length = 0.5, 3
    result = plans(5, length, 1, m)
    for row in range(5):
        oldest = max(0, row - length + 1)
        said = [10.0 * k + (row - k) for k in range(oldest, row + 1)]
        weights = np.exp(-m * np.arange(len(said)))
        assert result[row] == pytest.approx(np.average(said, weights=weights), rel=1e-6)


def test_a_plan_that_ends_too_soon_is_refused():
    with pytest.raises(ValueError, match="does not last for 4 rows"):
        Chunk(length=3, n_action_steps=4)


def test_what_is_filled_in_after_the_end_is_not_learned():
    """A chunk at the last row counts its first action alone: the rest may be anything."""
    data = demonstrations(rows=3, runs=1)
    _, module, objective = made(data, chunk={"length": 3}, batch_size=3)
    last = objective.loss(torch.tensor([[2]]), 0)
    condition = module.see(
        {"observation": torch.from_numpy(data.observed(["angle", "speed"])[2:3])}
    )
    first = module.head(module.conditions(condition[:, None], torch.ones(1, 1))[:, 0], None)[:, 0]
    expected = module.scaled(torch.from_numpy(np.array(data.actions[2:3])))
    assert last.item() == pytest.approx((first - expected).square().mean().item(), rel=1e-5)


def test_an_action_that_is_seen_is_the_one_of_the_row_before():
    data = demonstrations(rows=5, runs=2)
    inputs = data.observed(["torque"])[:, 0]
    torque = data.actions[:, 0]
    assert inputs[:5].tolist() == [torque[0], *torque[:4]]
    assert inputs[5] == torque[5]  # another episode


def test_a_look_of_ones_own_is_given_what_acts(tmp_path):
    hook = tmp_path / "look.py"
    hook.write_text(
        "def swing(policy, task):\n"
        "    policy.reset(0)\n"
        "    return {'torque': float(policy.act([0.0, 0.0])[0])}\n"
    )
    task, module, objective = made(eval_callback=f"{hook}:swing")
    watch = load_callback(task.learn.eval_callback, task)
    state, _ = fit(module, objective, task.learn, tmp_path / "run", QUIET, watch)
    assert len(state.history["eval/torque"]) == 2
    assert abs(state.history["eval/torque"][-1][1]) <= 2.0


def test_channels_that_cannot_be_seen_are_named():
    with pytest.raises(BadInput, match="has no height"):
        demonstrations().observed(["height"])
    problems = policy_task(observations=["angel"]).learn.problems(policy_task().channels)
    assert "did you mean 'angle'?" in problems[0][1]


@pytest.mark.parametrize(
    "learn",
    [
        {"head": {"type": "flow", **SMALL["flow"]}},
        {"model": MODELS["gru"], "seq_len": 12},  # of which the first windows lack some rows
    ],
    ids=["random", "rows that are not there"],
)
def test_the_loss_of_a_part_of_a_batch_adds_up(learn):
    """Four sequences at once, and one after the other: the same mean, noise and all."""
    _, _, objective = made(**learn)
    batch = torch.tensor([[0, 3, 27, 81]])
    whole = float(objective.loss(batch, 5).detach())
    parts = [float(objective.loss(batch[:, [k]], 5, (k, 4)).detach()) for k in range(4)]
    assert np.mean(parts) == pytest.approx(whole, rel=1e-5)


def test_a_policy_starts_from_another_and_refuses_one_that_sees_something_else(tmp_path):
    task, module, objective = made()
    fit(module, objective, task.learn, tmp_path, QUIET)
    data = demonstrations()

    def publish(folder):
        about = warm_start.description_of(task, (data, data), "d")
        (folder / warm_start.DESCRIPTION).write_text(json.dumps(about))
        save_file(module.state_dict(), folder / warm_start.WEIGHTS)
        return {}

    home = Home(tmp_path / "home")
    folder = home.root / get_or_build(home, "model", "arm", {"of": "tests"}, publish).ref.path
    is_known = WarmStart(str(folder), "x", str(folder))
    second, _ = task.learn.prepare(task, data, data, CPU, is_known)
    for name, value in second.state_dict().items():
        assert torch.equal(value, module.state_dict()[name]), name
    changed = policy_task(observations=["speed"])
    with pytest.raises(BadInput, match="other inputs or outputs"):
        changed.learn.prepare(changed, data, data, CPU, is_known)
    wide = policy_task(model={"type": "mlp", "hidden_sizes": [17]})
    with pytest.raises(BadInput, match="another architecture"):
        wide.learn.prepare(wide, data, data, CPU, is_known)


def test_networks_learn_in_low_precision_and_actions_stay_in_float32(tmp_path):
    task, module, objective = made(amp="bf16", steps=20)
    state, _ = fit(module, objective, task.learn, tmp_path, QUIET)
    losses = [value for _, value in state.history["train/loss"]]
    assert losses[-1] < losses[0]
    action, *carry = module(torch.zeros(1, 2), *module.initial_carry(1))
    assert {array.dtype for array in (action, *carry)} == {torch.float32}


def test_epochs_are_passes_over_the_sequences_in_whole_batches(tmp_path):
    task, module, objective = made(epochs=3, steps=None, batch_size=64, compile="off")
    state, _ = fit(module, objective, task.learn, tmp_path, QUIET)
    assert state.step == 3 * (objective.windows // 64) > 0


@pytest.mark.parametrize("chunk", [{"length": 1}, {"length": 4, "n_action_steps": 2}])
def test_a_diffusion_head_gives_numbers_for_batches_of_any_size(chunk, tmp_path):
    """From a batch of one, of what is left of an epoch, and acting."""
    data = demonstrations(rows=12, runs=3)  # 36 sequences are a batch of 16, of 16, and of 4
    head = {"type": "diffusion", **SMALL["diffusion"]}
    task, module, objective = made(data, head=head, chunk=chunk, steps=6, eval_every=3)
    state, _ = fit(module, objective, task.learn, tmp_path, QUIET)
    assert np.isfinite([value for _, value in state.history["train/loss"]]).all()
    assert torch.isfinite(objective.loss(torch.tensor([[0]]), 0))
    policy = as_policy(module)
    policy.reset(3)
    assert np.isfinite([policy.act([0.1 * k, 0.0]) for k in range(5)]).all()
