"""Objective of a search: an error in training standard deviations, or a return.

Optuna minimizes. For a return, it minimizes the negative; messages show the return.
"""

from dataclasses import dataclass

from kinemill.task import Task


@dataclass(frozen=True)
class TuneObjective:
    """The objective of trials.

    Attributes:
        name: displayed name.
        unit: displayed unit; empty without one.
        more: whether larger is better; then the negative is minimized.
    """

    name: str = "error"
    unit: str = ""
    more: bool = False

    def to_display(self, error: float) -> float:
        """Return the displayed value of a minimized value."""
        return 0.0 - error if self.more else error  # avoid -0

    def spelled(self, error: float) -> str:
        """Format a minimized value: `error 0.021 std`, `return 481.2`."""
        return f"{self.name} {self.to_display(error):.3g}{f' {self.unit}' if self.unit else ''}"


def objective_of(task: Task) -> TuneObjective:
    """Return the objective of trials of a task."""
    if task.learn.type == "dynamics":
        return TuneObjective(unit="std")
    uses_return = not task.learn.from_logs or (task.learn.type == "motion" and task.environment)
    return TuneObjective("return", more=True) if uses_return else TuneObjective()
