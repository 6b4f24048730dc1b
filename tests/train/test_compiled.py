"""The compiled training step: the same steps as torch's own, and only where it pays."""

import copy

import pytest
import torch

from kinemill.errors import BadInput
from kinemill.train.compiled import compiled, has_compiler
from kinemill.train.loop import fit
from kinemill.train.optimizer_step import is_to_be_compiled
from kinemill.train.training_state import Training
from tests.train.conftest import CPU, QUIET, assert_resumes, pendulum_task, prepared

needs_compiler = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to compile with")
CLIP = 0.5


class Line(torch.nn.Module):
    """Two layers, one parameter of which stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
        self.fixed = torch.nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x))) * self.fixed


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 3, generator=generator)
    return x, x.sum(1, keepdim=True).sin()


def loss_of(module, data):
    return lambda batch: (module(data[0][batch]) - data[1][batch]).square().mean()


def adamw(module):
    learning = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(learning, lr=1e-2, weight_decay=0.1, fused=True)


def eager(module, loss, optimizer, batch, rate):
    """One step as torch does it."""
    optimizer.param_groups[0]["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    value = loss(batch)
    value.backward()
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), CLIP)
    optimizer.step()
    return value.item(), norm.item()


def in_groups(steps, batches, rates):
    """The losses and norms of compiled steps, in calls of three steps each, the last of fewer."""
    rows = []
    for start in range(0, len(rates), 3):
        part = rates[start : start + 3]
        windows, scalars, results = torch.zeros(3, 8, dtype=int), torch.ones(3, 3), torch.ones(3, 3)
        for row, rate in enumerate(part):
            windows[row] = batches[(start + row) % len(batches)]
            scalars[row] = torch.tensor(steps.scalars(rate, row))
        steps.program(windows, scalars, results, len(part))
        steps.count(len(part))
        rows += results[: len(part), :2].tolist()
    return rows


@needs_compiler
@pytest.mark.ci  # compiles
def test_ten_compiled_steps_are_those_of_torch_and_either_goes_on_from_the_other(data):
    ours, theirs = Line(), Line()
    optimizer, reference = adamw(ours), adamw(theirs)
    loss, expected = loss_of(ours, data), loss_of(theirs, data)
    batches = torch.randperm(64, generator=torch.Generator().manual_seed(2)).view(8, 8)
    # Three steps as torch does them, so that there is a state to go on from.
    for k in range(3):
        eager(ours, loss, optimizer, batches[k], 1e-2)
        eager(theirs, expected, reference, batches[k], 1e-2)
    steps = compiled(ours, loss, optimizer, CLIP)
    rates = [1e-2 / (k + 1) for k in range(10)]
    results = in_groups(steps, batches, rates)
    right = [
        eager(theirs, expected, reference, batches[k % 8], rate) for k, rate in enumerate(rates)
    ]
    # float32 sums in another order
    torch.testing.assert_close(torch.tensor(results), torch.tensor(right), rtol=1e-5, atol=1e-6)
    for parameter, reference_value in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter, reference_value, rtol=1e-5, atol=1e-6)
    trained = copy.deepcopy(ours.state_dict())
    # What the optimizer holds is what the compiled steps left, so torch can go on with it.
    state = copy.deepcopy(optimizer.state_dict())
    assert state["state"][0]["step"] == 13
    resumed = adamw(ours)
    resumed.load_state_dict(state)
    eager(ours, loss, resumed, batches[3], 1e-3)
    eager(theirs, expected, reference, batches[3], 1e-3)
    torch.testing.assert_close(ours.first.weight, theirs.first.weight, rtol=1e-5, atol=1e-6)
    assert ours.fixed.item() == 1.0
    # A step that is not finite, and every step after it, leaves the weights unchanged.
    ours.load_state_dict(trained)
    data[0][batches[0, 3]] = torch.nan
    failed, after = torch.tensor(in_groups(steps, batches, [1e-2, 1e-2])).isfinite().tolist()
    assert not all(failed)
    assert all(after)
    assert all(torch.equal(value, trained[name]) for name, value in ours.state_dict().items())


@needs_compiler
@pytest.mark.parametrize(
    ("settings", "is_compiled"),
    [
        ({"steps": 20_000}, True),
        ({"steps": 19_999}, False),
        ({"steps": 20_000, "compile": "off"}, False),
        ({"steps": 20_000, "horizon_schedule": {"steps": 9}}, False),
        ({"steps": 60, "compile": "on"}, True),
    ],
)
def test_auto_compiles_long_trainings_with_equal_steps(packed, settings, is_compiled):
    task = pendulum_task(**settings)
    module, objective = task.learn.prepare(task, packed, packed, CPU)
    training = Training(module, task.learn.optimizer.build(module.parameters()), None, None)
    assert is_to_be_compiled(training, objective, task.learn) is is_compiled


@pytest.mark.slow  # compiles three times
@needs_compiler
def test_a_killed_compiled_training_goes_on_bit_for_bit(packed, tmp_path):
    task = pendulum_task(patience=None, compile="on")
    state, *_ = assert_resumes(lambda: prepared(task, packed), tmp_path, 50)
    assert state.compiled


def test_what_cannot_be_compiled_is_refused_where_it_is_asked_for(packed, tmp_path):
    for changes in (
        {"ensemble": 2},
        {"horizon_schedule": {"steps": 9}},
        {"optimizer": {"type": "sgd"}},
        {"amp": "bf16"},
        {"accumulate": 2},
    ):
        task = pendulum_task(compile="on", **changes)
        module, objective = task.learn.prepare(task, packed, packed, CPU)
        with pytest.raises(BadInput, match="cannot compile an update"):
            fit(module, objective, task.learn, tmp_path, QUIET)
