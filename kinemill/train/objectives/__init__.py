"""Objectives, one file each: settings, model and loss of a learn type."""

from kinemill.task.plugins import OBJECTIVES

__all__ = ["OBJECTIVES"]
