"""Receding horizon planner: from the newest measurement to the next action by sampling.

One step shifts the last plan by dt. Then, `iterations` times, it draws knots, converts them to
actions within limits and rates, rolls them out on every model, combines the costs of the models,
and updates the plan. Risk measures combine costs of B plans by M models, (M, B) -> (B,):

average     mean over models                    worst, best    the largest, the smallest
exponential log(mean(exp(a J))) / a             (Whittle 1981; a > 0 averse, a < 0 seeking)
value_at_risk   the quantile at `level`
cvar        mean of the costs at or beyond that quantile (Rockafellar and Uryasev 2000)

All results have the unit of the cost. `Online` runs a planner on a robot, with the history of
measured states and of actions that were sent:

    controller = Online(planner, simulator)
    guard = Watchdog(simulator, controller, max_age=..., deadline=..., sent=controller.sent)

`AsyncPlanner(planner)` in place of the planner plans while the robot acts.

Symbols: H history, S states, A actions, T horizon.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from kinemill.control.cost import Cost
from kinemill.control.physics import control_of
from kinemill.control.plan import Floats, Plan, matrices
from kinemill.control.policies import Policy, action_limits
from kinemill.errors import BadInput
from kinemill.runtime import Simulator
from kinemill.runtime.input_checks import Array
from kinemill.task.control import Controller, Risk
from kinemill.task.document import Task

_LOG = logging.getLogger(__name__)


class Model(Protocol):
    """A simulator, learned or physical."""

    @property
    def history(self) -> int:
        """Rows before the first prediction, H; the last of them is the current one."""
        ...

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Roll out actions from one history.

        Args:
            states: (H, S) in task units, the last row is the current one.
            past_actions: (H-1, A), the actions between those states.
            actions: (B, T, A), the first acts from the current state on.

        Returns:
            (B, T, S), the states after each of `actions`, or (M, B, T, S) as predicted by the M
            members of an ensemble. NaN marks a plan that diverges in the model.
        """
        ...


@runtime_checkable
class ObservingModel(Protocol):
    """A model that updates its uncertainty with the rows measured between two plans."""

    def observe(self, states: Floats, past_actions: Floats) -> None:
        """Update with the newest row; called once per step before planning.

        States (H, S), newest last, and the actions between them (H-1, A), in task units.
        """
        ...


