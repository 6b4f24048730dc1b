"""Items shared out among threads and processes: order, sizes, errors, and ends from outside."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest

from kinemill import parallel
from kinemill.errors import BadLog, ProcessLost, TaskError
from kinemill.parallel import MANY, SMALL, in_groups, in_processes, on_threads
from kinemill_dagster.resources.processes import wait_for

ROOT = Path(__file__).resolve().parents[1]


def where(item: int) -> tuple[int, int]:
    return item, os.getpid()


def refuse(item: int) -> int:
    if item == 3:
        raise BadLog(Path("a.csv"), "holds no rows", expected="rows", fix="record again")
    return item


def end(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def polars_threads(item: int) -> int:
    import polars as pl

    return pl.thread_pool_size()


def shared_out(items, size):
    result = [(group, list(results)) for group, results in in_groups(where, items, size)]
    for group, results in result:
        assert [item for item, _ in results] == group
    return result


def test_few_items_stay_in_this_process():
    result = shared_out(range(MANY - 1), lambda _: 100)
    assert {pid for _, results in result for _, pid in results} == {os.getpid()}
    assert [item for group, _ in result for item in group] == list(range(MANY - 1))
    assert {len(group) for group, _ in result} == {parallel.GROUP, (MANY - 1) % parallel.GROUP}


def test_many_small_items_go_to_processes_and_large_ones_to_threads():
    result = shared_out(range(MANY + 10), lambda item: SMALL if item % 41 == 0 else 100)
    pids = {item: pid for _, results in result for item, pid in results}
    assert sorted(pids) == list(range(MANY + 10))
    large = {item for item in pids if item % 41 == 0}
    assert {item for item, pid in pids.items() if pid == os.getpid()} == large


def test_a_group_ends_when_its_bytes_are_many():
    sizes = [parallel.GROUP_BYTES // 2] * 4
    groups = [group for group, _ in in_groups(where, [0, 1, 2, 3], sizes.__getitem__)]
    assert groups == [[0, 1], [2, 3]]


def test_threads_and_processes_give_the_same_in_order():
    own, other = (list(each(partial(pow, 3), range(50))) for each in (on_threads, in_processes))
    assert own == other == [3**item for item in range(50)]


def test_an_error_travels_as_it_is():
    with pytest.raises(BadLog) as caught:
        list(in_processes(refuse, range(20)))
    assert str(caught.value) == "a.csv: holds no rows; expected rows; record again"
    assert (caught.value.where, caught.value.fix) == ("a.csv", "record again")


@pytest.mark.parametrize(
    "error", [TaskError(["`dt` is missing", "`task` is missing"]), ProcessLost("rank 1", "is gone")]
)
def test_every_error_can_be_sent_to_another_process(error):
    import pickle

    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_process_that_is_ended_from_outside_is_told_of():
    with pytest.raises(ProcessLost, match=r"was killed; .*run"):
        list(in_processes(end, range(20)))
    assert list(in_processes(abs, range(-3, 0))) == [3, 2, 1]  # others take its place


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core works in this process")
def test_polars_takes_one_core_in_each_process(monkeypatch):
    monkeypatch.delenv("POLARS_MAX_THREADS", raising=False)
    assert set(in_processes(polars_threads, range(4))) == {1}


def test_processes_end_with_the_one_that_started_them():
    code = """
import time
from kinemill.parallel import in_processes
from tests.test_parallel import where
print(*{pid for _, pid in in_processes(where, range(40))}, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert parent.stdout
    workers = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    assert workers
    parent.kill()
    parent.wait()
    assert wait_for(workers, 20.0) == []
