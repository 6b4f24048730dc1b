"""Storages in series: two simulated tanks of which one is measured."""

import math

import numpy as np
import pytest
import torch

from kinemill.models.networks.storages import LAST_BRIM
from kinemill.models.storages import Storages
from kinemill.train.objectives._dynamics_setup import error_of
from tests.models import systems
from tests.models.systems import UNFIT, facts, fit

HISTORY, HORIZON = 8, 80


def tanks(rows, seed):
    """Return the level of the lower tank and the pump of its upper neighbor, which can overflow."""
    random, upper, lower, result = np.random.default_rng(seed), 0.4, 0.4, []
    for pump in np.repeat(random.uniform(0.0, 1.2, rows // 20), 20):
        result.append((lower, pump))
        flow = 0.09 * math.sqrt(upper)
        filled = upper + 0.11 * pump - flow
        over = max(filled - 1.0, 0.0)
        lower += flow + 0.6 * over - 0.1 * math.sqrt(max(lower, 0.0))
        upper = filled - over
    return torch.tensor(result, dtype=torch.float32)


def windows_of(rows):
    return systems.windows_of(rows, HISTORY, HORIZON)


def fitted(model, rows):
    """Return a model after its Gauss-Newton fit to the rows."""
    task = systems.task_of(("level", "m"), ("pump", "V"), model=model, history=HISTORY)
    step = systems.start(task, rows)
    return fit(step, windows_of(rows), windows=60, iterations=20, ridge=2e-4)


@pytest.mark.slow
def test_it_finds_two_tanks_that_overflow_from_one_level():
    """Other rows than those of the fit; a network of as many parameters is compared."""
    rows, others = tanks(1200, seed=0), windows_of(tanks(1200, seed=1))
    small = {"type": "latent", "size": 2, "hidden_size": 6, "lag": HISTORY}
    own, network = (error_of(fitted(one, rows), others) for one in ({"type": "storages"}, small))
    assert own < 0.05**2  # of a variance of 1
    assert own < 0.5 * network


def test_levels_stay_between_empty_and_full():
    network = Storages().build(2, 1, 3)
    for value, last in ((1e3, LAST_BRIM), (-1e3, 0.0)):
        x = torch.full((1, 2), value)
        x, _ = network.advance(x, torch.full((1, 2), value))
        assert x[0, 0].item() <= 1.0
        x, _ = network.advance(x, torch.full((1, 2), value))
        assert x[0, 1].item() == pytest.approx(last, abs=0.1)


def test_outputs_share_no_storages():
    """Inputs fill the first storages of both outputs; the levels of one do not act on the other."""
    network = Storages(count=3).build(2, 2, 3)
    x, inputs = torch.full((1, 6), 0.5), torch.zeros(1, 2)
    (_, here), (_, filled) = (
        network.advance(x, inputs),
        network.advance(x + torch.eye(6)[:3], inputs),
    )
    assert torch.equal(here[0, 1].expand(3), filled[:, 1])
    assert not torch.equal(here[0, 0].expand(3), filled[:, 0])


def test_a_portfolio_tries_it_for_processes():
    (one,) = Storages.candidates(facts(saturated={"level": (-4.0, 10.0)}))
    assert one.settings["model"]["limits"] == {"level": (-4.0, 10.0)}
    assert (one.settings["history"], one.settings["horizon"]) == (20, 100)
    network = Storages(**one.settings["model"]).build(2, 1, one.settings["history"])
    assert sum(own.numel() for own in network.parameters()) < 200


@pytest.mark.parametrize("unfit", list(UNFIT))
def test_a_portfolio_does_not_try_it_for_joints_short_logs_or_many_states(unfit):
    assert Storages.candidates(facts(**UNFIT[unfit])) == []
