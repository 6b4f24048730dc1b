from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput, TrainingFailed
from kinemill.task.plugins import OPTIMIZERS
from kinemill.task.protocols import NullReporter
from kinemill.tracking.run_links import TrainingLink, total_steps
from kinemill.train import TrainingJob, load_model
from kinemill.train import stage as train
from kinemill.train.batches import Batches
from kinemill.train.checkpoint import read_checkpoint
from kinemill.train.loop import fit
from tests.train.conftest import (
    CPU,
    QUIET,
    Recorder,
    assert_resumes,
    pendulum_task,
    prepared,
    publish,
)

RESUMED = {
    "ema, micro-batches, bf16": {"ema": 0.95, "accumulate": 2, "amp": "bf16"},
    # the counter of the scaler resumes
    "ema, micro-batches, fp16": {"ema": 0.95, "accumulate": 2, "amp": "fp16"},
    "horizon schedule": {"horizon_schedule": {"first": 2, "steps": 30}},
    "noise": {"noise": {"angle": 0.01, "torque": 0.1}},
    "ensemble, gaussian, noise": {"noise": {"angle": 0.01}, "ensemble": 2, "loss": "gaussian"},
    "one cycle": {"schedule": {"type": "one_cycle"}},
    **{name: {"optimizer": {"type": name, "lr": 1e-3}} for name in OPTIMIZERS},
}


@pytest.mark.parametrize("options", list(RESUMED))
def test_an_interrupted_training_resumes_bit_for_bit_with_options(packed, tmp_path, options):
    task = pendulum_task(steps=40, **RESUMED[options])
    _, tensors, _ = assert_resumes(lambda: prepared(task, packed), tmp_path)
    assert ("average" in tensors) == ("ema" in RESUMED[options])


def test_the_model_learns_the_pendulum_and_is_found_again(home, packed):
    task = pendulum_task(steps=400, model={"type": "mlp", "hidden_sizes": [32]}, patience=None)
    ref = publish(home, packed)
    watcher = Recorder()
    artifact = train.run(task, home, ref, ref, (watcher, NullReporter()))
    errors = [value for _, value in watcher.metrics["validation/multi_step"]]
    # After 400 steps the error over 4 steps is far below that of the untrained network.
    assert errors[-1] < 0.25 * errors[0]
    assert read_checkpoint(TrainingJob(task, home, ref, ref).folder) is None
    again = TrainingJob(task, home, ref, ref).find_model()
    assert again is not None
    assert again.ref == artifact.ref
    step = load_model(home.root / artifact.ref.path)
    window = torch.from_numpy(np.array(packed.values[-150:][None]))
    truth = window[:, 3:28, :2]
    result = step.rollout(window[:, :3, :2], window[:, :2, 2:], window[:, 2:27, 2:])
    assert step.wrap(result - truth)[..., 0].abs().max() < 0.5  # rad, over half a second


def test_what_does_not_change_the_weights_does_not_change_the_key(home, packed):
    ref = publish(home, packed)
    one, other = pendulum_task(log_every=10), pendulum_task(log_every=5, device="cpu")
    assert TrainingJob(one, home, ref, ref).folder == TrainingJob(other, home, ref, ref).folder
    reseeded = TrainingJob(pendulum_task(seed=1), home, ref, ref)
    assert TrainingJob(one, home, ref, ref).folder != reseeded.folder


def test_another_way_to_the_weights_learns_models_of_its_kind_anew(home, packed, monkeypatch):
    ref = publish(home, packed)
    task = pendulum_task()
    original = TrainingJob(task, home, ref, ref).folder
    monkeypatch.setattr("kinemill.policies.rl.objective.Reinforcement.version", 99)
    assert TrainingJob(task, home, ref, ref).folder == original
    monkeypatch.setattr("kinemill.train.objectives.dynamics.Dynamics.version", 99)
    assert TrainingJob(task, home, ref, ref).folder != original


def test_the_watched_error_picks_the_weights(packed, tmp_path):
    task = pendulum_task(checkpoint="single_step", patience=None)
    module, objective, learn = prepared(task, packed)
    state, best = fit(module, objective, learn, tmp_path, QUIET)
    series = state.history["validation/single_step"]
    assert state.best == min(value for _, value in series)
    module.load_state_dict(best)
    assert objective.evaluate()["validation/single_step"] == pytest.approx(state.best, abs=1e-9)


def trained(packed, folder, *errors, listeners=QUIET, **settings):
    """Train with these errors as the results of the evaluations; return the last state."""
    module, objective, learn = prepared(pendulum_task(**settings), packed)
    coming = iter(errors)
    scripted = replace(objective, evaluate=lambda: {objective.monitor: next(coming)})
    return fit(module, scripted, learn, folder, listeners)[0]


def test_patience_stops_a_training_that_no_longer_improves(packed, tmp_path):
    errors = [3.0, 3.5, 1.0, 2.0, 2.0, 2.0]
    state = trained(packed, tmp_path, *errors, steps=1000, patience=2)
    assert (state.step, state.best_step, state.best) == (100, 60, 1.0)


