import json

import numpy as np
import pytest
import torch

from kinemill.errors import BadInput, CorruptArtifact, TrainingFailed
from kinemill.spec.ports import Silence
from kinemill.store import Ref, once
from kinemill.train import find_model, job_folder, load_model, train
from kinemill.train.checkpoint import INDEX
from kinemill.train.loop import batch_at, fit, learning_rate
from tests.train.conftest import pendulum_task

QUIET = (Silence(), Silence())
CPU = torch.device("cpu")


def publish(home, packed) -> Ref:
    from kinemill.dataset import create_values, write_description

    def build(folder):
        values = create_values(folder, *packed.values.shape)
        values[:] = packed.values
        values.flush()
        write_description(folder, packed)
        return {}

    return once(home, "dataset", "pendulum", {"of": "tests"}, build).ref


class Watcher(Silence):
    """Remembers metrics, and stops the world at a step."""

    def __init__(self, stop_at=None):
        self.stop_at, self.metrics, self.said = stop_at, {}, []

    def log_metrics(self, metrics, step):
        for name, value in metrics.items():
            self.metrics.setdefault(name, []).append((step, value))

    def say(self, message):
        self.said.append(message)

    def advance(self, stage, done, total, note=""):
        if self.stop_at is not None and done >= self.stop_at:
            raise KeyboardInterrupt


def test_a_killed_training_goes_on_bit_for_bit(packed, tmp_path):
    """Stopped at step 50 with a checkpoint at 40, it ends with the very same weights."""
    learn = pendulum_task(patience=None).learn

    def fresh():
        return learn.prepare(pendulum_task(), packed, packed, CPU)

    module, objective = fresh()
    _, whole = fit(module, objective, learn, tmp_path / "whole", QUIET)
    whole_last = {name: value.clone() for name, value in module.state_dict().items()}
    module, objective = fresh()
    with pytest.raises(KeyboardInterrupt):
        fit(module, objective, learn, tmp_path / "cut", (Silence(), Watcher(stop_at=50)))
    module, objective = fresh()
    watcher = Watcher()
    state, best = fit(module, objective, learn, tmp_path / "cut", (watcher, watcher))
    assert watcher.said[0] == "going on from the checkpoint at step 40"
    assert state.step == 60
    for name, value in whole.items():
        assert torch.equal(value, best[name]), name
    for name, value in module.state_dict().items():
        assert torch.equal(value, whole_last[name]), name
    steps = [step for step, _ in state.history["train/loss"]]
    assert steps == [10, 20, 30, 40, 50, 60]


def test_a_checkpoint_with_a_flipped_bit_is_refused(packed, tmp_path):
    learn = pendulum_task(patience=None).learn
    module, objective = learn.prepare(pendulum_task(), packed, packed, CPU)
    fit(module, objective, learn, tmp_path, QUIET)
    (tensors,) = tmp_path.glob("checkpoint-*.safetensors")
    bytes_ = bytearray(tensors.read_bytes())
    bytes_[-5] ^= 1
    tensors.write_bytes(bytes_)
    with pytest.raises(CorruptArtifact, match="bytes have changed"):
        fit(module, objective, learn, tmp_path, QUIET)


def test_the_model_learns_the_pendulum_and_is_found_again(home, packed):
    task = pendulum_task(steps=400, model={"type": "mlp", "hidden_sizes": [32]}, patience=None)
    ref = publish(home, packed)
    watcher = Watcher()
    outcome = train(task, home, ref, ref, (watcher, Silence()))
    errors = [value for _, value in watcher.metrics["validation/multi_step"]]
    # After 400 steps the error over 4 steps is far below that of the untrained network.
    assert errors[-1] < 0.25 * errors[0]
    assert not job_folder(task, home, ref, ref).exists()
    again = find_model(task, home, ref, ref)
    assert again is not None
    assert again.ref == outcome.ref
    step = load_model(home.root / outcome.ref.path)
    window = torch.from_numpy(np.array(packed.values[-150:][None]))
    truth = window[:, 3:28, :2]
    found = step.rollout(window[:, :3, :2], window[:, :2, 2:], window[:, 2:27, 2:])
    assert step.wrap(found - truth)[..., 0].abs().max() < 0.5  # rad, over half a second


def test_what_does_not_change_the_weights_does_not_change_the_key(home, packed):
    ref = publish(home, packed)
    one, other = pendulum_task(log_every=10), pendulum_task(log_every=5, device="cpu")
    assert job_folder(one, home, ref, ref) == job_folder(other, home, ref, ref)
    assert job_folder(one, home, ref, ref) != job_folder(pendulum_task(seed=1), home, ref, ref)


def test_a_loss_that_is_not_finite_stops_before_the_checkpoint(packed, tmp_path):
    learn = pendulum_task(patience=None, save_every=10).learn
    module, objective = learn.prepare(pendulum_task(), packed, packed, CPU)
    calls = []

    def loss(batch):
        calls.append(1)
        return objective.loss(batch) * (torch.nan if len(calls) > 25 else 1.0)

    broken = objective.__class__(loss, objective.evaluate, objective.watched, objective.windows)
    with pytest.raises(TrainingFailed, match=r"step 25: loss nan.*lower learn\.optimizer\.lr"):
        fit(module, broken, learn, tmp_path, QUIET)
    index = json.loads((tmp_path / INDEX).read_text())
    assert index["state"]["step"] == 20
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())


def test_the_watched_error_picks_the_weights(packed, tmp_path):
    learn = pendulum_task(checkpoint="single_step", patience=None).learn
    module, objective = learn.prepare(pendulum_task(), packed, packed, CPU)
    state, best = fit(module, objective, learn, tmp_path, QUIET)
    series = state.history["validation/single_step"]
    assert state.best == min(value for _, value in series)
    module.load_state_dict(best)
    assert objective.evaluate()["validation/single_step"] == pytest.approx(state.best, abs=1e-9)


def test_patience_stops_a_training_that_no_longer_improves(packed, tmp_path):
    learn = pendulum_task(steps=1000, patience=2).learn
    module, objective = learn.prepare(pendulum_task(), packed, packed, CPU)
    errors = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    stuck = objective.__class__(
        objective.loss, lambda: {objective.watched: next(errors)}, objective.watched, 100
    )
    state, _ = fit(module, stuck, learn, tmp_path, QUIET)
    assert (state.step, state.best_step, state.best) == (80, 40, 1.0)


def test_every_window_comes_once_an_epoch():
    learn = pendulum_task(batch_size=10).learn
    epoch = torch.cat([batch_at(step, 40, learn) for step in range(4)])
    assert sorted(epoch.tolist()) == list(range(40))
    assert not torch.equal(epoch, torch.cat([batch_at(step, 40, learn) for step in range(4, 8)]))


def test_the_rate_warms_up_and_falls_along_half_a_cosine():
    schedule = {"warmup_steps": 10, "decay_steps": 100, "min_lr": 1e-5}
    learn = pendulum_task(schedule=schedule, optimizer={"lr": 1e-3}).learn
    assert learning_rate(0, learn) == pytest.approx(1e-4)
    assert learning_rate(9, learn) == pytest.approx(1e-3)
    assert learning_rate(60, learn) == pytest.approx((1e-3 + 1e-5) / 2)
    assert learning_rate(500, learn) == pytest.approx(1e-5)


def test_windows_too_long_for_every_episode_are_an_error(packed):
    task = pendulum_task(history=100, horizon=100)
    with pytest.raises(BadInput, match=r"no episode has 200 steps"):
        task.learn.prepare(task, packed, packed, CPU)
