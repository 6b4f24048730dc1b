"""The training set: training episodes, and copies of them that physics allows as well.

From the dataset's training episodes alone; validation and test are never touched. Values in task
units, float32, at the task's time step. Deterministic: each copy's randomness comes from the digest
of seed, episode and augmentation, so any number of workers makes the same bytes. A copy in which
the physical checks of `validate` find what they do not find in its original is left out, and
counted. A new one appears with every dataset version and change of the task's `augment` part. One
file a plug-in: an `Augmentation` with `vary(values, signals, random)`. Images and texts are changed
when they are loaded: a copy holds which change and which seed, and each epoch draws anew.
"""

from kinemill.augment._plugin import Augmentation, Signals
from kinemill.augment._stage import VERSION, augment

__all__ = ["VERSION", "Augmentation", "Signals", "augment"]
