"""Ways to become champion without a better model, all of which the gate refuses."""

import pytest

from kinemill.errors import TaskError
from kinemill.register.gate.measurements import DynamicsMeasurements
from kinemill.task import load_task


def test_a_metric_of_no_state_is_refused_with_the_nearest(chain):
    with pytest.raises(TaskError, match=r"promote\.metric: unknown metric 'test/positon'"):
        load_task(chain.task.path, {"promote.metric": "test/positon"})


def test_numbers_that_the_files_do_not_bear_out_are_found_out_by_measuring(chain):
    # The model answers the last state + 0.5 * 2 N to states that alternate 1, -1: its nrmse is 1,
    # and the 40 rows of the test episode hold 7 windows of 3 + 4 rows, one every 5.
    task = load_task(chain.task.path, {"verify.horizon": 4, "promote.beats": []})
    test = DynamicsMeasurements(task, chain.home, chain.produce().dataset)
    claimed = chain.register(0.01, task=task, evidence=test)
    (line,) = [item for item in claimed.gate if item.rule == "measured"]
    assert (claimed.status, line.passed) == ("refused", False)
    assert line.value == "1 over 7 windows after 3 rows of history"
