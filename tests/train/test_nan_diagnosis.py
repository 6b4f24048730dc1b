"""Non-finite values and out-of-memory errors stop a run and report location and fix."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.errors import Diverged, TrainingFailed
from kinemill.task.protocols import NullReporter
from kinemill.train.checkpoint import checkpoints, read_checkpoint
from kinemill.train.compiled import has_compiler
from kinemill.train.loop import fit
from kinemill.train.memory import is_out_of_memory, peaks
from tests.train.conftest import CPU, QUIET, Recorder, ready

ROWS, WINDOW = 150, 7  # of an episode, of a window: history 3, horizon 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("others", [{}, {"ensemble": 2, "loss": "gaussian"}, {"accumulate": 3}])
def test_a_bad_number_in_the_data_is_named_by_episode_row_and_channel(
    packed, tmp_path, bad, others
):
    values = packed.values.copy()
    values[2 * ROWS + 40, 1] = bad  # row 40 of the third episode, velocity
    broken = replace(packed, segments=[values])
    module, objective, learn = ready(packed, broken, save_every=1, batch_size=16, **others)
    with pytest.raises(TrainingFailed) as caught:
        fit(module, objective, learn, tmp_path, QUIET)
    text = str(caught.value)
    step, row = (int(result) for result in re.search(r"step (\d+), .*? row (\d+) ", text).groups())
    assert f"channel velocity, window from row {row} of episode train2.csv: loss" in text
    assert 40 - WINDOW < row <= 40
    assert f"the data are {bad} in row {40 - row} of the window" in text
    assert "kinemill data check" in text
    assert "learn.optimizer.lr" not in text
    # The checkpoint before it is as it was, and so is the module.
    if step:
        assert read_checkpoint(tmp_path)[1]["step"] == step
    else:
        assert checkpoints(tmp_path) == []
    assert all(value.isfinite().all() for value in module.parameters())


def absurd(packed, **settings):
    settings = {"schedule": {"type": "constant", "warmup_steps": 0}} | settings
    module, objective, learn = ready(packed, save_every=1, **settings)
    optimizer = learn.optimizer.model_copy(update={"lr": 1e30})  # more than its bound
    return module, objective, learn.model_copy(update={"optimizer": optimizer})


def test_the_error_suggests_to_lower_an_absurd_rate(packed, tmp_path):
    module, objective, learn = absurd(packed)
    with pytest.raises(
        TrainingFailed,
        match=r"step 1, channel (angle|velocity), window from row \d+ of episode train\d\.csv: "
        r"loss (inf|nan), gradient norm (inf|nan): its prediction is not finite after \d of 4 steps"
        r"; expected finite numbers; lower learn\.optimizer\.lr \(1e\+30\) or "
        r"learn\.horizon \(4\), or check the data of that window for extreme values",
    ):
        fit(module, objective, learn, tmp_path, QUIET)
    assert read_checkpoint(tmp_path)[1]["step"] == 1


@pytest.mark.parametrize("warmup", [100, 1000])  # the rate at step 1: 1 % and 0.1 % of lr
def test_the_rate_of_a_warm_up_is_a_cause(packed, tmp_path, warmup):
    schedule = {"type": "constant", "warmup_steps": warmup}
    module, objective, learn = absurd(packed, schedule=schedule)
    message = r"step 1, .*; lower learn\.optimizer\.lr \(1e\+30\) or "
    with pytest.raises(Diverged, match=message) as it:
        fit(module, objective, learn, tmp_path, QUIET)
    assert "is small" not in str(it.value)


@pytest.mark.parametrize(
    ("step", "why"), [(50, r"the rate of 1e-09 is small"), (0, "the weights are still initial")]
)
def test_a_rate_that_cannot_be_the_cause_is_not_blamed(packed, tmp_path, step, why):
    settings = {
        "optimizer": {"lr": 1e-3},
        "schedule": {"type": "cosine_warmup", "min_lr": 1e-9, "warmup_steps": 0, "decay_steps": 40},
    }
    module, objective, learn = ready(packed, **settings)

    def loss(which, at, *position):
        return objective.loss(which, at, *position) * (np.inf if at >= step else 1.0)

    advice = rf"lower learn\.horizon \(4\), or choose a smaller learn\.model: {why}, or check"
    with pytest.raises(Diverged, match=rf"step {step}.*; {advice} the data") as it:
        fit(module, replace(objective, loss=loss), learn, tmp_path, QUIET)
    assert "learn.optimizer.lr" not in str(it.value)


@pytest.mark.slow  # compiles
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to compile with")
def test_a_compiled_step_that_is_not_finite_leaves_the_weights_and_is_reported(packed, tmp_path):
    module, objective, learn = absurd(packed, compile="on")
    with pytest.raises(TrainingFailed, match=r"step 1, channel \w+, window from row \d+ of"):
        fit(module, objective, learn, tmp_path, QUIET)
    tensors, state = read_checkpoint(tmp_path)
    assert state["step"] == 1
    for name, value in module.state_dict().items():
        assert torch.equal(value, tensors["weights"][name]), name


def test_a_gradient_that_overflows_where_the_loss_does_not_is_found_too(packed, tmp_path):
    """The error of one window counts as the root of nearly nothing: its slope is infinite."""
    module, objective, learn = ready(packed, batch_size=64)
    guilty = 137

    def loss(which, step, *position):
        own = which[which == guilty]
        root = (objective.loss(own[None], step) * 0.0).sqrt() if len(own) else 0.0
        return objective.loss(which, step, *position) + root

    with pytest.raises(TrainingFailed, match=r"gradient norm nan: its term of the loss is") as it:
        fit(module, replace(objective, loss=loss), learn, tmp_path, QUIET)
    assert f"window from row {guilty} of episode train0.csv" in str(it.value)


class Full(torch.nn.Module):
    """A network on a machine that holds so many rows at once."""

    def __init__(self, network, rows, error):
        super().__init__()
        self.network, self.rows, self.error = network, rows, error
        self.carry_shapes = network.carry_shapes

    def warm_up(self, *arguments):
        return self.network.warm_up(*arguments)

    def forward(self, features, *carry):
        if self.training and len(features) > self.rows:
            raise self.error
        return self.network(features, *carry)


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 12 bytes"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_says_what_did_not_fit_and_what_to_change(packed, tmp_path, error):
    module, objective, learn = ready(packed, batch_size=64)
    module.network = Full(module.network, 40, error)
    parameters = sum(value.numel() for value in module.parameters())
    with pytest.raises(
        TrainingFailed,
        match=rf"step 0: out of memory with 64 windows per micro-batch \(history 3 \+ horizon 4\), "
        rf"{parameters} parameters on cpu; \d+\.\d\d of \d+\.\d\d GiB of the host are free; .*"
        r"halve learn\.batch_size and double learn\.accumulate",
    ):
        fit(module, objective, learn, tmp_path, QUIET)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_the_most_memory_is_recorded_but_not_in_the_curves(packed, tmp_path):
    module, objective, learn = ready(packed)
    messages = Recorder()
    state, _ = fit(module, objective, learn, tmp_path, (messages, NullReporter()))
    # torch alone takes 0.1 GiB, and this machine has not a million.
    _, peak = messages.metrics["memory/host_peak_gib"][-1]
    assert 0.1 < peak <= peaks(CPU)["memory/host_peak_gib"] < 1e6
    assert not any(name.startswith("memory") for name in state.history)
