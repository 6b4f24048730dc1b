import matplotlib as mpl
import pytest

import kinemill.api as km
from kinemill.errors import BadInput
from kinemill.runtime import Simulator
from tests.api.conftest import logs_of, rod


def test_a_training_has_a_simulator_and_curves(training):
    assert isinstance(training.simulator, Simulator)
    assert training.simulator.states == ("angle", "velocity")
    assert training.monitor.startswith("validation/")
    curves = training.to_polars()
    assert curves.columns == ["name", "step", "value"]
    assert curves.filter(name=training.monitor)["value"].min() == pytest.approx(training.best)
    assert training.plot().png().startswith(b"\x89PNG")
    assert "Training of rod" in training._repr_html_()
    assert repr(training).startswith("Training of rod\n  model: ")
    with pytest.raises(BadInput, match=r"use \.simulator"):
        _ = training.policy


def test_plots_leave_the_backend_of_a_notebook_alone(training):
    backend = mpl.get_backend()
    training.plot()
    assert mpl.get_backend() == backend


def test_a_second_training_is_cached_and_reports_progress(in_rod_home, training):
    updates = list[km.Update]()
    again = km.train(rod(), logs_of(0, 1, 2, 3, 4), progress=updates.append, track=False)
    assert again.cached
    assert again.trained == training.trained
    assert again.exported == training.exported
    assert not training.cached


@pytest.mark.ci
def test_overrides_change_a_task_object(in_rod_home, training):
    dataset = training.dataset
    task = km.load_task({"task": "rod"} | rod().model_dump(mode="json", by_alias=True))
    updates = list[km.Update]()
    changed = km.train(
        task, dataset, overrides={"learn.steps": 10}, progress=updates.append, track=False
    )
    assert changed.task.learn.steps == 10
    assert changed.data == training.data
    assert changed.trained != training.trained
    stages = {update.stage for update in updates if update.stage}
    assert "model" in stages
    assert any("train/loss" in update.metrics for update in updates)


def test_a_command_finds_a_task_of_python_by_name(in_rod_home, training):
    assert km.load_task("rod").learn.steps == 20
