"""The description of a registered model."""

from kinemill.register.model_version import about
from kinemill.task import load_task
from tests.policies.rl.test_training_loop import rl_task


def test_description_names_the_signals_or_the_environment():
    assert "Policy: chooses an action at each step of its environment." in about(rl_task())
    text = about(load_task("pendulum"))
    assert "Dynamics model: predicts angle" in text
    assert "  " not in text
