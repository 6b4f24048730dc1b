"""Families to fit for a task, each as a task that trains its members."""

from dataclasses import dataclass

from kinemill.selection.facts import channel_facts
from kinemill.task import MODELS, OBJECTIVES, Task
from kinemill.task.portfolio import Structure

LEFT_OUT = {
    "linear_sincos": "no state is an angle: it would be identical to `linear`",
    "physics": "no state is the derivative of another one (`derivative_of`)",
}


@dataclass(frozen=True)
class Spec:
    """A family to fit.

    Attributes:
        task: task with the channels.
        structures: candidates, each with several histories and ridges.
    """

    name: str
    task: Task
    structures: tuple[Structure, ...]

    def task_of(self, structure: Structure, history: int, ridge: float) -> Task:
        """Return the task that trains a member; all settings of `learn` but the model are default.

        `ridge` penalizes squared weights, relative to the rows.
        """
        settings = structure.settings(history, ridge)
        learn = OBJECTIVES["dynamics"].model_validate({"type": "dynamics", **settings})
        return self.task.model_copy(update={"learn": learn})


def specs_of(task: Task) -> tuple[list[Spec], dict[str, str]]:
    """Return the families to fit, and the reasons why others are left out."""
    facts = channel_facts(task)
    families: dict[str, list[Structure]] = {}
    for model in MODELS:
        for structure in MODELS[model].structures(facts):
            families.setdefault(structure.family, []).append(structure)
    specs = [Spec(name, task, tuple(structures)) for name, structures in families.items()]
    return specs, {name: why for name, why in LEFT_OUT.items() if name not in families}
