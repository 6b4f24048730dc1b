"""Verification of a model without actions and with only the current row as history."""

import copy
import dataclasses

import pytest

from kinemill.export.interface import describe
from kinemill.export.step_files import write_model
from kinemill.task.verify import Verify
from kinemill.verify.bundle import verify_folder
from kinemill.verify.dynamics import DynamicsSubject
from kinemill.verify.report import page
from kinemill.verify.verifier import verdict_document, verify_files
from tests.export.test_no_actions import free_step

UNITS = {"angle": "rad", "velocity": "rad/s"}


@pytest.fixture
def free(pendulum):
    """Return the logs of the pendulum without torque."""
    return dataclasses.replace(
        pendulum,
        task="free",
        actions=[],
        units=UNITS,
        segments=[pendulum.values[:, :2].copy()],
        mean=pendulum.mean[:2],
        std=pendulum.std[:2],
    )


@pytest.mark.parametrize(
    ("model", "history"), [("mlp", 1), pytest.param("gru", 4, marks=pytest.mark.slow)]
)
def test_a_model_without_actions_is_judged_as_any_other(model, history, free, tmp_path):
    step = free_step(model, history)
    limits = dict.fromkeys(UNITS)
    about = describe({"task": "free", "dataset": "d" * 64, "units": UNITS, "limits": limits}, step)
    write_model(copy.deepcopy(step), about, tmp_path)
    settings = Verify(horizon=10, stride=5)
    verdict = verify_files(DynamicsSubject(tmp_path, step, free, settings, about))
    assert [line for line in verdict.gates if not line.passed] == []
    assert "Long rollouts" in page(verdict, verdict_document(verdict))
    assert [line for line in verify_folder(tmp_path).gates if not line.passed] == []
