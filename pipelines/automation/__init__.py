"""Automatic runs of a task's pipeline.

A schedule follows `retrain.cron`. A sensor starts a run for new logs, drift, an old champion, or a
new champion of another task; the page of its last ticks shows why it did or did not.
"""

from kinemill_dagster.pipelines.automation.retraining import (
    retraining_sensor,
    schedule,
)

__all__ = ["retraining_sensor", "schedule"]
