"""Feature encoding of a channel, one file per kind.

A member of the family is an `Encoding` with `encode(values) -> features`; see `cos_sin.py`.
`train.step` scales all features with statistics of the training split.
"""

from kinemill.task.plugins import ENCODINGS

__all__ = ["ENCODINGS"]
