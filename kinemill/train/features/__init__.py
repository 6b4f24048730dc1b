"""Feature encoding, one file per kind: what a network sees of a channel.

A member of the family is an `Encoding` with `encode(values) -> features`; see `dead_zone.py`.
Scaling of the features, from the training split alone, is done for all alike by `train.step`.
"""

from kinemill.task.plugins import ENCODINGS

__all__ = ["ENCODINGS"]
