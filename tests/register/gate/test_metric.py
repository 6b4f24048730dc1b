"""The gate on challengers that are no better, also with the error of one channel as its metric."""

import math

import pytest

from kinemill.register.gate.evaluation import evaluate
from kinemill.register.gate.metric import claims
from kinemill.register.gate.rules import Champion, GateInputs, RowOverlap
from kinemill.task import load_task
from kinemill.task.document import Task
from tests.register.conftest import BASELINES, Claims, verification, without_part
from tests.verify.documents import against, document

# What is claimed of a challenger, and which line of the gate refuses it.
TRICKS = {
    "its error is NaN": ({"evidence": Claims(math.nan, 0.1)}, "beats_champion"),
    "its error is null in the verification": ({"nrmse": None}, "measured"),
    "the metric is missing": ({"without": ("metrics", "nrmse", "model")}, "measured"),
    "all metrics are missing": ({"without": ("metrics",)}, "measured"),
    "a reference was not measured": (
        {"evidence": Claims(0.05, 0.1, references={"persistence": 0.9})}, "beats_linear",
    ),
    "a reference is better": (
        {"evidence": Claims(0.05, 0.1, references=BASELINES | {"linear": 0.05})}, "beats_linear",
    ),
    "a reference is not a number": (
        {"evidence": Claims(0.05, 0.1, references=BASELINES | {"linear": math.nan})},
        "beats_linear",
    ),
    "it was verified from other rows on": ({"evidence": Claims(0.05, 0.1, history=40)}, "measured"),
    "it was verified on fewer rows": ({"evidence": Claims(0.05, 0.1, windows=13)}, "measured"),
    "it was verified on other data": ({"evidence": Claims(0.08, 0.1)}, "measured"),
    "it is as good as the champion": ({"evidence": Claims(0.05, 0.05)}, "beats_champion"),
    "the metric is reversed": ({"nrmse": -0.05, "evidence": Claims(-0.05, 0.1)}, "beats_champion"),
    "it won by chance": ({"evidence": Claims(0.05, 0.1, interval=(0.2, 1.3))}, "interval_champion"),
    "the champion was not measured": ({"evidence": Claims(0.05, math.nan)}, "beats_champion"),
    "it does not load": ({"evidence": Claims(0.05, 0.1, served=(False, "code -8"))}, "serves"),
    "it is out of parity": ({"passed": False}, "parity"),
}  # fmt: skip
# The same with the error of position as the metric: 0.01 m is claimed, and 0.03 m of `linear`; on
# average the challenger is worse.
TRICKS_OF_A_CHANNEL = {
    "its error is NaN": ({"evidence": Claims(math.nan, 0.05)}, "beats_champion"),
    "the channel is missing": ({"without": ("metrics", "test", "position")}, "measured"),
    "its error in it is missing": (
        {"without": ("metrics", "test", "position", "rmse", "model")}, "measured",
    ),
    "a reference was not measured": (
        {"evidence": Claims(0.01, 0.05, references={})}, "beats_linear",
    ),
    "another channel diverged": ({"nrmse": None}, "measured"),
    "it errs otherwise than verified": ({"evidence": Claims(0.02, 0.05)}, "measured"),
    "it is as good as the champion": ({"evidence": Claims(0.01, 0.01)}, "beats_champion"),
    "the metric is reversed": ({"evidence": Claims(-0.01, 0.05)}, "beats_champion"),
    "it is better on average alone": ({"evidence": Claims(0.01, 0.005)}, "beats_champion"),
}  # fmt: skip
HONEST = {"evidence": Claims(0.05, 0.1), "nrmse": 0.05, "metric": "test/nrmse"}
HONEST_IN_A_CHANNEL = {"evidence": Claims(0.01, 0.05), "nrmse": 0.29, "metric": "test/position"}


def lines(task, evidence, nrmse, metric, without=(), passed=True):
    """Return the gate's lines about a challenger with this evidence, by rule."""
    document = without_part(verification(nrmse, passed), *without)
    comparison, result = evidence.compare(None, None), evidence.measure(None)
    champion = Champion(1, **vars(comparison))
    inputs = GateInputs(
        load_task(task.path, {"promote.metric": metric}),
        document,
        champion,
        measured=result.measured,
        references=result.references,
        absent=result.absent,
        served=evidence.served,
        overlap=RowOverlap(0.0, 0.0, 0.0),
    )
    return {verdict.rule: verdict for verdict in evaluate(inputs)}


@pytest.mark.parametrize("trick", list(TRICKS))
def test_trick_of_a_challenger_is_refused(task, trick):
    how, line = TRICKS[trick]
    assert not lines(task, **(HONEST | how))[line].passed


@pytest.mark.parametrize("trick", list(TRICKS_OF_A_CHANNEL))
def test_trick_with_the_metric_of_one_channel_is_refused(task, trick):
    how, line = TRICKS_OF_A_CHANNEL[trick]
    assert not lines(task, **(HONEST_IN_A_CHANNEL | how))[line].passed


@pytest.mark.parametrize("honest", [HONEST, HONEST_IN_A_CHANNEL])
def test_without_a_trick_every_line_holds(task, honest):
    result = lines(task, **honest)
    assert [rule for rule, verdict in result.items() if not verdict.passed] == []
    if honest is HONEST_IN_A_CHANNEL:
        expected = "<= 0.049 (champion version 1, position: 0.05, less 2 %)"
        assert result["beats_champion"].expected == expected
        assert result["beats_linear"].expected == "<= 0.294 (linear, position: 0.3, less 2 %)"


def test_actions_of_a_policy_have_the_interval_and_the_episodes_of_its_verification():
    learn = {"type": "imitation", "model": {"type": "mlp"}}
    channels = {name: {"role": "action", "unit": "1"} for name in ("torque", "force")}
    channels["angle"] = {"role": "state", "unit": "rad"}
    task = Task.model_validate({"task": "arm", "dt": 0.02, "channels": channels, "learn": learn})
    compared = {"repeat": against(0.5, 0.4, 0.63)}
    paired = claims(task, document(0.1, {"repeat": 0.2, "linear": 0.3}, against=compared))
    assert paired["repeat"].interval == (0.4, 0.63)
    assert paired["repeat"].headline.effective_n == 12.0
    assert all(math.isnan(edge) for edge in paired["linear"].interval)  # it was not compared
