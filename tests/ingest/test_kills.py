"""SIGKILL at every step of ingest and validate: after a restart each log is there exactly once.

The run that is killed takes two deliveries of logs, good, bad and copied ones. Fault points are
read from the code, so that a new one is tried without anything being written here. The normal run
kills once at each, at a passing drawn by its name; the slow one, `pytest -m slow
tests/ingest/test_kills.py`, 200 times at passings drawn by KINEMILL_SEED (0), and fills the disk
as often.
"""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.ingest._faults import (
    Pipelines,
    Site,
    assert_each_once,
    assert_whole,
    contents,
    fault_points,
)

TASK = """
task: drive
dt: 0.01
channels:
  angle: {role: state, unit: m}
  torque: {role: action, unit: N*m}
ingest: {min_file_age: 0.0}
validate: {max_quarantined_share: 0.9}
learn: {type: dynamics, model: {type: mlp}}
"""
SLOW_TRIALS = 200
pytestmark = pytest.mark.ci


def log(rows: int, shift: float) -> bytes:
    lines = [f"{k / 100},{(k % 17) * 0.01 + shift},{(k % 5) * 0.1}" for k in range(rows)]
    return "\n".join(["time,angle,torque", *lines, ""]).encode()


@pytest.fixture(scope="module")
def pipelines() -> Pipelines:
    return Pipelines()


@pytest.fixture(scope="module")
def reference(pipelines, tmp_path_factory):
    """A site whose deliveries were taken without interruption, and what its mill told."""
    folder = tmp_path_factory.mktemp("kills")
    (folder / "drive.yaml").write_text(TASK)
    first = {"a.csv": log(60, 0.0), "bad.csv": b"time,angle\n0,1\n", "b.csv": log(80, 0.5)}
    second = {
        "c.csv": log(70, 1.0),
        "a_copy.csv": log(60, 0.0),
        "a_again.csv": log(60, 0.001),
        "cut.csv": log(50, 2.0)[:-30],
    }
    site = Site(folder / "drive.yaml", folder / "whole" / "home", folder / "whole" / "logs")
    site.deliveries.extend([first, second])
    code, result = pipelines.run(site)
    assert code == 0
    return site, result


def drawn(passings: dict[str, int], seed: int) -> list[str]:
    """Return one passing of each fault point, `name:n`."""
    return [
        f"{name}:{random.Random(f'{seed} {name}').randint(1, count)}"
        for name, count in passings.items()
    ]


def test_an_uninterrupted_run_passes_every_fault_point(reference):
    site, result = reference
    assert set(result["passings"]) == set(fault_points())
    assert_whole(site)
    assert_each_once(site, result["result"])
    assert any(name.startswith("store/duplicates/") for name in contents(site))


def is_as_if_never_interrupted(pipelines, reference, broken: Site) -> None:
    whole, result = reference
    assert_whole(broken)
    code, again = pipelines.run(broken)
    assert code == 0
    assert again["result"] == result["result"]
    assert_whole(broken)
    assert_each_once(broken, again["result"])
    assert contents(broken) == contents(whole)
    store = broken.home / "store"
    assert [*(store / ".staging").iterdir(), *(store / "raw").rglob(".*")] == []


def kill(pipelines, reference, fault: str, where: str = "killed") -> None:
    site = reference[0].to(f"{where} at {fault}")
    code, _ = pipelines.run(site, fault)
    assert code == -signal.SIGKILL
    is_as_if_never_interrupted(pipelines, reference, site)


def test_killed_anywhere_it_goes_on_as_if_nothing_had_happened(pipelines, reference):
    faults = drawn(reference[1]["passings"], seed=0)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda fault: kill(pipelines, reference, fault), faults))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "ends"),
    [
        ("count", 0),
        ("outcome.built:2", 1),  # one of the processes that read dies, and this is told of
        ("raw.copied:1", 1),
        ("error:outcome.staged:2", 1),
        ("moves.renamed:2", -signal.SIGKILL),
        ("ingest.recorded:2", -signal.SIGKILL),
    ],
)
def test_many_logs_are_read_in_processes_which_may_be_killed_too(pipelines, reference, fault, ends):
    site = replace(reference[0].to(f"apart at {fault}"), in_processes=True)
    code, _ = pipelines.run(site, fault)
    assert code == ends
    is_as_if_never_interrupted(pipelines, reference, replace(site, in_processes=False))


def test_what_was_entered_is_not_lost_with_its_file(pipelines, reference):
    site = reference[0].to("file gone")
    code, _ = pipelines.run(site, "ingest.recorded:2")
    assert code == -signal.SIGKILL
    (site.logs / "c.csv").unlink()
    code, result = pipelines.run(replace(site, deliveries=[]))
    assert code == 0
    assert result["result"] == reference[1]["result"]


def test_a_full_disk_is_an_error_and_costs_nothing_that_was_there(pipelines, reference):
    for fault in ("raw.copied:2", "outcome.built:3", "file.written:2"):
        site = reference[0].to(f"full at {fault}")
        code, _ = pipelines.run(site, f"error:{fault}")
        assert code == 1
        is_as_if_never_interrupted(pipelines, reference, site)


def test_of_two_that_mill_at_once_one_may_die(pipelines, reference):
    site = reference[0].to("two at once")
    while site.deliver():
        pass
    doomed, _ = pipelines.start(site, "outcome.sealed:4", "doomed")
    lock_file = site.home / ".locks" / "ingest-drive"
    while doomed.is_alive() and not (lock_file.is_file() and lock_file.read_text()):
        time.sleep(0.001)  # else the other may come first and leave it nothing to die of
    code, result = pipelines.run(site)
    doomed.join(60)
    assert (code, doomed.exitcode) == (0, -signal.SIGKILL)
    assert result["result"] == reference[1]["result"]
    assert_whole(site)
    assert_each_once(site, result["result"])


@pytest.mark.slow
def test_killed_at_any_passing_or_out_of_disk(pipelines, reference):
    seed, passings = int(os.environ.get("KINEMILL_SEED", "0")), reference[1]["passings"]
    draw, missed = random.Random(seed), list[str]()
    every = [f"{name}:{n}" for name, count in passings.items() for n in range(1, count + 1)]
    for fault in draw.sample(every, min(SLOW_TRIALS, len(every))):
        for end, what, where in (
            (-signal.SIGKILL, fault, "killed too"),
            (1, f"error:{fault}", "full too"),
        ):
            site = reference[0].to(f"{where} at {fault}")
            code, _ = pipelines.run(site, what)
            if code == 0:  # it wrote less often: files that just changed are not cached
                missed.append(fault)
                continue
            assert code == end
            is_as_if_never_interrupted(pipelines, reference, site)
    assert len(missed) <= 0.05 * SLOW_TRIALS
