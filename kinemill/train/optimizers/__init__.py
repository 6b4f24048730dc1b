"""Optimizers, one file each: the settings, and torch's own implementation built from them."""

from kinemill.task.plugins import OPTIMIZERS

__all__ = ["OPTIMIZERS"]
