"""Steps that do not wait for the device: the same numbers as steps that do, on any device."""

import copy
import gc
from dataclasses import replace

import pytest
import torch

from kinemill.errors import BadInput, TrainingFailed
from kinemill.task.protocols import NullReporter
from kinemill.train import device_steps
from kinemill.train.amp import scaler_of
from kinemill.train.compiled import has_compiler
from kinemill.train.loop import batches_of, fit
from kinemill.train.nan_diagnosis import NotFinite
from kinemill.train.noise import Draws, KeyedNoise
from kinemill.train.optimizer_step import Steps, one_by_one, reason_against_graph
from kinemill.train.training_state import State, Training
from tests.policies.imitation.test_ddp_policies import parts_of
from tests.train.conftest import (
    CPU,
    QUIET,
    Recorder,
    assert_resumes,
    pendulum_task,
    prepared,
    ready,
)

pytestmark = pytest.mark.ci

DROPPED = {"model": {"type": "mlp", "hidden_sizes": [16], "dropout": 0.2}}
CASES = {
    "adamw": {},
    "adam": {"optimizer": {"type": "adam", "weight_decay": 0.1}},
    "sgd": {"optimizer": {"type": "sgd", "nesterov": True}},
    "bf16": {"amp": "bf16"},
    "fp16": {"amp": "fp16", **DROPPED},
    "ensemble": {"ensemble": 3, **DROPPED},
    "likelihood": {"loss": "gaussian", "grad_clip": 0.1},
    "noise in micro-batches": {"noise": {"velocity": 0.1}, "accumulate": 3, "batch_size": 11},
    "horizon schedule": {"noise": {"velocity": 0.1}, "horizon_schedule": {"steps": 20}},
    "warm-up": {"schedule": {"type": "cosine_warmup"}},
}


def training_of(packed, **learn):
    module, objective, settings = ready(packed, **learn)
    optimizer = settings.optimizer.build(p for p in module.parameters() if p.requires_grad)
    state, scaler = State(pieces=settings.accumulate), scaler_of(settings.amp, CPU)
    return settings, Training(module, optimizer, None, scaler, state), objective


@pytest.fixture
def as_on_gpu(monkeypatch):
    """Let a training on the CPU make its steps as one on a GPU does."""
    monkeypatch.setattr(Steps, "_is_for_device", lambda _: True)


@pytest.fixture
def in_groups(monkeypatch):
    """Let a training on the CPU group its steps as CUDA graphs do."""

    def can_be_graph(self):
        return reason_against_graph(self.training, self.objective, self.learn) is None

    monkeypatch.setattr(Steps, "_can_be_graph", can_be_graph)


@pytest.mark.parametrize("case", CASES)
def test_losses_weights_and_curves_are_those_of_steps_that_wait(
    case, packed, tmp_path, as_on_gpu, request
):
    learn = {"steps": 30, "log_every": 7} | CASES[case]

    def train(folder):
        module, objective, settings = ready(packed, **learn)
        state, best = fit(module, objective, settings, tmp_path / folder, QUIET)
        return state, best, module.state_dict()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Steps, "_is_for_device", lambda _: False)
        waiting = train("waiting")
    deferred = train("deferred")
    request.getfixturevalue("in_groups")
    for state, *modules in (deferred, train("grouped")):
        assert state.history == waiting[0].history
        assert len(state.history["train/loss"]) == 5  # every 7 of 30 steps, and the last
        for module, weights in zip(modules, waiting[1:], strict=True):
            assert all(torch.equal(value, weights[name]) for name, value in module.items())


@pytest.mark.parametrize("kind", ["plain", "recurrent", "flow", "diffusion", "motion"])
def test_policies_learn_the_same_in_groups(kind, tmp_path, as_on_gpu, in_groups):
    def train(folder):
        task, (module, objective) = parts_of(kind)
        state, best = fit(module, objective, task.learn, tmp_path / folder, (NullReporter(), notes))
        return state.history, best

    notes = Recorder()
    grouped = train("grouped")
    assert notes.messages[0] == "steps are CUDA graphs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Steps, "_is_for_device", lambda _: False)
        waiting = train("waiting")
    assert grouped[0] == waiting[0]
    assert all(torch.equal(value, waiting[1][name]) for name, value in grouped[1].items())


def test_noise_that_differs_from_that_of_the_first_step_is_refused():
    draws = Draws(CPU)

    def step(number, *shape):
        return KeyedNoise(3, number, CPU).normal(*shape)

    with draws.recording():
        step(0, 2, 3)
    draws.fill([5, 6])
    expected = step(6, 2, 3)
    with draws.supplying(1):
        assert torch.equal(step(0, 2, 3), expected)
        with pytest.raises(RuntimeError, match="the first step did not"):
            step(0, 2, 3)
    with draws.supplying(0), pytest.raises(RuntimeError, match="the first step did not"):
        step(0, 2, 4)


def test_no_garbage_is_collected_in_a_capture():
    """Freeing the graph of an earlier training would end the capture."""
    with device_steps.without_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_killed_training_goes_on_bit_for_bit(packed, tmp_path, as_on_gpu, in_groups):
    settings = {"ema": 0.9, "save_every": 15, **CASES["fp16"]}
    assert_resumes(lambda: ready(packed, **settings), tmp_path, 40)


