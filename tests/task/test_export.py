"""The `export` part of a task: what is safe must be an action, and within its limits."""

import pytest
import yaml

from kinemill.errors import TaskError
from kinemill.task import load_task


@pytest.mark.parametrize(
    ("safe", "message"),
    [
        ("{cart_forse: 0}", "unknown action 'cart_forse'; did you mean 'cart_force'"),
        ("{cart_position: 0}", "unknown action 'cart_position'"),
        ("{cart_force: 11}", r"11 is outside the limits \[-10.0, 10.0\] of cart_force"),
    ],
)
def test_a_safe_action_that_cannot_be_sent_is_refused(safe, message):
    with pytest.raises(TaskError, match=message):
        load_task("cart_pole_swing_up", {"export.safe_action": yaml.safe_load(safe)})


def test_a_safe_action_within_limits_is_taken():
    task = load_task("cart_pole_swing_up", {"export.safe_action": {"cart_force": -10}})
    assert task.export.safe_action == {"cart_force": -10.0}


@pytest.mark.parametrize(("key", "value"), [("precision", "float64"), ("conformal", True)])
def test_export_setting_of_dynamics_in_policy_task_is_refused(key, value):
    with pytest.raises(TaskError, match=f"export.{key}: applies to dynamics models only"):
        load_task("reach", {f"export.{key}": value})
