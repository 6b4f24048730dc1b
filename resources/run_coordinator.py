"""Run coordinator: set the owner of each run, the user of the web pages or the terminal.

The guard of the pages identifies the user (`server/auth`). An administrator can launch for
another user by the tag `kinemill/owner`; for all others the guard overrides it. Limits of
concurrent runs per owner use it.

A run of assets gets the tags of its task: runs of a task are never concurrent, and take at most
`compute.run_timeout`.

A run without a partition reads all of them; see `resources/partitions.py`.
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
    RANGE_START,
    TASK,
    USER_HEADER,
    USER_MAY_HEADER,
    task_tags,
)

_PARENT = "dagster/parent_run_id"  # tags of a relaunched run include those of the first


class OwnedRunCoordinator(QueuedRunCoordinator):
    """Dagster's queue with an owner for every run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        install_listeners()  # the daemon and all webservers load this class
        super().__init__(*args, **kwargs)

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Add a run to the queue, with its owner."""
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
        """Return the missing tags of a task's run."""
        tags = {TASK: name}
        try:
            task = load_task(named_task(name))
            tags |= task_tags(task)
            if _reads_all(run):
                tags |= run_tags(task, Home.resolve(), self._instance)
        except (KinemillError, OSError):
            pass  # the run fails with the same error, displayed on its page
        return {key: value for key, value in tags.items() if key not in run.tags}


def _reads_all(run: DagsterRun) -> bool:
    """Return whether a run reads logs without a partition."""
    if PARTITION in run.tags or RANGE_START in run.tags:
        return False
    selected = {key.path[-1] for key in run.asset_selection or ()}
    return run.asset_selection is None or bool(selected & {"recordings", "episodes"})
