"""Families that are fitted for a task, each as a task that trains its members."""

from dataclasses import dataclass
from typing import Any

from kinemill.task.document import Task
from kinemill.task.plugins import OBJECTIVES

NO_ANGLE = "no state is an angle: it would be `linear` once more"
LONGEST = 10  # rows of history of equations: what delays and filters of a drive take
NO_PAIR = "no state is the derivative of another one (`derivative_of`)"


@dataclass(frozen=True)
class Variant:
    """One structure of a family; members of it differ in history and ridge.

    Attributes:
        model: settings of the model plug-in, without its ridge.
        outputs: as `learn.outputs`.
        longest: rows of history at most; None: as many as the data allow.
    """

    model: dict[str, Any]
    outputs: dict[str, Any]
    longest: int | None = None


@dataclass(frozen=True)
class Spec:
    """A family that is fitted.

    Attributes:
        name: of the family.
        task: whose channels it is of.
        variants: structures that are tried.
    """

    name: str
    task: Task
    variants: tuple[Variant, ...]

    def task_of(self, variant: Variant, history: int, ridge: float) -> Task:
        """Return the task that trains a member: default settings of `learn` but for the model."""
        plain = {name: {"type": "plain"} for name in self.task.columns}
        learn = OBJECTIVES["dynamics"].model_validate(
            {
                "type": "dynamics",
                "model": {**variant.model, "ridge": ridge},
                "outputs": variant.outputs,
                "history": history,
                "encoding": {"scale": "none", "channels": plain},
            }
        )
        return self.task.model_copy(update={"learn": learn})


def specs_of(task: Task) -> tuple[list[Spec], dict[str, str]]:
    """Return the families, and why others are left out."""
    channels, states = task.channels, task.states
    relative = [name for name in task.columns if channels[name].kind == "coordinate"]
    deltas = {f"{name}_delta": {"relation": "delta", "of": name} for name in states}
    lags = {"type": "arx", "relative": relative}
    specs = [Spec("linear", task, (Variant({**lags, "angles": "wrapped"}, deltas),))]
    left_out: dict[str, str] = {}
    if any(channels[name].kind == "angle" for name in states):
        turned = Variant({**lags, "angles": "sin_cos"}, deltas)
        specs.append(Spec("linear_sincos", task, (turned,)))
    else:
        left_out["linear_sincos"] = NO_ANGLE
    if pairs := pairs_of(task):
        specs.append(Spec("physics", task, _physics(task, pairs, relative, deltas)))
    else:
        left_out["physics"] = NO_PAIR
    return specs, left_out


def _physics(
    task: Task, pairs: dict[str, str], relative: list[str], deltas: dict[str, Any]
) -> tuple[Variant, ...]:
    """Return equations with and without coupling, for accelerations and for each change."""
    integrated = {
        f"{name}_rate" if name in pairs else f"{name}_delta": {
            "relation": "derivative" if name in pairs else "delta",
            "of": name,
        }
        for name in task.states
        if name not in pairs.values()
    }
    library = {"type": "physics", "pairs": pairs, "relative": relative}
    return tuple(
        Variant({**library, "coupling": coupling}, outputs, LONGEST)
        for outputs in (integrated, deltas)
        for coupling in (True, False)
    )


def pairs_of(task: Task) -> dict[str, str]:
    """Return the position by velocity, of positions that one state alone is the derivative of."""
    channels, states = task.channels, task.states
    positions = [channels[name].derivative_of for name in states]
    return {
        velocity: position
        for velocity, position in zip(states, positions, strict=True)
        if position in states and positions.count(position) == 1
    }