def test_every_window_comes_once_an_epoch():
    batches = Batches(40, 10, (0,))
    epoch = torch.cat([batches.at(step)[0] for step in range(4)])
    assert sorted(epoch.tolist()) == list(range(40))
    assert not torch.equal(epoch, torch.cat([batches.at(step)[0] for step in range(4, 8)]))


def test_windows_too_long_for_every_episode_are_an_error(packed):
    task = pendulum_task(history=100, horizon=100)
    with pytest.raises(BadInput, match=r"no episode has 200 steps"):
        task.learn.prepare(task, packed, packed, CPU)


def test_patience_may_end_before_the_first_point_of_the_curve(packed, tmp_path):
    settings = {"steps": 1000, "patience": 1, "eval_every": 5, "log_every": 500}
    state = trained(packed, tmp_path, 1.0, 1.0, **settings)
    assert [step for step, _ in state.history["train/loss"]] == [10]


@pytest.mark.parametrize("bad", [torch.inf, torch.nan])
def test_validation_that_is_not_finite_is_a_gap_in_the_curve_and_never_best(packed, tmp_path, bad):
    watcher, monitor = Recorder(), "validation/multi_step"
    listeners = watcher, watcher
    state = trained(packed, tmp_path, bad, 2.0, bad, listeners=listeners, patience=None)
    assert (state.best, state.best_step) == (2.0, 40)
    assert state.history[monitor] == [[20, None], [40, 2.0], [60, None]]
    assert watcher.metrics[monitor] == [(40, 2.0)]
    assert read_checkpoint(tmp_path)[1]["best"] == 2.0


def test_a_model_that_never_stays_finite_in_validation_is_no_model(packed, tmp_path):
    with pytest.raises(TrainingFailed, match=r"not finite in any evaluation up to step 60"):
        trained(packed, tmp_path, *[torch.inf] * 3, patience=None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_said_so(home, packed):
    task, ref = pendulum_task(device="cuda"), publish(home, packed)
    message = r"learn\.device: cuda, which torch .*; expected auto or cpu"
    with pytest.raises(BadInput, match=message):
        train.run(task, home, ref, ref, QUIET)


def test_the_published_weights_are_the_best_and_not_the_last(home, packed):
    """At this rate the error goes up again, so the two differ."""
    settings = {"steps": 40, "eval_every": 1, "optimizer": {"lr": 1.0}, "patience": None}
    schedule = {"type": "constant", "warmup_steps": 0}
    task, ref = pendulum_task(schedule=schedule, **settings), publish(home, packed)
    artifact = train.run(task, home, ref, ref, QUIET)
    assert artifact.summary["best_step"] < artifact.summary["steps"] == 40
    module, objective = task.learn.prepare(task, packed, packed, CPU)
    module.load_state_dict(load_model(home.root / artifact.ref.path).state_dict())
    result = objective.evaluate()["validation/multi_step"]
    assert result == pytest.approx(artifact.summary["best"], rel=1e-6)


def test_gradients_are_clipped_and_weights_decay(packed, tmp_path):
    learn = pendulum_task(
        steps=1,
        grad_clip=1e-3,
        optimizer={"lr": 0.1, "weight_decay": 0.5},
        schedule={"type": "constant", "warmup_steps": 0},
    ).learn
    module, objective = learn.prepare(pendulum_task(), packed, packed, CPU)
    original = module.network.head.weight.detach().clone()
    fit(module, objective, learn, tmp_path / "clip", QUIET)
    norms = [value.grad.norm() for value in module.parameters()]
    assert torch.stack(norms).norm().item() == pytest.approx(1e-3, rel=1e-3)

    module, objective = learn.prepare(pendulum_task(), packed, packed, CPU)
    flat = replace(objective, loss=lambda *which: 0 * objective.loss(*which))
    fit(module, flat, learn, tmp_path / "decay", QUIET)
    # Without a gradient only the decay is left: w (1 - 0.1 · 0.5).
    torch.testing.assert_close(module.network.head.weight, 0.95 * original)


def test_epochs_train_as_many_steps_as_their_batches(home, packed):
    """4 episodes of 144 windows in batches of 32: 18 steps are an epoch."""
    watcher, ref = Recorder(), publish(home, packed)
    task = pendulum_task(epochs=2, steps=None, patience=None)
    artifact = train.run(task, home, ref, ref, (watcher, watcher))
    assert (artifact.summary["steps"], artifact.summary["epochs"]) == (36, 2.0)
    assert any(line.endswith("2 epochs are 36 steps") for line in watcher.messages)
    assert any(line.startswith("step 36/36: epoch 2.0/2, ") for line in watcher.messages)
    same = train.run(pendulum_task(steps=36, patience=None), home, ref, ref, QUIET)
    assert same.summary["best"] == artifact.summary["best"]
    link = TrainingLink(str(TrainingJob(task, home, ref, ref).folder.relative_to(home.root)), None)
    assert total_steps(home, link) == 36
