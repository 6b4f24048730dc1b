"""Synthetic clips of the biped: cyclic, following commands, with consistent velocities."""

from pathlib import Path

import numpy as np
import pytest

from tests.control.sim.test_dummy_gaits import clips_of
from tests.control.sim.test_dummy_gaits import (
    test_clips_are_gaits_of_one_cycle_that_follow_their_commands as check_clips,
)

WALKER = Path(__file__).parents[1] / "tasks" / "walker.yaml"


def test_clips_of_the_biped_are_gaits_of_one_cycle(tmp_path):
    check_clips(WALKER, tmp_path)


def test_velocities_are_derivatives_of_the_joints_and_the_trunk_sways(tmp_path):
    task, clips = clips_of(WALKER, tmp_path, episodes=3, samples=200)
    for name in ("left_knee", "right_hip_roll"):
        angle, velocity = (clips[0][column].to_numpy() for column in (name, f"{name}_velocity"))
        slope = (angle[2:] - angle[:-2]) / (2 * task.dt)
        # Three harmonics of 32 rows by central differences: (k w dt)^2 / 6 is 6 % of the third.
        assert np.abs(slope - velocity[1:-1]).max() < 0.05 * np.abs(velocity).max()
    trunk = clips[0].select("trunk_x", "trunk_y", "trunk_z", "trunk_w").to_numpy()
    assert np.linalg.norm(trunk, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert 0.9 < np.abs(trunk @ trunk[0]).min() < 0.99999
