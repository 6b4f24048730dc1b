"""Further places for the numbers of a training, one file each; `track` of a task lists them."""

from kinemill.task.trackers import TRACKERS

__all__ = ["TRACKERS"]
