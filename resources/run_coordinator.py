"""Run coordinator: each run belongs to whoever launched it on the web pages or in a terminal.

The guard of the pages says who asks (`pipelines/auth`). An administrator may launch for somebody
else, by the tag `kinemill/owner`; for all others it is what the guard says, whatever the request
claims. The limits of runs at once for each owner act on it.

A run of single assets, launched from the asset graph, has no tags of a task's job. It gets the
task's tag here, so that two runs of one task never run at once.
"""

from typing import Any

from dagster import DagsterRun, QueuedRunCoordinator, SubmitRunContext

from kinemill_dagster.resources.database_listeners import install_listeners
from kinemill_dagster.resources.tags import OWNER, TASK, USER_HEADER, USER_MAY_HEADER

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
        if TASK not in run.tags and len(tasks) == 1:
            self._instance.add_run_tags(run.run_id, {TASK: tasks.pop()})
        return super().submit_run(context)
