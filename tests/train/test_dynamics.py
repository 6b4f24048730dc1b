"""What training minimises, and what it watches, worked out by hand from the module itself."""

import numpy as np
import pytest
import torch

from kinemill.train.data import make_windows, scale_of
from kinemill.train.layout import Output, make_layout
from tests.train.conftest import DT, pendulum_task


@pytest.fixture
def prepared(packed):
    task = pendulum_task()
    module, objective = task.learn.prepare(task, packed, packed, torch.device("cpu"))
    return module, objective


def squares(module, packed, split) -> np.ndarray:
    """(W, T, S): squared errors in spreads of training, angles the short way round."""
    windows = make_windows(packed, split, module.layout, 4)
    states, past, actions, truth = windows.gather(torch.arange(len(windows)))
    with torch.no_grad():
        error = (module.rollout(states, past, actions) - truth).numpy()
    error[..., 0] = (error[..., 0] + np.pi) % (2 * np.pi) - np.pi
    return (error / packed.std[:2]) ** 2


def test_the_loss_is_the_mean_square_over_the_whole_rollout_of_training(prepared, packed):
    module, objective = prepared
    expected = squares(module, packed, "train").mean()
    found = objective.loss(torch.arange(objective.windows)).item()
    assert found == pytest.approx(expected, rel=1e-4)


def test_what_is_watched_comes_from_validation_first_step_or_all(prepared, packed):
    module, objective = prepared
    expected = squares(module, packed, "validation")
    found = objective.evaluate()
    assert found["validation/single_step"] == pytest.approx(expected[:, 0].mean() ** 0.5, rel=1e-4)
    assert found["validation/multi_step"] == pytest.approx(expected.mean() ** 0.5, rel=1e-4)


def test_an_acceleration_is_scaled_by_how_much_velocity_changes_in_a_second(packed):
    outputs = {"alpha": Output(relation="derivative", of="velocity")}
    scale = scale_of(packed, make_layout(pendulum_task(), outputs, "semi_implicit", 3))
    assert scale["output_std"].tolist() == pytest.approx([packed.delta_std[1] / DT])
    assert scale["output_mean"].tolist() == [0.0]
