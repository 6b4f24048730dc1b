"""A policy on any logs: how far its actions differ from the logged ones, found by hand."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from kinemill.errors import BadInput
from kinemill.train.policy import PolicyLayout
from kinemill.train.policy_runner import as_policy
from kinemill.verify.document import EvaluatedModel
from kinemill.verify.logs import Logs
from kinemill.verify.policies.action_errors import action_errors, policy_evaluation
from tests.verify.test_held_out import LAYOUT, Counting


def test_actions_are_compared_with_the_logged_ones_beside_repeating_the_last(pendulum):
    logs = Logs(Path("logs"), pendulum, ("a.csv",), ())
    errors = action_errors(as_policy(Counting(0.0)), logs)
    torque = pendulum.values[:, 2].astype(np.float64)
    rows = np.concatenate([np.arange(one.start + 1, one.stop) for one in pendulum.of("test")])
    expected = np.sqrt((torque[rows] ** 2).mean())
    assert errors["model"].rmse == pytest.approx([expected])
    source = EvaluatedModel(":1", 1, "bundle", "d")
    evaluation = policy_evaluation("arm", source, logs, errors, None)
    line = evaluation.actions["model"].channels["torque"]
    assert (line.unit, line.rmse) == ("N*m", pytest.approx(expected))
    assert evaluation.environment is None


@pytest.mark.parametrize(
    ("observed", "action", "words"),
    [
        (("angle", "goal"), "torque", "are read without goal, which the policy observes"),
        (("angle", "velocity"), "force", "actions: are force; expected torque"),
    ],
)
def test_logs_that_do_not_fit_the_policy_are_refused(pendulum, observed, action, words):
    class Other(Counting):
        def __init__(self):
            super().__init__(0.0)
            units = dict.fromkeys([*observed, action], "1")
            self.layout = PolicyLayout(0.02, observed, (action,), units)

    assert isinstance(Other(), nn.Module)
    assert LAYOUT.actions == ("torque",)
    with pytest.raises(BadInput, match=words):
        action_errors(as_policy(Other()), Logs(Path("logs"), pendulum, ("a.csv",), ()))
