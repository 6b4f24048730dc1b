"""The trained model: the weights with the smallest validation error.

`stage.run(task, home, dataset, training_set, listeners)` trains in this process, resumes from the
last checkpoint, and publishes the model. Errors are in standard deviations of each channel in
training. A model is trained again when the dataset, the training set, or the task's `learn` part
changes.
"""

from kinemill.train.jobs import TrainingJob
from kinemill.train.warm_start import load_model, start_in

__all__ = ["TrainingJob", "load_model", "start_in"]
