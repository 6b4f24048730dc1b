"""Watchdog between a controller and a robot: sends the safe action if the controller fails.

    guard = Watchdog(simulator, controller, max_age=2 * simulator.dt, deadline=simulator.dt)
    guard.observe(state)                        # whenever a measurement arrives, from any thread
    command = guard.act()                       # at every tick; never later than the deadline

    guard = Watchdog(policy, max_age=2 * policy.dt, deadline=policy.dt)   # a policy is a controller

The controller runs in a separate thread, so that it cannot block the loop. A result after the
deadline is dropped, and no new call starts before it. Python switches threads every few
milliseconds (`sys.getswitchinterval`), so a shorter deadline requires a controller that releases
the GIL, as ONNX Runtime, compiled models and numpy do.

Symbols: S states, A actions.
"""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array, Axis, as_input
from kinemill.runtime.policy import Policy
from kinemill.runtime.simulator import Simulator

Controller = Callable[[Any], ArrayLike]

_STAMP = "stamp of another clock"


@dataclass(frozen=True)
class Command:
    """A command for the robot.

    Attributes:
        action: (A,), within the limits.
        why: "" for an action of the controller, else the reason for the safe action.
    """

    action: Array
    why: str = ""

    @property
    def safe(self) -> bool:
        """Whether this is the safe action."""
        return bool(self.why)


