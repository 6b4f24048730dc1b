"""Search for settings: trials of a task under other settings, judged on validation episodes alone.

From a dataset, its task and the space that the task's `tune` part names. Every trial is a training
like any other, published under its own key, so that the chain finds the best one's model made. Test
episodes are never looked at. Several processes share one journal, and a search that was killed goes
on where it was.
"""

from kinemill.tune.defaults import DataFacts, default_space
from kinemill.tune.mlflow_run import tracked
from kinemill.tune.report import write_report
from kinemill.tune.results import Line, best_of, describe, lines, write_best
from kinemill.tune.search import Search, begin
from kinemill.tune.trial import Bounds
from kinemill.tune.worker import write_job

__all__ = [
    "Bounds",
    "DataFacts",
    "Line",
    "Search",
    "begin",
    "best_of",
    "default_space",
    "describe",
    "lines",
    "tracked",
    "write_best",
    "write_job",
    "write_report",
]
