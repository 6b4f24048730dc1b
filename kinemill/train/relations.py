"""Relations: how outputs change states, and which states follow from others.

Symbols: S states, O outputs, Δ time step in s. One step is linear in state x and outputs y:
x[k+1] = x[k] + x[k] D + y Q. D (S, S) and Q (O, S) are computed here once from the relations.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.task import Channel, Problems, Settings, Task
from kinemill.task.channels import leads_to_itself
from kinemill.task.units import factor, is_derivative, rate_factor

Array = NDArray[np.float64]
Integrator = Literal["euler", "semi_implicit", "trapezoidal", "rk4"]
Kind = Literal["derivative", "delta", "equal"]


class Output(Settings):
    """Relation of one output of the network to the state channel `of`.

    derivative: d(of)/dt, integrated over one time step; delta: of[k+1] - of[k]; equal: of[k+1].
    """

    relation: Kind
    """derivative, delta or equal"""
    of: str
    """state channel that the output determines"""


class Follows(Settings):
    """How a state without an output follows from another state, its `parent`.

    derivative: the parent is its time derivative; delta: the parent is its change in one time
    step; equal: it is the parent.
    """

    relation: Kind
    """derivative, delta or equal"""
    parent: str
    """state channel that this one follows from"""


def outputs_of(
    states: list[str], outputs: Mapping[str, Output], relations: Mapping[str, Follows]
) -> dict[str, Output]:
    """Return the outputs; without any, the delta of each state that follows from no other."""
    return dict(outputs) or {
        f"{name}_delta": Output(relation="delta", of=name)
        for name in states
        if name not in relations
    }


def relations_of(
    channels: Mapping[str, Channel], outputs: Mapping[str, Output], relations: Mapping[str, Follows]
) -> dict[str, Follows]:
    """Return the relations of states: `relations`, else from `derivative_of` of channels."""
    states = [name for name, channel in channels.items() if channel.role == "state"]
    predicted = {output.of for output in outputs.values()}
    implied = {
        position: Follows(relation="derivative", parent=name)
        for name in reversed(states)
        if (position := channels[name].derivative_of) is not None
        if position in states and position not in predicted
    }
    return implied | dict(relations)


def integrate(
    task: Task, outputs: list[Output], follows: Mapping[str, Follows], integrator: str
) -> tuple[Array, Array]:
    """Return D (S, S) and Q (O, S) of one step of `task.dt` s.

    The states of outputs come first, then the states that follow from these, and so on. For rk4, D
    and Q are those of Euler's method, which `train.step` evaluates four times.
    """
    states = task.states
    count = len(states)
    drift = np.zeros((count, count))
    gain = np.zeros((len(outputs), count))
    settled: set[str] = set()
    for row, output in enumerate(outputs):
        column = states.index(output.of)
        gain[row, column] = task.dt if output.relation == "derivative" else 1.0
        if output.relation == "equal":
            drift[column, column] = -1.0
        settled.add(output.of)
    while ready := {
        name: item
        for name, item in follows.items()
        if name not in settled and item.parent in settled
    }:
        for name, item in ready.items():
            source = states.index(item.parent)
            column = states.index(name)
            times = _times(item, task, name)
            drift[source, column] += times
            if item.relation == "equal":
                drift[column, column] -= 1.0
            # Semi-implicit methods use the parent at k+1, which is itself x + x D + y Q: its
            # columns of D and Q are added.
            times *= _share_of_next(item, integrator)
            drift[:, column] += times * drift[:, source]
            gain[:, column] += times * gain[:, source]
            settled.add(name)
    return drift, gain


def _share_of_next(item: Follows, integrator: str) -> float:
    """Return the share of the parent at k+1: 1, 0.5 (x += Δ (v + v') / 2) or 0."""
    if item.relation == "equal":
        return 1.0
    if integrator == "trapezoidal" and item.relation == "derivative":
        return 0.5
    return 0.0 if integrator in ("euler", "rk4") else 1.0


def _times(item: Follows, task: Task, name: str) -> float:
    """Return the factor of the parent: Δ for a derivative, with its unit converted (deg/s, rad)."""
    if item.relation != "derivative":
        return 1.0
    parent = task.channels[item.parent].unit
    unit = task.channels[name].unit
    return task.dt * rate_factor(parent, unit)


def problems_of(
    channels: Mapping[str, Channel],
    outputs: Mapping[str, Output],
    relations: Mapping[str, Follows],
    integrator: str,
) -> Problems:
    """Return problems of outputs and relations: (key below `learn`, message).

    Unknown names, states with two outputs or none, cycles, units, and rk4 of an output that is no
    derivative.
    """
    states = [name for name, channel in channels.items() if channel.role == "state"]
    if not states:
        return [(("type",), "dynamics needs a channel whose role is state")]
    whole = outputs_of(states, outputs, relations)
    problems = _of_outputs(states, outputs) + _of_relations(channels, whole, relations)
    if problems:
        return problems
    problems = _of_rk4(outputs, relations) if integrator == "rk4" else []
    predicted = {output.of for output in whole.values()} | set(relations)
    for state in states:
        rates = [name for name in states if channels[name].derivative_of == state]
        if state not in predicted and (message := _unclear(state, rates)):
            problems.append((("outputs",), message))
    return problems


def _of_outputs(states: list[str], outputs: Mapping[str, Output]) -> Problems:
    problems: Problems = []
    predicted: dict[str, str] = {}
    for name, output in outputs.items():
        where = ("outputs", name, "of")
        if output.of not in states:
            problems.append((where, f"no state {output.of!r}; {nearest(output.of, states)}"))
        elif output.of in predicted:
            problems.append((where, f"{output.of!r} is already given by {predicted[output.of]!r}"))
        predicted[output.of] = name
    return problems


def _of_relations(
    channels: Mapping[str, Channel], outputs: Mapping[str, Output], relations: Mapping[str, Follows]
) -> Problems:
    problems: Problems = []
    states = [name for name, channel in channels.items() if channel.role == "state"]
    predicted = {output.of: name for name, output in outputs.items()}
    whole = relations_of(channels, outputs, relations)
    parents = {name: item.parent for name, item in whole.items()}
    for name, item in relations.items():
        where = ("relations", name)
        if name not in states:
            problems.append((where, f"no state {name!r}; {nearest(name, states)}"))
        elif item.parent not in states:
            message = f"no state {item.parent!r}; {nearest(item.parent, states)}"
            problems.append(((*where, "parent"), message))
        elif name in predicted:
            problems.append((where, f"{name!r} is already given by the output {predicted[name]!r}"))
        elif leads_to_itself(name, parents):
            message = f"{name!r} follows from itself"
            problems.append(((*where, "parent"), message))
        elif wrong := _wrong_unit(item, channels[name].unit, channels[item.parent].unit):
            problems.append(((*where, "relation"), wrong))
    return problems


def _wrong_unit(item: Follows, unit: str, parent: str) -> str | None:
    if item.relation == "derivative":
        return None if is_derivative(parent, unit) else f"{parent} is not {unit} per time"
    try:
        same = factor(parent, unit) == (1.0, 0.0)
    except BadInput:
        same = False
    return None if same else f"{item.parent!r} is in {parent}, not in {unit}"


def _of_rk4(outputs: Mapping[str, Output], relations: Mapping[str, Follows]) -> Problems:
    """Return relations other than derivatives, which rk4 cannot integrate."""
    expected = "rk4 needs derivatives; use another one"
    if not outputs:
        return [(("integrator",), f"without `outputs` each state's delta is predicted; {expected}")]
    pairs = [(("outputs", name, "relation"), item.relation) for name, item in outputs.items()]
    pairs += [(("relations", name, "relation"), item.relation) for name, item in relations.items()]
    return [(where, f"is {kind}; {expected}") for where, kind in pairs if kind != "derivative"]


def _unclear(state: str, rates: list[str]) -> str | None:
    """Return the problem of a state without an output, unless one state is its derivative."""
    if len(rates) == 1:
        return None
    if not rates:
        return f"nothing predicts {state!r}; give it an output, or a state that is its derivative"
    of = " and ".join(repr(name) for name in rates)
    return f"{of} are both the derivative of {state!r}; give {state!r} a separate output"
