"""A planner on a robot: it keeps the history that a model wants to know, of what was really sent.

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
    """From the newest state (S,) to an action (A,), for `kinemill.runtime.Watchdog`.

    Until it has seen enough, and after a gap, it rests at the safe action.

    Args:
        policy: a planner, or any policy that wants the last H rows.
        simulator: whose safe action it rests at.
    """

    def __init__(self, policy: Policy, simulator: Simulator) -> None:
        self._policy, self._rest = policy, simulator.safe_action
        self._lock = threading.Lock()  # it is asked in one thread, and told in another
        self._past: deque[tuple[Array, Array]] = deque(maxlen=policy.history - 1)

    def __call__(self, state: Array) -> Floats:
        """Choose the action from `state` on."""
        with self._lock:
            past = list(self._past)
        if len(past) < self._policy.history - 1:
            return self._rest
        states = np.stack([*(row for row, _ in past), state])
        actions = np.array([action for _, action in past], dtype=np.float32)
        return self._policy.act(states, actions.reshape(len(past), len(self._rest)))

    def sent(self, action: Array, state: Array | None) -> None:
        """Record the action (A,) that was sent, and the state (S,) before; None if not measured."""
        with self._lock:
            if state is None:
                self._past.clear()
            else:
                self._past.append((state, action))
