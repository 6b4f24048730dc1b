"""Ways to become champion without a better model, all of which the gate refuses."""

import pytest

from kinemill.errors import TaskError
from kinemill.register.gate.measurements import DynamicsMeasurements
from kinemill.task import load_task
from tests.register.conftest import BASELINES, Claims


def test_better_in_the_channel_that_counts_wins(with_champion):
    chain = with_champion()
    task = load_task(chain.task.path, {"promote.metric": "test/position"})
    found_by_gate = Claims(0.01, 0.05, references={name: e / 10 for name, e in BASELINES.items()})
    registration = chain.register(0.09, gain=0.6, evidence=found_by_gate, task=task)
    assert registration.status == "done"
    (line,) = [item for item in registration.gate if item.rule == "beats_linear"]
    assert line.expected == "<= 0.0294 (linear, position: 0.03, less 2 %)"


def test_a_metric_of_no_state_is_refused_with_the_nearest(chain):
    with pytest.raises(TaskError, match=r"promote\.metric: unknown metric 'test/positon'"):
        load_task(chain.task.path, {"promote.metric": "test/positon"})


def test_a_tie_at_margin_0_keeps_the_champion(with_champion):
    chain = with_champion()
    task = load_task(chain.task.path, {"promote.margin": 0.0, "promote.interval": False})
    tie = chain.register(0.1, gain=0.6, champion=0.1, task=task)
    assert tie.status == "refused"
    assert chain.register(0.0999, gain=0.7, champion=0.1, task=task).status == "done"


def test_numbers_that_the_files_do_not_bear_out_are_found_out_by_measuring(chain):
    # The model answers the last state + 0.5 * 2 N to states that alternate 1, -1: its nrmse is 1,
    # and the 40 rows of the test episode hold 7 windows of 3 + 4 rows, one every 5.
    task = load_task(chain.task.path, {"verify.horizon": 4, "promote.beats": []})
    test = DynamicsMeasurements(task, chain.home, chain.produce().dataset)
    claimed = chain.register(0.01, task=task, evidence=test)
    (line,) = [item for item in claimed.gate if item.rule == "measured"]
    assert (claimed.status, line.passed) == ("refused", False)
    assert line.value == "1 over 7 windows after 3 rows of history"
