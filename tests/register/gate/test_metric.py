"""The gate with the error of one channel as its metric."""

import math

import pytest

from kinemill.register.gate.evaluation import evaluate
from kinemill.register.gate.metric import claims
from kinemill.register.gate.rules import Champion, GateInputs, RowOverlap
from kinemill.task import load_task
from kinemill.task.document import Task
from tests.register.conftest import Claims, verification, without_part
from tests.verify.documents import against, document

# Of position 0.01 m is claimed, and 0.03 m of `linear`; on average the challenger is worse. What is
# done, and which line refuses it.
TRICKS = {
    "its error is NaN": ({"evidence": Claims(math.nan, 0.05)}, "beats_champion"),
    "the channel is missing": ({"without": ("metrics", "test", "position")}, "measured"),
    "its error in it is missing": (
        {"without": ("metrics", "test", "position", "rmse", "model")},
        "measured",
    ),
    "the baseline was not measured": (
        {"evidence": Claims(0.01, 0.05, references={})},
        "beats_linear",
    ),
    "another channel diverged": ({"nrmse": None}, "measured"),
    "it errs otherwise than verified": ({"evidence": Claims(0.02, 0.05)}, "measured"),
    "it is as good as the champion": ({"evidence": Claims(0.01, 0.01)}, "beats_champion"),
    "the metric is reversed": ({"evidence": Claims(-0.01, 0.05)}, "beats_champion"),
    "it is better on average alone": ({"evidence": Claims(0.01, 0.005)}, "beats_champion"),
}


def lines(task, evidence, nrmse=0.29, without=()):
    """Return the gate's lines about a challenger with this evidence, by rule."""
    document = without_part(verification(nrmse), *without)
    comparison, result = evidence.compare(None, None), evidence.measure(None)
    champion = Champion(1, comparison.champion, comparison.challenger, comparison.paired)
    requested = load_task(task.path, {"promote.metric": "test/position"})
    inputs = GateInputs(
        requested,
        document,
        champion,
        measured=result.measured,
        references=result.references,
        absent=result.absent,
        served=(True, "answered"),
        overlap=RowOverlap(0.0, 0.0, 0.0),
    )
    return {verdict.rule: verdict for verdict in evaluate(inputs)}


@pytest.mark.parametrize("trick", list(TRICKS))
def test_no_trick_works_with_the_metric_of_one_channel(task, trick):
    how, line = TRICKS[trick]
    assert not lines(task, **({"evidence": Claims(0.01, 0.05)} | how))[line].passed


def test_without_a_trick_every_line_holds(task):
    result = lines(task, Claims(0.01, 0.05))
    assert [rule for rule, verdict in result.items() if not verdict.passed] == []
    assert result["beats_champion"].expected == (
        "<= 0.049 (champion version 1, position: 0.05, less 2 %)"
    )


def test_actions_of_a_policy_have_the_interval_and_the_episodes_of_its_verification():
    task = Task.model_validate(
        {
            "task": "arm",
            "dt": 0.02,
            "channels": {
                "angle": {"role": "state", "unit": "rad"},
                "torque": {"role": "action", "unit": "N*m"},
            },
            "learn": {"type": "imitation", "model": {"type": "mlp"}},
        }
    )
    compared = {"repeat": against(0.5, 0.4, 0.63)}
    paired = claims(task, document(0.1, {"repeat": 0.2, "linear": 0.3}, against=compared))
    assert paired["repeat"].interval == (0.4, 0.63)
    assert paired["repeat"].headline.effective_n == 12.0
    assert all(math.isnan(edge) for edge in paired["linear"].interval)  # it was not compared
