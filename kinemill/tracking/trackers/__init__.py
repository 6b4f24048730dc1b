"""Additional metric trackers, selected by `track` of a task."""

from kinemill.task.trackers import TRACKERS

__all__ = ["TRACKERS"]
