"""Ways of learning, one file each: what is predicted, from what, and how wrong it is."""

from kinemill.spec.plugins import OBJECTIVES

__all__ = ["OBJECTIVES"]
