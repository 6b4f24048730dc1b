"""Further trackers for the metrics of a training; `track` of a task selects them."""

from kinemill.task.trackers import TRACKERS

__all__ = ["TRACKERS"]
