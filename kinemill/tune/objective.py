"""What trials are judged by, in the words of who reads it: errors in spreads, or returns.

A search looks for the smallest number. Where more is better, as with a return, that is its
negative; people get to see the return itself.
"""

from dataclasses import dataclass
from functools import cached_property

from kinemill.reports.charts import number
from kinemill.task import Task


@dataclass(frozen=True)
class TuneObjective:
    """The number of a trial.

    Attributes:
        name: what it is called.
        unit: that it is in, in one word; empty: it has none.
        more: whether more of it is better, so that trials are told the negative of it.
        means: of what it is, in a few words.
    """

    name: str = "validation error"
    unit: str = ""
    more: bool = False
    means: str = "on validation episodes, as in training"

    @cached_property
    def short(self) -> str:
        """The name in one word."""
        return self.name.rpartition(" ")[2]

    def to_display(self, error: float) -> float:
        """Return the number that people see for what a trial was told."""
        return 0.0 - error if self.more else error  # 0 and no -0

    def spelled(self, error: float) -> str:
        """Say it: `error 0.021 spreads`, `return 481.2`."""
        return f"{self.short} {self.to_display(error):.4g}{f' {self.unit}' if self.unit else ''}"

    def gained(self, error: float, own: float) -> str:
        """Say how much better one is than another: a share of an error, or so much more."""
        if self.more or own <= 0.0:
            return f"{number(own - error)} {'more' if self.more else 'less'}"
        return f"{1 - error / own:.0%} less"


def objective_of(task: Task) -> TuneObjective:
    """Return what trials of a task are judged by."""
    if task.learn.type == "dynamics":
        duration = f"{task.verify.horizon * task.dt:.4g} s ({task.verify.horizon} steps)"
        return TuneObjective(
            unit="spreads", means=f"of channels on validation episodes, over {duration}"
        )
    uses_return = not task.learn.from_logs or (task.learn.type == "motion" and task.environment)
    if uses_return:
        return TuneObjective("return", more=True, means="on average in the task's environment")
    return TuneObjective()
