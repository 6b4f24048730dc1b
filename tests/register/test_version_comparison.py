"""Comparison of two versions on the same windows."""

import json

import pytest

from kinemill.errors import BadInput
from kinemill.register.version_comparison import compare
from kinemill.store import to_json_value
from kinemill.task import load_task


@pytest.fixture
def task(tmp_path, task):
    return load_task(task.path, {"verify.horizon": 4})


def test_errors_stand_side_by_side_by_channel_and_step(chain, task):
    chain.register(0.1, gain=0.5)
    chain.register(0.05, gain=0.25, champion=0.1)
    document = compare(task, chain.home, ":1", "@champion")
    # States alternate 1, -1 and the force is 2 N: after an even number of steps a model that
    # answers the last state + gain * 2 N is off by gain * 2.
    assert (document.a.version, document.b.version) == (1, 2)
    line = document.channels["velocity"]
    assert (line.unit, line.a.rmse, line.b.rmse) == ("m/s", 1.0, 0.5)
    assert line.a.by_step[1::2] == [1.0, 1.0]
    assert len(line.b.by_step) == 4
    assert (document.nrmse.ratio, document.windows.count) == (0.5, 7)
    # The errors are in proportion in each of 7 windows, which do not overlap.
    assert (document.nrmse.interval, document.better) == ((0.5, 0.5), "b")
    assert (document.windows.effective_n, document.windows.unit) == (7.0, "blocks")
    json.dumps(to_json_value(document), allow_nan=False)


def test_what_sees_other_channels_cannot_be_compared(chain, task):
    chain.register(0.1)
    chain.register(0.05, gain=0.6, dt=0.05)
    with pytest.raises(BadInput, match=r"cannot be compared: dt of the models:/cart/1"):
        compare(task, chain.home, ":1", ":2")


def test_only_the_champion_of_now_is_labeled_champion(chain, task):
    chain.register(0.1, gain=0.5)
    chain.register(0.05, gain=0.25, champion=0.1)
    document = compare(task, chain.home, ":1", ":2")
    assert [side.decision for side in (document.a, document.b)] == ["champion", "champion"]
    assert [side.status for side in (document.a, document.b)] == ["former champion", "champion"]
