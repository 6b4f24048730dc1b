"""The training set: the training episodes and physically valid copies of them.

`stage.run(task, home, dataset)` publishes it. Validation and test episodes never change. Values are
float32 in task units. A copy is seeded by the digest of seed, episode and augmentation, so the
result does not depend on the number of workers. A copy that fails a physical check of `validate`
which its original passes is dropped and counted. Each plug-in file holds an `Augmentation` with
`vary(values, signals, random)`. Images and texts are changed at load time: a copy holds the change
and a seed, and each epoch samples again.
"""

from kinemill.augment._augmentation import Augmentation, Signals

__all__ = ["Augmentation", "Signals"]
