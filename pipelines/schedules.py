"""Schedules from `retrain.cron` of a task; a run without new data uses the cache only."""

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.tags import AT_NIGHT, AUTOMATIC


def nightly(task: Task) -> dg.ScheduleDefinition | None:
    """Return the schedule of a task, or None without `retrain.cron`."""
    if task.retrain.cron is None:
        return None

    @dg.schedule(
        name=f"{task.name}_nightly",
        cron_schedule=task.retrain.cron,
        job_name=task.name,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs the pipeline on a schedule, to process logs that the sensors missed.",
    )
    def run_chain() -> dg.RunRequest | dg.SkipReason:
        logs = task.learn.from_logs
        if logs and latest(Home.resolve(), task.name, "recordings") is None:
            return dg.SkipReason(f"{task.name} has no recordings")
        return dg.RunRequest(tags={**AUTOMATIC, **AT_NIGHT})

    return run_chain
