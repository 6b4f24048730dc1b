"""A planner on a robot, with the history of measured states and of actions that were sent.

    controller = Online(planner, simulator)
    guard = Watchdog(simulator, controller, max_age=..., deadline=..., sent=controller.sent)

Symbols: H history, S states, A actions.
"""

import threading
from collections import deque

import numpy as np

from kinemill.control.plan import Floats
from kinemill.control.policies import Policy
from kinemill.runtime import Simulator
from kinemill.runtime.input_checks import Array


class Online:
    """Controller of `kinemill.runtime.Watchdog`: newest state (S,) -> action (A,), in task units.

    Until its history is full, and after a gap in it, it returns the safe action.

    Args:
        policy: a planner, or another policy with a history of H rows.
        simulator: model that declares the safe action.
    """

    def __init__(self, policy: Policy, simulator: Simulator) -> None:
        self._policy = policy
        self._rest = simulator.safe_action
        self._lock = threading.Lock()  # the watchdog calls this object and `sent` in two threads
        self._past: deque[tuple[Array, Array]] = deque(maxlen=policy.history - 1)

    def __call__(self, state: Array) -> Floats:
        """Choose the action (A,) at `state` (S,)."""
        with self._lock:
            past = list(self._past)
        if len(past) < self._policy.history - 1:
            return self._rest
        states = np.stack([*(row for row, _ in past), state])
        actions = np.array([action for _, action in past], dtype=np.float32)
        return self._policy.act(states, actions.reshape(len(past), len(self._rest)))

    def sent(self, action: Array, state: Array | None) -> None:
        """Record the sent action (A,), and the state (S,) before it or None, in task units."""
        with self._lock:
            if state is None:
                self._past.clear()
            else:
                self._past.append((state, action))
