"""Hyperparameter search: trials with other settings, evaluated on validation episodes.

Input: a dataset, its task and the search space in the task's `tune` part. Each trial is an ordinary
training with its own cache key, so a pipeline run with the best settings reuses its model. Test
episodes are not used. Several processes share one study, and a killed search resumes.
"""

from kinemill.selection.tune.defaults import DataFacts, default_space
from kinemill.selection.tune.results import (
    TrialRecord,
    best_of,
    describe,
    list_trials,
    tracked,
    write_best,
)
from kinemill.selection.tune.search import Search, begin
from kinemill.selection.tune.trial import Bounds
from kinemill.selection.tune.worker import write_job

__all__ = [
    "Bounds",
    "DataFacts",
    "Search",
    "TrialRecord",
    "begin",
    "best_of",
    "default_space",
    "describe",
    "list_trials",
    "tracked",
    "write_best",
    "write_job",
]
