"""Objective of a search: an error in training standard deviations, or a return.

Optuna minimizes. For a return, it minimizes the negative; reports show the return.
"""

from dataclasses import dataclass
from functools import cached_property

from kinemill.reports.charts import number
from kinemill.task import Task


@dataclass(frozen=True)
class TuneObjective:
    """The objective of trials.

    Attributes:
        name: displayed name.
        unit: displayed unit; empty without one.
        more: whether larger is better; then the negative is minimized.
        means: short description.
    """

    name: str = "validation error"
    unit: str = ""
    more: bool = False
    means: str = "on validation episodes, as in training"

    @cached_property
    def short(self) -> str:
        """Short name."""
        return self.name.rpartition(" ")[2]

    def to_display(self, error: float) -> float:
        """Return the displayed value of a minimized value."""
        return 0.0 - error if self.more else error  # avoid -0

    def spelled(self, error: float) -> str:
        """Format a minimized value: `error 0.021 std`, `return 481.2`."""
        return f"{self.short} {self.to_display(error):.3g}{f' {self.unit}' if self.unit else ''}"

    def gained(self, error: float, baseline: float) -> str:
        """Format the gain over the task's settings: a share, or a difference of returns."""
        if self.more or baseline <= 0.0:
            return f"{number(baseline - error)} {'more' if self.more else 'less'}"
        return f"{1 - error / baseline:.0%} less"


def objective_of(task: Task) -> TuneObjective:
    """Return the objective of trials of a task."""
    if task.learn.type == "dynamics":
        duration = f"{task.verify.horizon * task.dt:.4g} s ({task.verify.horizon} steps)"
        rollouts = f"of rollouts up to {duration} and over whole validation episodes"
        return TuneObjective(unit="std", means=rollouts)
    uses_return = not task.learn.from_logs or (task.learn.type == "motion" and task.environment)
    if uses_return:
        return TuneObjective("return", more=True, means="on average in the task's environment")
    return TuneObjective()
