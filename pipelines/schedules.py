"""Nightly runs, as `retrain.cron` of a task says; they do nothing when nothing is new."""

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task
from resources.io import latest
from resources.tags import AT_NIGHT, AUTOMATIC


def nightly(task: Task) -> dg.ScheduleDefinition | None:
    """Make the schedule of one task, or none when its task file has no `retrain.cron`."""
    if task.retrain.cron is None:
        return None

    @dg.schedule(
        name=f"{task.name}_nightly",
        cron_schedule=task.retrain.cron,
        job_name=task.name,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Runs the chain once more, so that what was missed by day is made up for.",
    )
    def run_chain() -> dg.RunRequest | dg.SkipReason:
        logs = task.learn.from_logs
        if logs and latest(Home.resolve(), task.name, "recordings") is None:
            return dg.SkipReason(f"no log of {task.name} was ever read")
        return dg.RunRequest(tags={**AUTOMATIC, **AT_NIGHT})

    return run_chain
