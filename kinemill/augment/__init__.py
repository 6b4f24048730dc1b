"""The training set: the training episodes and physically valid copies of them.

`stage.run(task, home, dataset)` publishes it. Validation and test episodes never change. Values are
float32 in task units. The randomness of a copy follows from the digest of seed, episode and
augmentation, so the result does not depend on the number of workers. A copy that fails a physical
check of `validate` which its original passes is dropped and counted. Each plug-in file holds an
`Augmentation` with `vary(values, signals, random)`. Images and texts are changed when they are
loaded: a copy holds the change and a seed, and each epoch samples anew.
"""

from kinemill.augment._augmentation import Augmentation, Signals

__all__ = ["Augmentation", "Signals"]