@pytest.mark.parametrize("learn", [{}, {"amp": "fp16"}], ids=["float32", "fp16"])
def test_a_loss_that_is_not_finite_freezes_the_weights_until_it_is_noticed(packed, learn):
    learn, training, objective = training_of(packed, **learn)
    batches = batches_of(objective, learn)
    broken = int(batches.at(5)[0, 3])
    steps = device_steps.DeviceSteps(training, spoiled(objective, broken), learn, batches)
    for step in range(5):
        steps([step])
    assert len(steps.collect()) == 5
    weights_before = copy.deepcopy(training.module.state_dict())
    for step in range(5, 12):
        steps([step])
    with pytest.raises(NotFinite) as fault:
        steps.collect()
    assert fault.value.step == 5
    assert fault.value.loss != fault.value.loss  # NaN
    after = training.module.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in weights_before.items())


def spoiled(objective, window):
    """Return an objective whose loss is NaN for batches with a window."""

    def loss(which, *rest):
        factor = torch.where((which == window).any(), torch.nan, 1.0)
        return objective.loss(which, *rest) * factor

    return replace(objective, loss=loss)


def test_the_device_keeps_more_losses_than_its_buffer_holds(packed, monkeypatch):
    monkeypatch.setattr(device_steps, "SPAN", 4)
    learn, training, objective = training_of(packed)
    begin = copy.deepcopy(training)
    steps = device_steps.DeviceSteps(training, objective, learn, batches_of(objective, learn))
    for step in range(11):
        steps([step])
    losses = steps.collect()
    reference, objective = training_of(packed)[1:]
    reference.module.load_state_dict(begin.module.state_dict())
    update, batches = one_by_one(reference, objective, learn), batches_of(objective, learn)
    assert losses == [update(batches.at(step), step) for step in range(11)]


def test_what_cannot_be_a_graph_is_named(packed):
    for settings, reason in (
        ({"horizon_schedule": {"steps": 9}}, "changes from step to step"),
        ({"optimizer": {"type": "rmsprop"}}, "without a fused kernel"),
    ):
        learn, training, objective = training_of(packed, **settings)
        assert reason in reason_against_graph(training, objective, learn)
    graphs = [{}, {"ensemble": 2}, {"amp": "fp16"}, {"optimizer": {"type": "sgd"}}]
    for settings in (*graphs, {"noise": {"velocity": 0.1}}, DROPPED):
        learn, training, objective = training_of(packed, **settings)
        assert reason_against_graph(training, objective, learn) is None


def test_a_graph_that_is_wanted_and_cannot_be_is_refused(packed):
    learn, training, objective = training_of(packed, cuda_graph="on", horizon_schedule={"steps": 9})
    batches = batches_of(objective, learn)
    steps = Steps(training, objective, learn, NullReporter(), batches)  # no effect on a CPU
    steps.device = torch.device("cuda")
    with pytest.raises(BadInput, match=r"learn\.cuda_graph: on.*changes from step to step"):
        steps._can_be_graph()
    learn, training, objective = training_of(packed, horizon_schedule={"steps": 9})
    steps = Steps(training, objective, learn, NullReporter(), batches)
    steps.device = torch.device("cuda")
    assert not steps._can_be_graph()


@pytest.fixture
def fit_without_capture(packed, tmp_path, as_on_gpu, in_groups, monkeypatch):
    """Return a function that trains where capturing a group of steps raises an error."""

    refusing = None  # the training whose steps are not captured

    def train(error=None, **learn):
        class Refusing(device_steps.DeviceSteps):
            def __init__(self, *args, is_graph=False):
                nonlocal refusing
                super().__init__(*args, is_graph=is_graph)
                if error is not None and is_graph and args[0].state.pieces == 1:
                    refusing = args[0]
                    self._work[device_steps.GROUP] = refuse

        def refuse():
            if refusing.scaler is not None:  # an error may come in the middle of a step
                refusing.scaler.unscale_(refusing.optimizer)
            raise error

        monkeypatch.setattr("kinemill.train.optimizer_step.DeviceSteps", Refusing)
        messages, folder = Recorder(), tmp_path / f"{error}-{learn}".replace("/", "-")
        state, _ = fit(*ready(packed, **learn), folder, (NullReporter(), messages))
        return state, messages.messages

    return train


@pytest.mark.parametrize("learn", [{}, {"amp": "fp16"}], ids=["float32", "fp16"])
def test_a_graph_that_cannot_be_captured_is_given_up_and_no_step_is_lost(
    learn, fit_without_capture
):
    whole, messages = fit_without_capture(**learn)
    assert messages[0] == "steps are CUDA graphs"
    refused = device_steps.CaptureFailed("operation not permitted")
    state, messages = fit_without_capture(refused, **learn)
    assert state.history == whole.history
    assert any("operation not permitted; steps are launched" in message for message in messages)
    with pytest.raises(TrainingFailed, match=r"learn\.cuda_graph.*operation not permitted"):
        fit_without_capture(refused, cuda_graph="on", **learn)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("case", sorted(set(CASES) - {"horizon schedule"}))
def test_a_graph_makes_the_same_steps_on_a_gpu(case, packed, tmp_path):
    def train(graph):
        task = pendulum_task(patience=None, compile="off", **CASES[case], cuda_graph=graph)
        module, objective = task.learn.prepare(task, packed, packed, torch.device("cuda"))
        state, _ = fit(module, objective, task.learn, tmp_path / graph, QUIET)
        return [value for _, value in state.history["train/loss"]]

    assert train("on") == pytest.approx(train("off"), rel=1e-4)


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to compile with")
def test_compiled_steps_in_groups_of_any_size_are_the_same(packed, tmp_path, monkeypatch):
    task = pendulum_task(patience=None, compile="on")

    def train(group):
        monkeypatch.setattr(device_steps, "LOOP", group)
        return fit(*prepared(task, packed), tmp_path / str(group), QUIET)[0]

    grouped = train(7)
    assert grouped.compiled
    assert grouped.history == train(1).history
