"""Ways of learning, one file each: what is predicted, from what, and how wrong it is."""

from kinemill.task.plugins import OBJECTIVES

__all__ = ["OBJECTIVES"]
