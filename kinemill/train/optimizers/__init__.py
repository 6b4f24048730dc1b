"""Optimizers, one file each: the settings, and torch's own implementation built from them."""

from kinemill.spec.plugins import OPTIMIZERS

__all__ = ["OPTIMIZERS"]
