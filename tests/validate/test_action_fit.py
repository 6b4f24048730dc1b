"""Actions that are late, inverted or exchanged in a log, found by the other logs of its task."""

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import stage as ingest
from kinemill.validate import stage as validate
from kinemill.validate.action_fit import MOST_ROWS, comparable, find_action_faults
from kinemill.validate.stage import load_checks
from tests.conftest import learning_task

NAMES = ["tank", "pipe", "pump", "heater", "valve"]


@pytest.fixture(scope="module")
def task():
    channels = {name: {"role": "state", "unit": "1"} for name in NAMES[:2]}
    channels |= {name: {"role": "action", "unit": "1"} for name in NAMES[2:]}
    return learning_task("tanks", 0.01, channels, ingest={"min_file_age": 0.0})


def run(seed, rows=1200, gain=1.0):
    """Return a log of two states that lag behind three held actions, with noise."""
    random = np.random.default_rng(seed)
    actions = np.repeat(random.normal(size=(rows // 15, 3)), 15, axis=0)
    states = np.zeros((rows, 2))
    for k in range(rows - 1):
        push = np.array([[0.05, 0.01, 0.02], [-0.01, 0.03, -0.02]]) @ actions[k]
        states[k + 1] = 0.98 * states[k] + gain * push + 0.002 * random.normal(size=2)
    return dict(zip(NAMES, np.concatenate([states, actions], axis=1).T, strict=True))


@pytest.fixture(scope="module")
def logs():
    return {f"run{seed}": run(seed) for seed in range(7)}


def test_sound_logs_have_no_fault(task, logs):
    assert find_action_faults(logs, task) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda log: log | {name: np.roll(log[name], 10) for name in NAMES[2:]},
         "as if its actions were 0.1 s late"),
        (lambda log: log | {name: np.roll(log[name], 40) for name in NAMES[2:]},
         "as if its actions were 0.4 s late"),
        (lambda log: log | {"pump": np.roll(log["pump"], -10)}, "as if pump were 0.1 s early"),
        (lambda log: log | {"pump": -log["pump"]}, "as if pump were inverted"),
        (lambda log: log | {"pump": log["heater"], "heater": log["pump"]},
         "as if pump and heater were exchanged"),
        (lambda log: log | {name: -log[name] for name in NAMES[2:]},
         "as if pump, heater and valve were inverted"),
        (lambda log: log | {"pump": log["valve"], "heater": log["pump"], "valve": log["heater"]},
         "as if pump, heater and valve were exchanged"),
        (lambda log: log | {"pump": -log["valve"], "valve": log["pump"]},
         "as if pump and valve were exchanged, and pump were inverted"),
    ],
)  # fmt: skip
def test_changed_actions_are_named_with_their_log(task, logs, change, words):
    (fault,) = find_action_faults(logs | {"run3": change(logs["run3"])}, task)
    assert fault.log == "run3"
    assert fault.what.startswith(words)


@pytest.mark.parametrize(
    ("dt", "shift", "words"), [(0.001, 400, "0.4 s late"), (1.0, 8, "8 s late")]
)
def test_late_actions_of_fast_and_slow_logs_are_found(task, logs, dt, shift, words):
    task = task.model_copy(update={"dt": dt})
    rows = max(1, round(0.01 / dt))
    logs = {name: {key: np.repeat(column, rows) for key, column in log.items()}
            for name, log in logs.items()}  # fmt: skip
    logs["run3"] |= {name: np.roll(logs["run3"][name], shift) for name in NAMES[2:]}
    sampled = {name: comparable(log, task) for name, log in logs.items()}
    (fault,) = find_action_faults(sampled, task)
    assert fault.log == "run3"
    assert fault.what.startswith(f"as if its actions were {words}")


def test_long_rest_before_the_motion_is_not_compared(task, logs):
    resting = {
        name: {key: np.concatenate([np.zeros(5000), column]) for key, column in log.items()}
        for name, log in logs.items()
    }
    sampled = comparable(resting["run3"], task)
    assert {len(column) for column in sampled.values()} == {MOST_ROWS}
    assert np.count_nonzero(sampled["pump"]) > 1100
    resting["run3"]["pump"] *= -1.0
    (fault,) = find_action_faults(
        {name: comparable(log, task) for name, log in resting.items()}, task
    )
    assert fault.what.startswith("as if pump were inverted")


def test_a_dead_time_of_all_logs_is_no_fault(task, logs):
    late = {name: log | {action: np.roll(log[action], -6) for action in NAMES[2:]}
            for name, log in logs.items()}  # fmt: skip
    assert find_action_faults(late, task) == []


def test_four_logs_are_too_few(task, logs):
    few = {name: logs[name] for name in ("run0", "run1", "run2")}
    inverted = {**logs["run3"], "pump": -logs["run3"]["pump"]}
    assert find_action_faults(few | {"run3": inverted}, task) == []


def test_validation_warns_of_a_log_with_late_actions_and_accepts_it(task, logs, home, tmp_path):
    late = {name: np.roll(logs["run3"][name], 10) for name in NAMES[2:]}
    for name, log in (logs | {"run3": logs["run3"] | late}).items():
        clock = {"time": 0.01 * np.arange(len(log["tank"]))}
        pl.DataFrame({**clock, **log}).write_csv(tmp_path / f"{name}.csv")
    artifact = validate.run(task, home, ingest.run(task, home, tmp_path).artifact.ref)
    assert (artifact.summary["recordings"], artifact.summary["quarantined"]) == (7, 0)
    (check,) = [item for item in load_checks(home, artifact.ref) if item.name == "action_outliers"]
    assert (check.passed, check.blocking, check.values["found"]) == (False, False, 1)
    (item,) = check.values["failing"]
    assert item["recording"] == "run3.csv"
    assert item["found"].startswith("as if its actions were 0.1 s late")
