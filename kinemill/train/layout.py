"""From a task to arithmetic: which output moves which state, and by how much.

Symbols: S states, O outputs, Δ time step in s. One step is linear in state x and outputs y:
x[k+1] = x[k] + x[k] D + y Q, with D (S, S) and Q (O, S) made here once from the relations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.spec.plugins import Settings
from kinemill.spec.task import Task

Array = NDArray[np.float64]


class Output(Settings):
    """What one output of the network means for the state channel `of`.

    derivative: d(of)/dt, integrated over one time step; delta: of[k+1] - of[k]; equal: of[k+1].
    """

    relation: Literal["derivative", "delta", "equal"]
    of: str


@dataclass(frozen=True)
class Layout:
    """The order of channels and outputs of a dynamics model, and how outputs move states.

    Attributes:
        states: names, the order of every state tensor.
        actions: names, the order of every action tensor.
        angles: which states are angles, (S,).
        outputs: name and relation of each output, the order of the network's outputs.
        history: rows known before the first prediction.
        dt: time step Δ, s.
        drift: D (S, S).
        gain: Q (O, S).
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    angles: tuple[bool, ...]
    outputs: tuple[tuple[str, Output], ...]
    history: int
    dt: float
    drift: Array
    gain: Array

    @property
    def features(self) -> int:
        """Number of encoded values a step sees: angles count twice, as cosine and sine."""
        return len(self.states) + sum(self.angles) + len(self.actions)


def make_layout(task: Task, outputs: Mapping[str, Output], integrator: str, history: int) -> Layout:
    """Work out the layout of `task`; without `outputs`, each state's delta is one."""
    states = task.states
    outputs = outputs or {f"{name}_delta": Output(relation="delta", of=name) for name in states}
    drift, gain = _integrate(task, list(outputs.values()), integrator)
    return Layout(
        states=tuple(states),
        actions=tuple(task.actions),
        angles=tuple(task.channels[name].kind == "angle" for name in states),
        outputs=tuple(outputs.items()),
        history=history,
        dt=task.dt,
        drift=drift,
        gain=gain,
    )


def _integrate(task: Task, outputs: list[Output], integrator: str) -> tuple[Array, Array]:
    """Return D and Q: the explicit parts first, then parents from their derivatives, outwards."""
    states = task.states
    count = len(states)
    drift, gain = np.zeros((count, count)), np.zeros((len(outputs), count))
    known: set[str] = set()
    for row, output in enumerate(outputs):
        column = states.index(output.of)
        gain[row, column] = task.dt if output.relation == "derivative" else 1.0
        if output.relation == "equal":
            drift[column, column] = -1.0
        known.add(output.of)
    while len(known) < count:
        ready = {
            parent: name
            for name in states
            if name in known and (parent := task.channels[name].derivative_of) in states
            if parent not in known
        }
        for parent, derivative in ready.items():
            source, column = states.index(derivative), states.index(parent)
            drift[source, column] += task.dt
            if integrator == "semi_implicit":  # the derivative at k+1 instead of k
                drift[:, column] += task.dt * drift[:, source]
                gain[:, column] += task.dt * gain[:, source]
            known.add(parent)
    return drift, gain
