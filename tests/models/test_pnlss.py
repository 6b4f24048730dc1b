"""The polynomial state space: a known oscillator on a hardening spring with one sensor."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from kinemill.models.pnlss import Pnlss
from kinemill.train.objectives._dynamics_setup import error_of, sequences
from tests.models import systems
from tests.models.systems import facts, fit

HISTORY, HORIZON = 6, 60
TASK = systems.task_of(
    ("position", "m"),
    ("force", "N"),
    0.1,
    model={"type": "pnlss"},
    history=HISTORY,
    horizon=HORIZON,
)


def oscillation(amplitude, seed, cubic=1.0, direct=0.0):
    """x'' = -x - 0.4 x' - `cubic` x³ + u, semi-implicit Euler: rows of x + `direct` u, and u.

    With `direct`, the action of a row is the force of the next row, as by `resample: {lead: 1}`.
    """
    random = np.random.default_rng(seed)
    x, v, rows = 0.0, 0.0, []
    forces = amplitude * np.repeat(random.normal(size=400), 4)
    for force, following in pairwise(forces):
        action = following if direct else force
        rows.append((x + direct * force, action))
        v += 0.1 * (-x - 0.4 * v - cubic * x**3 + force)
        x += 0.1 * v
    return torch.tensor(rows, dtype=torch.float32)


def windows_of(rows):
    return systems.windows_of(rows, HISTORY, HORIZON)


def start(windows, rows):
    """The model before its fit: linear, by subspace identification."""
    step = systems.start(TASK, rows)
    step.network.fit_sequences(sequences(step, windows, torch.arange(len(windows))))
    return step


@pytest.mark.slow
def test_it_finds_the_hardening_spring_and_goes_on_beyond_the_training():
    """The remaining error is that of a linear encoder's initial state, also at 1.5 x amplitude."""
    rows = oscillation(1.0, 0)
    windows, wider = windows_of(rows), windows_of(oscillation(1.5, 1))
    step = start(windows, rows)
    linear = error_of(step, windows), error_of(step, wider)
    fit(step, windows, windows=80, iterations=40)
    assert min(linear) > 1e-2
    assert error_of(step, windows) < 5e-3 * linear[0]
    assert error_of(step, wider) < 2e-2 * linear[1]


def test_an_action_that_moves_the_output_at_once_is_in_the_linear_start():
    """Half of the force reaches the sensor in its own row, so a chain of states alone cannot."""
    rows = oscillation(1.0, 0, cubic=0.0, direct=0.5)
    windows = windows_of(rows)
    assert error_of(start(windows, rows), windows) < 1e-5  # of a variance of 1


def test_a_portfolio_tries_it_unless_an_angle_has_no_value_of_its_own():
    proposals = Pnlss.candidates(facts())
    assert [proposal.settings["model"]["size"] for proposal in proposals] == [2, 3]
    assert all(proposal.settings["gauss_newton"] and proposal.trains for proposal in proposals)
    assert Pnlss.candidates(facts(angles=frozenset({"level"}))) == []
