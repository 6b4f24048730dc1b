"""The trained model: weights with the smallest validation error, learned from the training set.

From a dataset and its training set. Training runs in its own process, keeps checkpoints that a
rerun goes on from, and judges itself by validation episodes alone. Errors are in spreads
(standard deviations) of each channel in training. A new model appears when the dataset, the
training set, or the task's `learn` part changes.
"""

from kinemill.train._stage import (
    find_model,
    follow,
    job_folder,
    refuse_other,
    summary_line,
    train,
)
from kinemill.train.warm_start import load_model, start_in

__all__ = [
    "find_model",
    "follow",
    "job_folder",
    "load_model",
    "refuse_other",
    "start_in",
    "summary_line",
    "train",
]
