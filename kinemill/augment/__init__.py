"""The training set: training episodes, and copies of them that physics allows as well.

From the dataset's training episodes alone; validation and test are never touched. Values in task
units, float32, at the task's time step. Deterministic: each copy's randomness comes from the
digest of its episode and augmentation. A new one appears with every dataset version and change of
the task's `augment` part. One file a plug-in: a `Plugin` with `vary(values, columns, random)`.
"""

from kinemill.augment._stage import VERSION, Augmentation, augment

__all__ = ["VERSION", "Augmentation", "augment"]
