"""`evaluate_policy`: an exported policy in its environment and in others."""

import pytest

import kinemill.api as km
from benchmarks._policies import Gains
from kinemill.errors import BadInput
from kinemill.task import make_task
from tests.policies.test_gate_measurements import TASK


def test_a_policy_is_tried_next_to_random_actions_and_its_report_is_written(
    home, policy_folders, tmp_path
):
    results = km.evaluate_policy(
        policy_folders[Gains], task=make_task(TASK), episodes=3, to=tmp_path / "out"
    )
    trials = results.document.trials
    assert list(trials) == ["model", "random"]
    assert trials["model"].seeds == trials["random"].seeds == [1_000_000, 1_000_001, 1_000_002]
    limit = TASK["environment"]["steps"]
    assert trials["model"].lengths == [limit] * 3  # it holds the stick to the end
    low, high = results.document.gains["random"].returns
    gain = trials["model"].mean_return - trials["random"].mean_return
    assert 0.0 < low <= gain <= high
    page = (tmp_path / "out" / "report.html").read_text()
    assert "python, benchmarks._balance:Balance" in page
    assert (tmp_path / "out" / "evaluation.json").is_file()


def test_an_environment_that_takes_other_actions_is_refused(home, policy_folders):
    other = {**TASK, "environment": {"type": "gymnasium", "id": "MountainCar-v0"}}
    with pytest.raises(BadInput, match="environment of cart: does not have"):
        km.evaluate_policy(policy_folders[Gains], task=make_task(other))


def test_without_logs_and_trials_nothing_is_measured(home, policy_folders):
    with pytest.raises(BadInput, match="has nothing to measure"):
        km.evaluate_policy(policy_folders[Gains], task=make_task(TASK), episodes=0)
