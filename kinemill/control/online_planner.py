"""A planner on a robot, with the history of measured states and of actions that were sent.

    controller = Online(planner, simulator)
    guard = Watchdog(simulator, controller, max_age=..., deadline=..., sent=controller.sent)

`AsyncPlanner(planner)` in place of the planner plans while the robot acts.

Symbols: H history, S states, A actions, T horizon.
"""

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from kinemill.control.plan import Floats
from kinemill.control.planner import Planner
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


class AsyncPlanner:
    """Planner that plans in a thread while the robot follows the last plan.

    `act` returns at once with the action of the latest plan for the present step: a plan that took
    m steps is entered at its step m. Only the first call waits for its plan.

    Args:
        planner: plans; nobody else uses it.

    Attributes:
        delays: for each plan after the first, the number of steps from its observation to its use.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._pool = ThreadPoolExecutor(1, "planner")
        self._pending: Future[Floats] | None = None
        self.reset(0)

    @property
    def history(self) -> int:
        """H."""
        return self._planner.history

    def reset(self, seed: int) -> None:
        """Start an episode; a plan under way is finished and dropped."""
        if self._pending is not None:
            self._pending.exception()
        self._pending = None
        self._planner.reset(seed)
        self._actions: Floats | None = None
        self._step = 0  # of the plan that is followed
        self._waited = 0  # steps since the observation of the pending plan
        self.delays: list[int] = []

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Return the action (A,) at states (H, S) after past actions (H-1, A).

        Raises:
            Exception: The planning of an earlier step failed.
        """
        self._step += 1
        self._waited += 1
        if self._actions is None:
            self._actions = self._plan(states, past_actions, 0)
            self._step = 0
        elif self._pending is not None and self._pending.done():
            self._actions = self._pending.result()
            self._pending = None
            self._step = self._waited
            self.delays.append(self._waited)
        action = self._actions[min(self._step, len(self._actions) - 1)]
        if self._pending is None:
            steps = max(0, self._step - 1)  # `Planner.act` shifts by one itself
            self._pending = self._pool.submit(self._plan, states, past_actions, steps)
            self._waited = 0
        return action

    def close(self) -> None:
        """End the thread, after the plan under way."""
        self._pool.shutdown()

    def _plan(self, states: Floats, past_actions: Floats, steps: int) -> Floats:
        """Return the actions of a new plan, (T, A), from the present step on."""
        planner = self._planner
        planner.skip(steps)
        if len(past_actions):
            planner.last = np.asarray(past_actions[-1], float)  # which was sent
        planner.act(states, past_actions)
        return planner.actions(planner.plan.knots[None])[0]
