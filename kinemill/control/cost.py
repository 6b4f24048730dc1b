"""Cost function of a plan, from the `control` part of a task.

    J = Σ_k dt Σ_i wᵢ ℓᵢ(x[k+1], u[k]) + Σ_i vᵢ ℓᵢ(x[T], u[T-1])        k = 0 ... T-1

wᵢ is a term's `weight`, vᵢ its `terminal`; ℓ is e², 1 - cos e or e, with e the quantity minus its
target, or for `rate` the square of its change per second. Derived quantities are computed from the
states of the rollout, so they need no support from the model; sites, bodies and sensors by the
file of `control.plant`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np

from kinemill.control.physics import Robot, control_of, sensed_names
from kinemill.control.plan import Floats
from kinemill.runtime import wrapped
from kinemill.task.control import Aim, Term
from kinemill.task.document import Task
from kinemill.task.expressions import Expression

Quantities = Mapping[str, Floats]
Shape = Callable[[Floats], Floats]

SHAPES: dict[str, Shape] = {
    "square": np.square,
    "upright": lambda e: 1.0 - np.cos(e),
    "value": lambda e: e,
    "rate": np.square,
}


class Cost:
    """The cost of a task, over any number of leading axes.

    Args:
        task: task with a `control` part.

    Raises:
        BadInput: The task has no `control` part.
    """

    def __init__(self, task: Task) -> None:
        self.control = control_of(task)
        self.dt = task.dt
        self._channels = task.channels
        self._states = task.states
        self._actions = task.actions
        aims = {aim.of: aim.of for aim in [*self.control.cost, *self.control.success]}
        texts = aims | self.control.derived  # the name of a derived quantity means its formula
        self._formulas = {name: Expression(text) for name, text in texts.items()}
        self._sensed = sensed_names(task)
        self._task = task
        self._angles = [self.control.is_angle(term, task.channels) for term in self.control.cost]

    def quantities(self, states: Floats, actions: Floats, names: Iterable[str]) -> Quantities:
        """Return all channels, and the quantities or formulas `names`, by name.

        States (..., S) and actions (..., A) in task units -> (...) each, channels in task units.
        """
        values: dict[str, Floats] = {name: states[..., i] for i, name in enumerate(self._states)}
        values |= {name: actions[..., i] for i, name in enumerate(self._actions)}
        if self._sensed:
            values |= self._robot.sense(states, actions)
        for name in names:
            self._evaluate(name, values)
        return values

    @cached_property
    def _robot(self) -> Robot:
        return Robot(self._task)

    def _evaluate(self, name: str, values: dict[str, Floats]) -> None:
        """Add a quantity, and those that its formula needs, to `values`."""
        if name not in values:
            formula = self._formulas[name]
            for needed in sorted(formula.names):
                self._evaluate(needed, values)
            values[name] = formula.value(values)

    def step_costs(
        self, states: Floats, actions: Floats, previous: Floats, start: Floats
    ) -> Floats:
        """Return Σ wᵢ ℓᵢ at each step, in 1/s.

        Args:
            states: (..., T, S) after each action, in task units.
            actions: (..., T, A), in task units.
            previous: (A,) or (..., A), the action before the first.
            start: (S,) or (..., S), the state before the first action.

        Returns:
            (..., T).
        """
        terms = self._terms(states, actions, previous, start)
        costs = (term.weight * SHAPES[term.shape](error) for term, error in terms)
        return sum(costs, np.zeros(states.shape[:-1]))

    def total(self, states: Floats, actions: Floats, previous: Floats, start: Floats) -> Floats:
        """Return J of plans of T steps: (..., T, S), (..., T, A) -> (...); see `step_costs`."""
        whole = np.zeros(states.shape[:-2])
        for term, error in self._terms(states, actions, previous, start):
            whole += term.weight * self.dt * _summed(term.shape, error)
            if term.terminal:
                whole += term.terminal * SHAPES[term.shape](error[..., -1])
        return whole

    def _terms(
        self, states: Floats, actions: Floats, previous: Floats, start: Floats
    ) -> Iterator[tuple[Term, Floats]]:
        """Yield each term with the argument of its ℓ, (..., T)."""
        terms = self.control.cost
        values = self.quantities(states, actions, (term.of for term in terms))
        rates = [term.of for term in terms if term.shape == "rate"]
        # The first change is that from the state and action before the plan.
        earlier = self.quantities(start, previous, rates) if rates else {}
        for term, is_angle in zip(terms, self._angles, strict=True):
            value = values[term.of]
            if term.shape == "rate":
                first = np.broadcast_to(earlier[term.of], value.shape[:-1])[..., None]
                error = np.diff(value, axis=-1, prepend=first)
            else:
                error = value - term.target if term.target else value
            # A cosine needs no wrapping; a rate is wrapped as a change, before the division by dt.
            if is_angle and term.shape != "upright":
                error = wrapped(error, np.array(True))
            yield term, error / self.dt if term.shape == "rate" else error

    def reached(self, states: Floats, actions: Floats) -> bool | None:
        """Return whether the last `hold` s of an episode, (N, S) and (N, A), meet `success`.

        It is None without any `success`.
        """
        rows = max(1, round(self.control.hold / self.dt))
        aims = self.control.success
        if not aims:
            return None
        values = self.quantities(states[-rows:], actions[-rows:], (aim.of for aim in aims))
        return all(
            bool((np.abs(self._off(aim, values[aim.of])) <= aim.within).all()) for aim in aims
        )

    def _off(self, aim: Aim, value: Floats) -> Floats:
        angle = self.control.is_angle(aim, self._channels)
        return wrapped(value - aim.target, np.array(angle))


def _summed(shape: str, error: Floats) -> Floats:
    """Return Σ ℓ over the last axis: (..., T) -> (...)."""
    if SHAPES[shape] is np.square:  # fused: writing and reading the squares takes twice as long
        return np.einsum("...t,...t->...", error, error)
    return np.einsum("...t->...", SHAPES[shape](error))
