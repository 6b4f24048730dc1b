"""Architectures, one file each: the settings of a network and how to build it.

A member of the family is a `Plugin` with `build(inputs, outputs) -> network`; see `mlp.py`. What
goes in and comes out, scaling, angles and integration are not its business: `train.step` does that
once for all.
"""

from kinemill.spec.plugins import MODELS

__all__ = ["MODELS"]
