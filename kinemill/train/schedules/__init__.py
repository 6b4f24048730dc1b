"""Learning rates over the steps, one file each: arithmetic of the step alone.

A resumed training therefore needs no stored state. Each equals torch's own scheduler.
"""

from kinemill.task.plugins import SCHEDULES

__all__ = ["SCHEDULES"]
