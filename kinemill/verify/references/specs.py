"""Which families a task has that are fitted to its rows, and each as a task that trains it."""

from dataclasses import dataclass
from typing import Any

from kinemill.spec.plugins import OBJECTIVES
from kinemill.spec.task import Task

NO_ANGLE = "no state is an angle: it would be `linear` once more"
NO_PAIR = "no state is the derivative of another one (`derivative_of`)"


@dataclass(frozen=True)
class Spec:
    """A family that is fitted.

    Attributes:
        name: of the family.
        model: settings of the model plug-in, without its ridge.
        outputs: what it predicts, as `learn.outputs`.
        task: whose channels it is of.
    """

    name: str
    model: dict[str, Any]
    outputs: dict[str, Any]
    task: Task

    def task_of(self, history: int, ridge: float) -> Task:
        """Return the task that trains a member: default settings of `learn` but for the model."""
        plain = {name: {"type": "plain"} for name in self.task.columns}
        learn = OBJECTIVES["dynamics"].model_validate(
            {
                "type": "dynamics",
                "model": {**self.model, "ridge": ridge},
                "outputs": self.outputs,
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
    found = [Spec("linear", {**lags, "angles": "wrapped"}, deltas, task)]
    left_out: dict[str, str] = {}
    if any(channels[name].kind == "angle" for name in states):
        found.append(Spec("linear_sincos", {**lags, "angles": "sin_cos"}, deltas, task))
    else:
        left_out["linear_sincos"] = NO_ANGLE
    return found, left_out