@dataclass
class Planner:
    """A controller with its state: the plan and the last action.

    If no plan has a finite cost, because all diverge in the model or exceed
    `control.uncertainty.max_std`, the action is zero, or the nearest value within limits, and the
    first such step since `reset` logs a warning.

    Args:
        controller: how plans are drawn and updated.
        models: M models; each simulates every plan.
        cost: cost of a plan.
        limits: lowest and highest action, (2, A), in task units.
        max_change: largest change of an action in one step, (A,), in task units; infinite without
            a limit.
        risk: risk measure that combines the costs of the models.

    Attributes:
        refused: steps since `reset` at which no plan had a finite cost.
    """

    controller: Controller
    models: Sequence[Model]
    cost: Cost
    limits: Floats
    max_change: Floats
    risk: Risk = field(default_factory=Risk)

    def __post_init__(self) -> None:
        settings = self.controller
        self._knots = min(settings.knots or settings.horizon, settings.horizon)
        self._spline, self._shift = matrices(settings.spline, self._knots, settings.horizon)
        self._is_identity = np.array_equal(self._spline, np.eye(self._knots))  # a knot each step
        self._spline_32 = self._spline.T.astype(np.float32)
        self._is_single = False  # until the models have predicted one cost for each plan
        self._rated = bool(np.isfinite(self.max_change).any())
        self.reset(0)

    @property
    def history(self) -> int:
        """Rows of the longest history that a model needs, H."""
        return max(model.history for model in self.models)

    def reset(self, seed: int) -> None:
        """Drop the plan; all random numbers from here on follow from the seed."""
        low, high = self.limits
        rest = np.clip(np.zeros_like(low), low, high)
        half = (high - low) / 2.0
        self._random = np.random.default_rng(seed)
        # In half ranges from the middle: knots are within [-1, 1].
        self._rest = (rest - (high + low) / 2.0) / half
        self.plan = Plan(np.tile(self._rest, (self._knots, 1)))
        self.last = rest
        self.refused = 0

    def act(self, states: Floats, past_actions: Floats) -> Floats:
        """Choose the next action.

        Args:
            states: (H, S) in task units, the last row is the current one.
            past_actions: (H-1, A), the actions between those states.

        Returns:
            (A,), within limits and rates.

        Raises:
            BadInput: The states are no history of at least H rows.
        """
        shape = np.shape(states)
        if len(shape) != 2 or shape[0] < self.history:
            expected = f"(H, S) with at least {self.history} rows, newest last"
            raise BadInput("states", f"has shape {shape}", expected=expected)
        for model in self.models:
            if isinstance(model, ObservingModel):
                model.observe(states, past_actions)
        self.skip(1)
        is_refused = True
        for iteration in range(self.controller.iterations):
            drawn = self.controller.draw(self.plan, iteration, self._random)
            knots = np.clip(drawn, -1.0, 1.0)
            costs = self.costs(states, past_actions, self.actions(knots))
            if np.isfinite(costs).any():
                self.plan = self.controller.update(self.plan, knots, costs)
                is_refused = False
        if is_refused:
            if not self.refused:
                _LOG.warning(
                    "no plan has a finite cost, so the action is zero: check the measurement, the "
                    "formulas of control.cost, and control.uncertainty.max_std"
                )
            self.refused += 1
            self.plan = Plan(np.tile(self._rest, (self._knots, 1)))
        self.last = self._first(self.plan.knots)
        return self.last

    def skip(self, steps: int) -> None:
        """Shift the plan by some steps: the first knot belongs to the present again."""
        for _ in range(steps):
            self.plan = Plan(self._shift @ self.plan.knots, self.plan.std)

    def _first(self, knots: Floats) -> Floats:
        """Return the first action (A,) of knots (K, A)."""
        low, high = self.limits
        share = np.clip(self._spline[0] @ knots, -1.0, 1.0)
        action = low + (share + 1.0) * ((high - low) / 2.0)
        if not self._rated:
            return action
        return self.last + np.clip(action - self.last, -self.max_change, self.max_change)

    def actions(self, knots: Floats) -> Floats:
        """Return the actions of knots in task units: (B, K, A) -> (B, T, A), in the same type."""
        low, high = self.limits.astype(knots.dtype, copy=False)
        share = knots if self._is_identity else self._between(knots)
        actions = share + 1.0
        actions *= (high - low) / 2.0
        actions += low
        return self._slowed(actions) if self._rated else actions

    def _between(self, knots: Floats) -> Floats:
        """Return the spline through knots (B, K, A) within [-1, 1], (B, T, A)."""
        samples, count, width = knots.shape
        spline = self._spline_32 if knots.dtype == np.float32 else self._spline.T
        # One large matrix product: B small ones take three times as long.
        values = np.swapaxes(knots, 1, 2).reshape(-1, count) @ spline
        # A cubic spline can overshoot its knots.
        return np.clip(np.swapaxes(values.reshape(samples, width, -1), 1, 2), -1.0, 1.0)

    def _slowed(self, actions: Floats) -> Floats:
        slowed = np.empty_like(actions)
        previous = self.last
        for k in range(actions.shape[1]):
            # Relative to the limited action before it, which is the one that acts.
            change = np.clip(actions[:, k] - previous, -self.max_change, self.max_change)
            slowed[:, k] = previous = previous + change
        return slowed

    def costs(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Return the costs (B,) of plans (B, T, A), combined over the models by the risk measure.

        Args:
            states: (H, S) in task units, the last row is the current one.
            past_actions: (H-1, A), the actions between those states.
            actions: (B, T, A) in task units.

        Returns:
            (B,); a plan that diverges in a model has an infinite cost there.
        """
        model_costs = [self._cost(model, states, past_actions, actions) for model in self.models]
        # (M, B) of an ensemble and (B,) of one model become rows of one array.
        costs = np.concatenate([cost.reshape(-1, len(actions)) for cost in model_costs])
        if len(costs) > 1:
            return RISKS[self.risk.type](costs, self.risk)
        if self.risk.type != "average" and not self._is_single:
            _LOG.warning("control.risk has no effect: one model without members predicts the plans")
        self._is_single = True
        return costs[0]

    def _cost(self, model: Model, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        rows = model.history
        # Counted from the start, because `[-0:]` would be the whole array.
        past = past_actions[len(past_actions) - (rows - 1) :]
        predicted = model.rollout(states[len(states) - rows :], past, actions)
        shape = (*actions.shape[:2], states.shape[-1])
        if predicted.shape[-3:] != shape:
            where = f"{type(model).__name__}.rollout"
            expected = f"{shape}: plans, steps, states"
            raise BadInput(where, f"returned an array {predicted.shape}", expected=expected)
        with np.errstate(over="ignore", invalid="ignore"):  # a model may diverge; that costs inf
            costs = self.cost.total(predicted, actions, self.last, states[-1])
        return np.where(np.isfinite(costs), costs, np.inf)


def make_planner(task: Task, models: Sequence[Model]) -> Planner:
    """Return the planner of a task.

    Args:
        task: task with a `control` part.
        models: each simulates every plan.

    Raises:
        BadInput: The task has no `control` part, or `models` is empty.
    """
    control = control_of(task)
    if not models:
        raise BadInput("models", "is empty", expected="one or more models to roll plans out")
    rates = [control.max_rate.get(name, np.inf) * task.dt for name in task.actions]
    return Planner(
        control.controller, models, Cost(task), action_limits(task), np.array(rates), control.risk
    )


def _exponential(costs: Floats, risk: Risk) -> Floats:
    """Return log(mean(exp(a J))) / a over models (Whittle 1981): costs (M, B) -> (B,).

    For an aversion a of 0 it is the mean.
    """
    a = risk.aversion
    if abs(a) < 1e-9:
        return costs.mean(axis=0)
    # log-sum-exp relative to the largest term, so that exp neither overflows nor underflows.
    decisive = costs.max(axis=0) if a > 0 else costs.min(axis=0)
    shifted = np.exp(a * (costs - np.where(np.isfinite(decisive), decisive, 0.0)))
    return decisive + np.log(shifted.mean(axis=0)) / a


def _value_at_risk(costs: Floats, risk: Risk) -> Floats:
    """Return the quantile of the costs at `level`: (M, B) -> (B,)."""
    return np.quantile(costs, risk.level, axis=0, method="inverted_cdf")


def _cvar(costs: Floats, risk: Risk) -> Floats:
    """Return the mean over the worst share 1 - level of the models: costs (M, B) -> (B,).

    If the share is not a whole number of models, the last one has a partial weight.
    """
    count = len(costs)
    tail = (1.0 - risk.level) * count
    # Weight of each model in the tail, worst first: 1, ..., 1, a part, 0, ..., 0.
    share = np.clip(tail - np.arange(count), 0.0, 1.0)
    # A tail of less than one model is the worst model.
    share = share if tail >= 1.0 else np.eye(count)[0]
    descending = np.sort(costs, axis=0)[::-1]
    counted = np.where(share[:, None] > 0.0, descending, 0.0)  # 0 · inf would be NaN
    return np.tensordot(share / share.sum(), counted, axes=1)


RISKS: dict[str, Callable[[Floats, Risk], Floats]] = {  # over models, costs (M, B) -> (B,)
    "average": lambda costs, _: costs.mean(axis=0),
    "worst": lambda costs, _: costs.max(axis=0),
    "best": lambda costs, _: costs.min(axis=0),
    "exponential": _exponential,
    "value_at_risk": _value_at_risk,
    "cvar": _cvar,
}


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
