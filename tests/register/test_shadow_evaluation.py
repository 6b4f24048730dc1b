"""Shadow evaluation: a challenger and the champion on new logs."""

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.register.shadow_evaluation import shadow
from kinemill.task import load_task


@pytest.fixture
def task(task):
    return load_task(task.path, {"verify.horizon": 4, "ingest.min_file_age": 0.0})


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()

    def write(name, phase=0.0, rows=80):
        time = 0.02 * np.arange(rows)
        moved = np.sin(time + phase), np.cos(time + phase), np.full(rows, 2.0) + 0.1 * np.sin(time)
        lines = [
            ",".join(f"{value:.9g}" for value in row) for row in zip(time, *moved, strict=True)
        ]
        (folder / name).write_text("\n".join(["time,position,velocity,force", *lines, ""]))
        return folder

    return write


def test_it_records_who_would_have_been_right_on_each_new_log_once(chain, task, log):
    chain.register(0.1, gain=0.5)  # off by 1 all the time
    chain.register(0.31, gain=0.01)
    result = shadow(task, chain.home)
    (line,) = result.look(log("a.csv"))
    assert (line["name"], line["right"]) == ("a.csv", "challenger")
    assert line["ratio"] < 0.2
    assert line["rmse"]["champion"]["position"] > 0.9
    log("b.csv", phase=1.0)
    again = shadow(task, chain.home)
    assert [line["name"] for line in again.look(log("copy of b.csv", phase=1.0))] == ["b.csv"]
    assert list(again.look(log("b.csv", phase=1.0))) == []
    summary = again.summary()
    assert (summary["logs"], summary["right"]) == (
        2,
        {"champion": 0, "challenger": 2, "neither": 0},
    )
    assert (summary["champion"], summary["challenger"]) == (1, 2)


def test_what_says_nothing_is_noted_with_the_reason_and_not_counted(chain, task, log):
    chain.register(0.1)
    chain.register(0.31, gain=0.01)
    result = shadow(task, chain.home)
    (line,) = result.look(log("short.csv", rows=5))
    assert (line["right"], "short.csv" in line["why"]) == (None, True)
    assert (result.summary()["logs"], result.summary()["left_out"]) == (0, 1)


def test_a_line_that_a_kill_cut_spoils_no_other(chain, task, log):
    chain.register(0.1)
    chain.register(0.31, gain=0.01)
    result = shadow(task, chain.home)
    list(result.look(log("a.csv")))
    with result.record.open("a") as file:
        file.write('{"recording": "ab')
    (line,) = result.look(log("b.csv", phase=2.0))
    assert [item["name"] for item in result.lines()] == ["a.csv", line["name"]]


def test_without_a_champion_or_another_version_there_is_no_shadow(chain, task):
    with pytest.raises(BadInput, match="has no version yet"):
        shadow(task, chain.home)
    chain.register(0.1)
    with pytest.raises(BadInput, match="is the champion itself"):
        shadow(task, chain.home, ":1")
    chain.register(0.05, gain=0.6, dt=0.05)
    with pytest.raises(BadInput, match="cannot be compared with the champion: dt of the champion"):
        shadow(task, chain.home)
