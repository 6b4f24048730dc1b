"""Run coordinator: each run belongs to the user who launched it on the web pages or in a terminal.

The guard of the pages identifies the user (`pipelines/auth`). An administrator may launch for
another user, by the tag `kinemill/owner`; for all others the guard sets it, regardless of the
request. The limits of concurrent runs per owner use it.

A run of assets gets the tags of their task here: two runs of one task never run at once, and none
takes longer than `compute.run_timeout`.

A run of a task with partitions that names none reads all of them; see `resources/partitions.py`.
"""

from typing import Any

from dagster import DagsterRun, QueuedRunCoordinator, SubmitRunContext

from kinemill.errors import KinemillError
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.loader import named_task
from kinemill_dagster.resources.database_listeners import install_listeners
from kinemill_dagster.resources.partitions import run_tags
from kinemill_dagster.resources.tags import (
    OWNER,
    PARTITION,
    RANGE,
    TASK,
    USER_HEADER,
    USER_MAY_HEADER,
    task_tags,
)

_PARENT = "dagster/parent_run_id"  # of a run that is launched again: its tags come along


class OwnedRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue, in which every launched run has an owner."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        install_listeners()  # the daemon and every webserver load this class
        super().__init__(*args, **kwargs)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Put a run into the queue, with its owner."""
        run: Any = context.dagster_run
        name = context.get_request_header(USER_HEADER)
        text = OWNER in run.tags and _PARENT not in run.tags
        may_tell = context.get_request_header(USER_MAY_HEADER) == "administer"
        if name and not (text and may_tell):
            self._instance.add_run_tags(run.run_id, {OWNER: name})
        tasks = {key.path[0] for key in run.asset_selection or ()}
        name = run.tags.get(TASK) or (tasks.pop() if len(tasks) == 1 else None)
        if name and (tags := self._task_tags(run, name)):
            self._instance.add_run_tags(run.run_id, tags)
        return super().submit_run(context)

    def _task_tags(self, run: DagsterRun, name: str) -> dict[str, str]:
        """Return the tags that a run of a task lacks."""
        tags = {TASK: name}
        try:
            task = load_task(named_task(name))
            tags |= task_tags(task)
            if _reads_all(run):
                tags |= run_tags(task, Home.resolve(), self._instance)
        except (KinemillError, OSError):
            pass  # the run fails with the same error, which its page shows
        return {key: value for key, value in tags.items() if key not in run.tags}


def _reads_all(run: DagsterRun) -> bool:
    """Return whether a run reads logs, and of no named partition."""
    if PARTITION in run.tags or RANGE in run.tags:
        return False
    selected = {key.path[-1] for key in run.asset_selection or ()}
    return run.asset_selection is None or bool(selected & {"recordings", "episodes"})
