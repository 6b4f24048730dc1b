"""Receding horizon planner: from the newest measurement to the next action by sampling.

One step shifts the last plan by dt. Then, `iterations` times, it draws knots, converts them to
actions within limits and rates, rolls them out on every model, combines the costs of the models,
and updates the plan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from kinemill.control.cost import Cost
from kinemill.control.physics import control_of
from kinemill.control.plan import Floats, Plan, matrices
from kinemill.control.policies import action_limits
from kinemill.control.risk import RISKS
from kinemill.errors import BadInput
from kinemill.task.control import Controller, Risk
from kinemill.task.document import Task


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
    `control.uncertainty.max_std`, the action is zero, or the nearest value within limits.

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
        """
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
        return RISKS[self.risk.type](costs, self.risk) if len(costs) > 1 else costs[0]

    def _cost(self, model: Model, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        rows = model.history
        # Counted from the start, because `[-0:]` would be the whole array.
        past = past_actions[len(past_actions) - (rows - 1) :]
        predicted = model.rollout(states[len(states) - rows :], past, actions)
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
        control.controller,
        models,
        Cost(task),
        action_limits(task),
        np.array(rates),
        control.risk,
    )
