"""The rule `trials`: counted trials on a robot against a success rate and the champion's."""

import pytest

from kinemill.register.gate.inputs import Champion, GateInputs
from kinemill.register.gate.rules.trials import evaluate
from kinemill.register.robot_trials import RobotTrials, success_interval
from kinemill.verify.document import Verification
from kinemill.verify.results import ClosedLoop


def trials(successes, of):
    return RobotTrials(successes, of, success_interval(successes, of), "ann", "2026-11-20", "")


def verdicts(task, least, own=None, champion=None, closed_loop=None):
    promote = task.promote.model_copy(update={"min_success": least})
    inputs = GateInputs(
        task.model_copy(update={"promote": promote}),
        Verification(closed_loop=closed_loop),
        Champion(1) if champion else None,
        trials=own and trials(*own),
        champion_trials=champion and trials(*champion),
    )
    return {line.rule: (line.passed, line.undecided) for line in evaluate(inputs)}


PASSED = (True, False)
UNDECIDED = (False, True)
REFUSED = (False, False)


@pytest.mark.parametrize(
    ("least", "own", "expected"),
    [
        (0.6, (17, 20), PASSED),  # 62 % to 97 %
        (0.65, (17, 20), UNDECIDED),
        (0.65, None, UNDECIDED),
        (0.65, (5, 20), REFUSED),  # 9 % to 49 %
    ],
)
def test_trials_are_compared_by_the_ends_of_their_interval(task, least, own, expected):
    assert verdicts(task, least, own) == {"trials": expected}


@pytest.mark.parametrize(
    ("least", "own", "champion", "expected"),
    [
        (None, (17, 20), (19, 20), PASSED),  # p = 0.3
        (None, (9, 20), (19, 20), REFUSED),  # p = 0.0006
        (None, None, (19, 20), None),
        (0.5, None, (19, 20), REFUSED),
        (0.5, None, (2, 20), PASSED),  # 1 % to 32 %
    ],
)
def test_trials_are_compared_with_those_of_the_champion(task, least, own, champion, expected):
    assert verdicts(task, least, own, champion).get("trials_champion") == expected


def test_a_task_without_success_rate_or_with_episodes_in_closed_loop_needs_no_trials(task):
    loop = ClosedLoop("pendulum", [], 0, 1.0, 9.0, 5.0)
    assert verdicts(task, None) == {}
    assert verdicts(task, 0.9, closed_loop=loop) == {}
    assert verdicts(task, 0.9, (0, 20), closed_loop=loop) == {"trials": REFUSED}
