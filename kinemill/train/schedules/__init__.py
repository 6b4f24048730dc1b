"""Learning rates over the steps, one file each: arithmetic of the step alone.

So a resumed training needs nothing remembered. Each equals torch's own scheduler.
"""

from kinemill.task.plugins import SCHEDULES

__all__ = ["SCHEDULES"]
