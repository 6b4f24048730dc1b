"""Synthetic pairs of the gate's benchmark: models of a pair are equal in distribution."""

import numpy as np
import pytest

from benchmarks._gate_pairs import HORIZONS, KINDS, Size, draw_pair


# Under exchange of the two models the mean of log(error / error of the other) is 0. It is compared
# with its standard error over 300 pairs; 4.5 are exceeded by chance in 1 of 150,000 cases.
@pytest.mark.parametrize("kind", KINDS)
def test_the_two_models_of_a_pair_are_exchangeable(kind):
    random = np.random.default_rng([7, KINDS.index(kind)])
    pairs = [draw_pair(kind, Size(5, 60), random) for _ in range(300)]
    for figure in (
        *(
            lambda one, steps=steps: (one.errors.by_horizon[steps] ** 2).mean()
            for steps in HORIZONS
        ),
        lambda one: one.run.nrmse,
    ):
        logs = np.array([np.log(figure(model) / figure(reference)) for model, reference in pairs])
        assert abs(logs.mean()) < 4.5 * logs.std() / np.sqrt(len(logs))