class Watchdog:
    """Returns actions of a controller, or the safe action if inputs or results are invalid.

    Args:
        model: names, limits and safe action of the task; loaded with `kinemill.runtime.load`.
        controller: function of the newest state (S,) to an action (A,); default: the policy.
        max_age: age of a stale measurement, s.
        deadline: time limit of the controller, s.
        clock: a monotonic clock, s.
        sent: called with every command: the action (A,), and the state (S,) or None if there was
            no valid one, so that a controller with memory learns what was sent.

    Raises:
        BadInput: A time is not above 0, or a simulator has no controller.
    """

    def __init__(
        self,
        model: Simulator | Policy,
        controller: Controller | None = None,
        *,
        max_age: float,
        deadline: float,
        clock: Callable[[], float] = time.monotonic,
        sent: Callable[[Array, object], None] | None = None,
    ) -> None:
        for name, value in (("max_age", max_age), ("deadline", deadline)):
            if not value > 0.0:
                raise BadInput(name, f"is {value} s", expected="more than 0 s")
        if controller is None:
            if isinstance(model, Simulator):
                raise BadInput(
                    "controller", "is not given", expected="a function that returns actions"
                )
            controller = model.act
        self._measured = model.as_measured
        self._controller = controller
        self._clock = clock
        self._sent = sent
        self._max_age = max_age
        self._deadline = deadline
        self._safe = model.safe_action
        self._names = model.actions
        pairs = [model.limits.get(name, (-np.inf, np.inf)) for name in model.actions]
        limits = np.array(pairs, dtype=np.float32).reshape(-1, 2)
        self._low = limits[:, 0]
        self._high = limits[:, 1]
        self._lock = threading.Lock()
        self._newest: tuple[Any, float] | None = None
        self._refused = ""  # why the last measurement was rejected
        self._pending: Future[ArrayLike] | None = None
        self._requests: SimpleQueue[tuple[Future[ArrayLike], object] | None] = SimpleQueue()
        # A daemon: a controller that hangs must not block the exit of the program.
        threading.Thread(target=self._run_controller, name="controller", daemon=True).start()
        self.counts: dict[str, int] = {}

    def observe(self, state: ArrayLike, stamp: float | None = None) -> None:
        """Add a measurement (S,), or an observation, made now or at `stamp` of the clock.

        A measurement older than the newest one is dropped. A stamp that is in the future or not
        finite is of another clock: the measurement is dropped and counted, and the previous one is
        used until it is stale.

        Raises:
            BadInput: The shape or type is invalid, or the stamp is not a number. NaN is accepted
                and leads to the safe action.
        """
        measured = self._measured(state)
        when = self._clock() if stamp is None else _seconds(stamp)
        with self._lock:
            self._refused = self._refusal(when)
            if self._refused:
                return
            if self._newest is None or when >= self._newest[1]:
                self._newest = (measured, when)

    def _refusal(self, when: float) -> str:
        """Return why a measurement with this stamp is rejected, and count it; else ""."""
        lead = when - self._clock()
        if lead <= 0.0 and math.isfinite(lead):
            return ""
        self.counts[_STAMP] = self.counts.get(_STAMP, 0) + 1
        return f"the last one is stamped {lead:.4g} s ahead of the clock and was rejected"

    @property
    def safe_action(self) -> Array:
        """The safe action (A,), in the units of the model."""
        return self._safe.copy()

    def act(self) -> Command:
        """Return the next command, within the deadline."""
        with self._lock:
            newest = self._newest
            refused = self._refused
        fault, detail = self._input_fault(newest)
        if fault and refused:
            detail = f"{detail}; {refused}" if detail else refused
        state = None if newest is None or fault else newest[0]
        command = self._fall_back(fault, detail) if state is None else self._ask_controller(state)
        if self._sent is not None:
            self._sent(command.action, state)
        return command

    def _input_fault(self, newest: tuple[ArrayLike, float] | None) -> tuple[str, str]:
        """Return the fault of the newest measurement and details, or two ""."""
        if newest is None:
            return "nothing was observed yet", ""
        state, when = newest
        age = self._clock() - when
        if not 0.0 <= age <= self._max_age:
            return "stale input", f"measured {age:.4g} s ago"
        parts = state.values() if isinstance(state, dict) else [state]
        is_finite = all(bool(np.isfinite(part).all()) for part in parts)
        return ("", "") if is_finite else ("input is not finite", "")

    def close(self) -> None:
        """End the thread of the controller after its current call."""
        self._requests.put(None)

    def _run_controller(self) -> None:
        while (request := self._requests.get()) is not None:
            future, state = request
            try:
                future.set_result(self._controller(state))
            except Exception as error:  # noqa: BLE001 - raised in the caller
                future.set_exception(error)
            except BaseException as error:  # noqa: BLE001 - `sys.exit` must not end this thread
                future.set_exception(RuntimeError(repr(error)))

    def _ask_controller(self, state: object) -> Command:
        # One call at a time: a queue of requests would make a slow controller act on old states.
        if self._pending is not None and not self._pending.done():
            return self._fall_back("the controller is still late")
        self._pending = Future()
        self._requests.put((self._pending, state))
        try:
            value = self._pending.result(timeout=self._deadline)
        except Late as late:
            # The controller itself may raise a TimeoutError, which is not a missed deadline.
            if self._pending.done() and self._pending.exception(0) is late:
                return self._fall_back("the controller failed", repr(late))
            return self._fall_back("over-run", f"more than {self._deadline:g} s")
        except Exception as error:  # noqa: BLE001 - the robot needs an action after any error
            return self._fall_back("the controller failed", repr(error))
        return self._limit(value)

    def _limit(self, value: ArrayLike) -> Command:
        try:
            axes = [Axis("actions", len(self._names), self._names)]
            action = as_input("action", np.atleast_1d(value), axes, finite=True)
        except BadInput as error:
            return self._fall_back("the action cannot be sent", str(error))
        return Command(np.clip(action, self._low, self._high))

    def _fall_back(self, why: str, more: str = "") -> Command:
        with self._lock:
            self.counts[why] = self.counts.get(why, 0) + 1
        return Command(self._safe.copy(), f"{why}: {more}" if more else why)


def _seconds(stamp: float) -> float:
    """Return a stamp as a number.

    Raises:
        BadInput: It is not a number.
    """
    try:
        return float(stamp)
    except (TypeError, ValueError) as error:
        raise BadInput("stamp", f"is {stamp!r}", expected="seconds of the clock") from error
