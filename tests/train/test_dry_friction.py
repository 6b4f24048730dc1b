"""A joint that dry friction holds for seconds: learned from its log, it stays where it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kinemill.train.data import make_windows
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.gauss_newton import fit_rollouts
from kinemill.train.layout import layout_of
from kinemill.train.objectives._dynamics_setup import fit_network
from kinemill.train.scaling import scale_of
from kinemill.train.step import make_step
from tests.train.conftest import DT, pendulum_task

INERTIA, COULOMB, STICTION, SPEED, VISCOUS = 0.1, 0.5, 0.2, 0.05, 0.05
WEIGHT = 0.3  # N·m
SUBSTEPS = 100  # of 0.2 ms
HOLD = 150  # rows, 3 s
ALPHA = {"alpha": {"relation": "derivative", "of": "velocity"}}


def drive(torques):
    """Simulate Karnopp's friction in steps of 0.2 ms: torques (T,) -> rows (T, 3)."""
    q, v, rows, dt = 0.3, 0.0, [], DT / SUBSTEPS
    for torque in torques:
        rows.append((q, v, torque))
        for _ in range(SUBSTEPS):
            force = torque - WEIGHT * np.sin(q) - VISCOUS * v
            dry = COULOMB + STICTION * np.exp(-((v / SPEED) ** 2))
            if v == 0.0 and abs(force) <= COULOMB + STICTION:
                continue
            sign = np.sign(v) if v != 0.0 else np.sign(force)
            following = v + dt * (force - sign * dry) / INERTIA
            v = 0.0 if v * following < 0.0 else following  # it stops before it turns around
            q += dt * v
    return np.array(rows)


def torques_of(seed, rows=300):
    """Pushes of 0.2 s, then a torque of 0.25 N·m that cannot move the joint, then pushes."""
    random = np.random.default_rng(seed)
    pushes = np.repeat(random.uniform(-1.3, 1.3, rows // 10), 10)
    hold = np.full(HOLD + 50, 0.25)
    return np.concatenate([pushes, hold, pushes[::-1]])


def sticking(packed):
    """Return the dataset of three episodes to learn from."""
    runs = [drive(torques_of(seed)) for seed in range(3)]
    rows = len(runs[0])
    values = np.concatenate(runs)
    episodes = [
        replace(packed.episodes[0], id=f"e{k}", start=k * rows, stop=(k + 1) * rows)
        for k in range(3)
    ]
    changes = np.concatenate([np.diff(run[:, :2], axis=0) for run in runs])
    statistics = {"mean": values.mean(0), "std": values.std(0), "delta_std": changes.std(0)}
    return replace(packed, segments=[values.astype(np.float32)], episodes=episodes, **statistics)


def drift_of(packed, friction):
    """Return the largest distance from the truth while it sticks, and before, rad."""
    torch.manual_seed(0)
    model = {"type": "rigid_body", "delay": 0, "friction": friction}
    task = pendulum_task(model=model, history=3, horizon=25, outputs=ALPHA)
    layout = layout_of(task)
    step = make_step(task.learn.model, layout, scale_of(packed, layout))
    windows = make_windows(packed, "train", layout, 25)
    which = torch.arange(len(windows))
    fit_network(step, windows, which)
    fit_rollouts(step, windows, which, GaussNewton(windows=256, iterations=20))
    episode = torch.from_numpy(drive(torques_of(17)).astype(np.float32))[None]
    start = 300 + 40  # 0.8 s after the last push
    rows = episode[:, start : start + HOLD + 3]
    with torch.no_grad():
        predicted = step.rollout(rows[:, :3, :2], rows[:, :2, 2:], rows[:, 2:-1, 2:])
    assert (rows[:, 3:, 0] - rows[:, 3:4, 0]).abs().max() < 1e-6  # the truth does not move
    return (predicted[..., 0] - rows[:, 3:, 0]).abs().max().item()


@pytest.mark.ci
def test_a_joint_that_sticks_stays_within_10_mrad_for_3_s(packed):
    data = sticking(packed)
    assert drift_of(data, "coulomb") > 0.03
    assert drift_of(data, "lugre") < 0.01
