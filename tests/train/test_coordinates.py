"""An axis that travels decimeters while windows move millimeters, its position a coordinate."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.runtime.window_metrics import cut_windows
from kinemill.train import load_model
from kinemill.train import stage as train
from tests.conftest import learning_task
from tests.dataset.packing import packed_of
from tests.train.conftest import QUIET, publish

DT = 0.002  # s
FINE = 5  # integration steps within a row
CHANNELS = {
    "position": {"role": "state", "unit": "m", "kind": "coordinate"},
    "velocity": {"role": "state", "unit": "m/s", "derivative_of": "position"},
    "force": {"role": "action", "unit": "N"},
}
HISTORY, HORIZON = 10, 25  # rows
PLAIN = {"channels": {"position": {"type": "plain"}}}
# Three runs of 3 s with friction that no linear model has: closer to each other is chance.
EQUAL = 1.1
LINEAR = {"model": {"type": "linear"}, "steps": 1, "optimizer": {"lr": 1e-9}}  # as fitted


def episode(number, rows=1500):
    """m v' = F - b v - f tanh(v / v0): m 2 kg, b 40 N s/m, f 8 N, v0 0.01 m/s.

    The position is counted in steps of 10 µm, the velocity has a noise of 2 mm/s.
    """
    random = np.random.default_rng([0, number])
    frequency, phase = random.uniform(0.2, 1.2, 12), random.uniform(0.0, 2 * np.pi, 12)
    angles = 2 * np.pi * np.outer(np.arange(rows) * DT, frequency) + phase
    force = 12.0 * np.sqrt(2 / 12) * np.sin(angles).sum(1)
    force += np.repeat(random.uniform(-8.0, 8.0, rows // 20 + 1), 20)[:rows]
    x, v, result = random.uniform(-0.3, 0.3), 0.0, np.empty((rows, 3))
    for k in range(rows):
        result[k] = x, v, force[k]
        for _ in range(FINE):
            v += DT / FINE * (force[k] - 40.0 * v - 8.0 * np.tanh(v / 0.01)) / 2.0
            x += DT / FINE * v
    result[:, 0] = np.round(result[:, 0] / 1e-5) * 1e-5
    result[:, 1] += random.normal(size=rows) * 2e-3
    return result


@pytest.fixture(scope="module")
def axis():
    runs = [episode(number) for number in range(12)]
    by_split = {"train": runs[:8], "validation": runs[8:9], "test": runs[9:]}
    return packed_of("axis", DT, CHANNELS, by_split)


def without_velocity(packed):
    """The same rows, of position and force alone."""
    remaining = [0, 2]
    return replace(
        packed,
        states=["position"],
        units={name: packed.units[name] for name in ("position", "force")},
        segments=[packed.values[:, remaining]],
        mean=packed.mean[remaining],
        std=packed.std[remaining],
        delta_std=packed.delta_std[:1],
    )


def errors_of(home, packed, learn, encoding=None):
    """RMSE over the training spread, (S,) each: after 25 steps, and over whole test episodes."""
    channels = {name: CHANNELS[name] for name in packed.columns}
    usual = {"history": HISTORY, "horizon": 10, "eval_every": 250, "encoding": encoding or {}}
    task, data = learning_task("axis", DT, channels, usual | learn), publish(home, packed)
    artifact = train.run(task, home, data, data, QUIET)
    model, states = load_model(home.root / artifact.ref.path), len(packed.states)
    starts, whole = packed.window_starts("test", HISTORY + HORIZON, 5), packed.of("test")
    result = [_missed(model, packed, starts, HORIZON)[:, -1]]
    length = whole[0].rows - HISTORY
    run = _missed(model, packed, np.array([one.start for one in whole]), length)
    result.append(run.reshape(-1, states))
    return [np.sqrt((one**2).mean(0)) / packed.std[:states] for one in result]


def _missed(model, packed, starts, horizon):
    """Prediction minus truth, (W, T, S)."""
    windows = cut_windows(packed.values, len(packed.states), starts, HISTORY, horizon)
    arguments = [windows.states, windows.past_actions, windows.actions]
    with torch.no_grad():
        result = model.rollout(*(torch.from_numpy(argument).float() for argument in arguments))
    return result.numpy() - windows.truth


@pytest.mark.parametrize("measured", ["position and velocity", "position"])
def test_a_linear_model_with_a_coordinate_is_as_good_as_with_the_plain_position(
    home, axis, measured
):
    """It ran away: fitted to rows that count from the window, asked with rows from the start."""
    packed = axis if "velocity" in measured else without_velocity(axis)
    short, whole = errors_of(home, packed, LINEAR)
    plain_short, plain_whole = errors_of(home, packed, LINEAR, PLAIN)
    assert (short <= 1.01 * plain_short).all()
    assert (whole <= EQUAL * plain_whole).all()
    assert whole.max() < 0.5
