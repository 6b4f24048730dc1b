"""Watchdog: it sends the declared safe action after each fault, within the deadline."""

import threading
import time

import numpy as np
import pytest

from kinemill.errors import BadInput
from kinemill.runtime import Watchdog, load
from kinemill.task.export import Export
from tests.export.conftest import DESCRIPTION, random_step

SAFE = -1.5  # N·m, declared by the task


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    from kinemill.export.interface import describe
    from kinemill.export.step_files import write_model

    step, folder = random_step("mlp"), tmp_path_factory.mktemp("model")
    settings = Export(safe_action={"torque": SAFE})
    write_model(step, describe(DESCRIPTION, step), folder, settings)
    return load(folder)


class Clock:
    """A clock that the test advances."""

    now = 10.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def guarded(simulator, controller, clock, **changes):
    settings = {"max_age": 0.04, "deadline": 5.0, **changes}
    return Watchdog(simulator, controller, clock=clock, **settings)


def test_a_fresh_state_is_answered_by_the_controller_within_limits(simulator, clock):
    guard = guarded(simulator, lambda state: [10.0 * state[0]], clock)
    guard.observe([0.2, 0.0])
    command = guard.act()
    assert (command.action, command.safe, command.why) == (np.float32(2.0), False, "")
    guard.observe([0.9, 0.0])
    assert guard.act().action == 6.0  # N·m, the limit of the torque
    guard.close()


def test_stale_input_is_answered_safely_until_a_fresh_one_comes(simulator, clock):
    guard = guarded(simulator, lambda state: [1.0], clock)
    assert guard.act().why == "nothing was observed yet"
    guard.observe([0.0, 0.0])
    clock.now += 0.05
    command = guard.act()
    assert (command.action, command.why) == (SAFE, "stale input: measured 0.05 s ago")
    guard.observe([0.0, 0.0], stamp=9.0)  # from a slow path: older than the newest
    assert guard.act().safe
    guard.observe([0.0, 0.0])
    assert guard.act().action == 1.0
    clock.now += 0.05
    guard.observe([0.0, 0.0], stamp=clock.now + 1.0)  # a clock that is not this one
    command = guard.act()
    assert command.why.startswith("stale input: measured 0.05 s ago; the last one is stamped 1 s")
    counts = {"nothing was observed yet": 1, "stale input": 3, "stamp of another clock": 1}
    assert guard.counts == counts


@pytest.mark.parametrize("stamp", [1e12, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("first", [True, False])
def test_a_stamp_of_another_clock_does_not_lock_the_safe_action(stamp, first, simulator, clock):
    guard = guarded(simulator, lambda state: [1.0], clock)
    if not first:
        guard.observe([0.0, 0.0])
    guard.observe([0.0, 0.0], stamp=stamp)
    assert guard.act().safe == first  # what was measured before counts until it is stale
    for _ in range(3):
        clock.now += 0.02
        guard.observe([0.0, 0.0])
        assert guard.act().action == 1.0
    with pytest.raises(BadInput, match="stamp: is 'now'; expected seconds of the clock"):
        guard.observe([0.0, 0.0], stamp="now")


def test_a_controller_that_exits_does_not_lock_the_safe_action(simulator, clock):
    values = iter([SystemExit(3), [1.0]])

    def controller(state):
        value = next(values)
        if isinstance(value, BaseException):
            raise value
        return value

    guard = guarded(simulator, controller, clock)
    guard.observe([0.0, 0.0])
    assert guard.act().why == "the controller failed: RuntimeError('SystemExit(3)')"
    assert guard.act().action == 1.0


def test_an_over_run_is_answered_in_time_and_its_late_answer_dropped(simulator, clock):
    gate = threading.Event()
    guard = guarded(simulator, lambda state: [1.0] if gate.wait(30.0) else [2.0], clock)
    guard._deadline = 0.01
    guard.observe([0.0, 0.0])
    began = time.monotonic()
    command = guard.act()
    assert (command.action, command.why) == (SAFE, "over-run: more than 0.01 s")
    assert guard.act().why == "the controller is still late"
    assert time.monotonic() - began < 20.0  # neither waited for the controller's 30 s
    gate.set()
    guard._pending.result(timeout=30.0)
    guard._deadline = 5.0
    assert guard.act().action == 1.0


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (lambda state: [np.nan], "the action cannot be sent: action, torque: is nan"),
        (lambda state: [1.0, 2.0], "the action cannot be sent: action: has shape (2,)"),
        (lambda state: 1 / 0, "the controller failed: ZeroDivisionError"),
        (lambda state: (_ for _ in ()).throw(TimeoutError("bus")), "the controller failed"),
    ],
)
def test_an_answer_that_cannot_be_sent_is_replaced(value, why, simulator, clock):
    guard = guarded(simulator, value, clock)
    guard.observe([0.0, 0.0])
    command = guard.act()
    assert command.action == SAFE
    assert command.why.startswith(why)


def test_a_measurement_that_is_no_number_is_answered_safely(simulator, clock):
    guard = guarded(simulator, lambda state: [1.0], clock)
    guard.observe([np.nan, 0.0])
    assert guard.act().why == "input is not finite"
    with pytest.raises(BadInput, match="state: has shape"):
        guard.observe([0.0])


def test_times_that_mean_nothing_are_refused(simulator, clock):
    for name in ("max_age", "deadline"):
        with pytest.raises(BadInput, match=f"{name}: is nan s"):
            guarded(simulator, lambda state: [1.0], clock, **{name: np.nan})
