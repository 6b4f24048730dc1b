"""Automatic runs of a task's pipeline.

A schedule follows `retrain.cron`. One sensor starts runs for new logs, drift, old champions, and
new champions of other tasks; the page of its last ticks shows why it did or did not.
"""

from kinemill_dagster.pipelines.automation.retraining import retraining_sensor, schedule

__all__ = ["retraining_sensor", "schedule"]
