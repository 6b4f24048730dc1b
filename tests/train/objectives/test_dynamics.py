"""Training and validation loss of dynamics models, computed by hand from the module."""

import numpy as np
import pytest
import torch

from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.runtime import load
from kinemill.train.data import make_windows
from kinemill.train.layout import make_layout
from kinemill.train.loop import fit
from kinemill.train.relations import Output
from kinemill.train.scaling import scale_of
from tests.export.conftest import DESCRIPTION
from tests.train.conftest import DT, QUIET, pendulum_task, ready


def squares(module, packed, split) -> np.ndarray:
    """(W, T, S): squared errors in spreads of training, angles the short way round."""
    windows = make_windows(packed, split, module.layout, 4)
    states, past, actions, truth = windows.gather(torch.arange(len(windows)))
    with torch.no_grad():
        error = (module.rollout(states, past, actions) - truth).numpy()
    error[..., 0] = (error[..., 0] + np.pi) % (2 * np.pi) - np.pi
    return (error / packed.std[:2]) ** 2


def test_what_is_watched_comes_from_validation_first_step_or_all(packed):
    module, objective, _ = ready(packed)
    expected = squares(module, packed, "validation")
    result = objective.evaluate()
    assert result["validation/single_step"] == pytest.approx(expected[:, 0].mean() ** 0.5, rel=1e-4)
    assert result["validation/multi_step"] == pytest.approx(expected.mean() ** 0.5, rel=1e-4)


def test_an_acceleration_is_scaled_by_how_much_velocity_changes_in_a_second(packed):
    outputs = {"alpha": Output(relation="derivative", of="velocity")}
    scale = scale_of(packed, make_layout(pendulum_task(), outputs, "semi_implicit", 3))
    assert scale["output_std"].tolist() == pytest.approx([packed.delta_std[1] / DT])
    assert scale["output_mean"].tolist() == [0.0]


def test_the_horizon_of_training_grows_evenly_to_its_length():
    learn = pendulum_task(horizon=9, horizon_schedule={"first": 1, "steps": 80}).learn
    assert [learn.horizon_at(step) for step in (0, 9, 10, 40, 79, 80, 500)] == [1, 1, 2, 5, 8, 9, 9]
    assert pendulum_task(horizon=9).learn.horizon_at(0) == 9


def test_a_loss_at_a_short_horizon_looks_at_its_first_steps_alone(packed):
    module, objective, _ = ready(packed, horizon_schedule={"first": 1, "steps": 100})
    whole = squares(module, packed, "train")
    everything = torch.arange(objective.windows)
    assert objective.loss(everything, 0).item() == pytest.approx(whole[:, :1].mean(), rel=1e-4)
    assert objective.loss(everything, 100).item() == pytest.approx(whole.mean(), rel=1e-4)


def test_a_linear_model_is_fitted_to_the_training_rows_before_it_learns(packed):
    module, objective, _ = ready(packed, model={"type": "linear"})
    fitted = objective.loss(torch.arange(objective.windows), 0).item()
    with torch.no_grad():
        module.network.head.weight.zero_()
    assert fitted < 0.1 * objective.loss(torch.arange(objective.windows), 0).item()


def test_angles_are_treated_alike_in_training_and_on_the_robot(packed, tmp_path):
    """The error that training watches is that of the files, for angles many turns away as well."""
    module, objective, learn = ready(packed, steps=20)
    fit(module, objective, learn, tmp_path / "run", QUIET)
    monitored = objective.evaluate()["validation/multi_step"]
    windows = make_windows(packed, "validation", module.layout, 4)
    states, past, actions, truth = (
        part.numpy() for part in windows.gather(torch.arange(len(windows)))
    )
    (tmp_path / "files").mkdir()
    write_model(module.eval(), describe(DESCRIPTION, module), tmp_path / "files")
    simulator = load(tmp_path / "files")
    for turns in (0, 1, -3):
        shift = np.array([2 * np.pi * turns, 0.0], dtype=np.float32)
        error = simulator.rollout(states + shift, past, actions) - truth
        error[..., 0] -= 2 * np.pi * np.round(error[..., 0] / (2 * np.pi))
        result = np.sqrt(((error / packed.std[:2]) ** 2).mean())
        assert result == pytest.approx(monitored, rel=1e-3)
