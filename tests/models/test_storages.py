"""Storages in series: two simulated tanks of which one is measured."""

import math

import numpy as np
import pytest
import torch

from kinemill.models.networks.storages import LAST_BRIM
from kinemill.models.storages import Storages
from kinemill.task.document import Task
from kinemill.task.portfolio import TaskFacts
from kinemill.train.data import Windows
from kinemill.train.dynamics_settings import GaussNewton
from kinemill.train.gauss_newton import fit_rollouts
from kinemill.train.layout import layout_of
from kinemill.train.objectives._dynamics_setup import error_of
from kinemill.train.step import SCALES, make_step

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
    starts = torch.arange(0, len(rows) - HISTORY - HORIZON)
    return Windows(rows, starts, HISTORY, HORIZON, 1)


def fitted(model, rows):
    """Return a model after its Gauss-Newton fit to the rows."""
    task = Task.model_validate(
        {
            "task": "tanks",
            "dt": 1.0,
            "channels": {
                "level": {"role": "state", "unit": "m"},
                "pump": {"role": "action", "unit": "V"},
            },
            "learn": {
                "type": "dynamics",
                "model": model,
                "outputs": {"level": {"relation": "equal", "of": "level"}},
                "history": HISTORY,
                "horizon": HORIZON,
            },
        }
    )
    level = rows[:, :1]
    parts = (level.std(0), rows.mean(0), rows.std(0), level.mean(0), level.std(0))
    scale = dict(zip(SCALES, (part.double() for part in parts), strict=True))
    torch.manual_seed(0)
    step = make_step(task.learn.model, layout_of(task), scale)
    windows = windows_of(rows)
    settings = GaussNewton(windows=60, iterations=20, ridge=2e-4)
    fit_rollouts(step, windows, torch.arange(len(windows)), settings)
    return step


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


def facts(states=("level",), **changes):
    values = {"angles": frozenset(), "relative": (), "pairs": {}, "drives": {}}
    values |= {"longest": 40, "horizon": 25, "rollout": 100} | changes
    return TaskFacts(states, ("pump",), **values)


def test_a_portfolio_tries_it_for_processes():
    (one,) = Storages.candidates(facts(saturated={"level": (-4.0, 10.0)}))
    assert one.settings["model"]["limits"] == {"level": (-4.0, 10.0)}
    assert (one.settings["history"], one.settings["horizon"]) == (20, 100)
    network = Storages(**one.settings["model"]).build(2, 1, one.settings["history"])
    assert sum(own.numel() for own in network.parameters()) < 200


@pytest.mark.parametrize(
    "changes",
    [
        {"states": ("x", "v"), "pairs": {"v": "x"}},
        {"angles": frozenset({"level"})},
        {"rollout": 1},
        {"longest": 3},
        {"states": tuple("abcdef")},
    ],
)
def test_a_portfolio_does_not_try_it_for_joints_short_logs_or_many_states(changes):
    assert Storages.candidates(facts(**changes)) == []
