"""Risk measures of the costs of four models, against values computed by hand."""

import numpy as np
import pytest

from kinemill.control.risk import RISKS
from kinemill.task.control import Risk

COSTS = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [10.0, 5.0]])  # four models, two plans


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        ({"type": "average"}, 4.0),
        ({"type": "worst"}, 10.0),
        ({"type": "best"}, 1.0),
        # log((e + e² + e³ + e¹⁰) / 4)
        ({"type": "exponential", "aversion": 1.0}, 8.615075),
        # -log((e⁻¹ + e⁻² + e⁻³ + e⁻¹⁰) / 4)
        ({"type": "exponential", "aversion": -1.0}, 1.978608),
        ({"type": "exponential", "aversion": 0.0}, 4.0),
        ({"type": "value_at_risk", "level": 0.5}, 2.0),
        ({"type": "value_at_risk", "level": 0.75}, 3.0),
        ({"type": "value_at_risk", "level": 0.9}, 10.0),
        ({"type": "cvar", "level": 0.5}, 6.5),  # (3 + 10) / 2
        ({"type": "cvar", "level": 0.25}, 5.0),  # (2 + 3 + 10) / 3
        ({"type": "cvar", "level": 0.6}, (10 + 0.6 * 3) / 1.6),  # 1.6 of 4 models
        ({"type": "cvar", "level": 0.9}, 10.0),
    ],
)
def test_by_hand(risk, expected):
    result = RISKS[risk["type"]](COSTS, Risk(**risk))
    np.testing.assert_allclose(result, [expected, 5.0], atol=2e-6)


@pytest.mark.parametrize("kind", sorted(RISKS))
def test_a_plan_that_fails_on_every_model_costs_inf_and_others_do_not(kind):
    costs = np.array([[np.inf, 1.0], [np.inf, 2.0]])
    with np.errstate(invalid="ignore"):
        result = RISKS[kind](costs, Risk(type=kind))
    assert not np.isfinite(result[0])
    assert np.isfinite(result[1])


def test_exponential_risk_of_large_costs_does_not_overflow():
    result = RISKS["exponential"](np.array([[1e4], [2e4]]), Risk(type="exponential"))
    np.testing.assert_allclose(result, 2e4 - np.log(2))
