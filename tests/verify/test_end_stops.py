import numpy as np
import pytest

from kinemill.verify.end_stops import share_of_contacts
from kinemill.verify.residuals import Series
from kinemill.verify.unmodeled import unmodeled_effects
from tests.verify.conftest import DT, pack

STOP, LOSS = 1.0, 0.3


def slider(seed, stop=STOP, rows=1500):
    """Return position, velocity and force (rows, 3) of a mass between two stops that it hits."""
    random = np.random.default_rng(seed)
    force = np.convolve(random.standard_normal(rows + 20), np.hanning(20), "valid")[:rows]
    state, every = np.zeros(2), []
    for one in force:
        every.append([*state, one])
        velocity = state[1] + DT * (one - 0.5 * state[1])
        position = state[0] + DT * velocity
        if abs(position) > stop:
            position, velocity = np.sign(position) * stop, -LOSS * velocity
        state = np.array([position, velocity])
    return np.array(every)


def series_of(rows):
    """Return the residuals of a model that is exact except for contacts."""
    errors = np.random.default_rng(1).standard_normal((len(rows), 2)) * 1e-3
    free = rows[:-1, 1] + DT * (rows[:-1, 2] - 0.5 * rows[:-1, 1])
    errors[:-1, 1] += free - rows[1:, 1]
    return Series(errors, rows[:, :2], rows[:, 2:])


@pytest.fixture(scope="module")
def runs():
    return [slider(seed) for seed in range(4)]


def test_squared_errors_around_contacts_are_counted(runs):
    dataset = pack({"train": runs}, angles=())
    series = [series_of(rows) for rows in runs]
    assert share_of_contacts(series, dataset, "velocity", "angle") > 0.95
    effects = unmodeled_effects(series, dataset, {"velocity": "angle"})
    assert "end_stop" in {effect.effect for effect in effects}


@pytest.mark.parametrize("stop", [np.inf, 1e3])
def test_a_turning_point_is_no_contact(stop):
    runs = [slider(seed, stop) for seed in range(4)]
    dataset = pack({"train": runs}, angles=())
    series = [series_of(rows) for rows in runs]
    assert share_of_contacts(series, dataset, "velocity", "angle") == 0.0


def test_an_angle_that_turns_all_the_way_round_has_no_ends():
    runs = [slider(seed, stop=4.0, rows=6000) for seed in range(2)]
    series = [series_of(rows) for rows in runs]
    assert share_of_contacts(series, pack({"train": runs}), "velocity", "angle") == 0.0


def test_two_contacts_are_too_few(runs):
    rows = runs[0]
    hits = np.flatnonzero(np.abs(np.diff(rows[:, 1])) > 5 * DT * np.abs(rows[:, 2]).max())
    assert len(hits) > 3
    rows = rows[: hits[1] + 5]
    dataset = pack({"train": [rows]}, angles=())
    assert share_of_contacts([series_of(rows)], dataset, "velocity", "angle") == 0.0
