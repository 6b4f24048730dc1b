"""Tags of runs, those of Dagster that are set here included, and statuses of unfinished runs."""

import dagster as dg

from kinemill.task import Task

TASK = "kinemill/task"  # one run of a task at a time
OWNER = "kinemill/owner"  # owner of the run; each owner has a share of the slots
WHY = "kinemill/why"  # reason of an automatic start
FAULT = "kinemill/fault"  # kind of a step's failure: `passing` or `lasting`
RESUME = "kinemill/resume"  # resume the latest unfinished training of the task, or fail

PARTITION = "dagster/partition"
RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
PRIORITY = "dagster/priority"  # the higher, the sooner
MAX_RUNTIME = "dagster/max_runtime"  # s
MAX_RETRIES = "dagster/max_retries"
RETRIED_BY = "dagster/auto_retry_run_id"  # the run that resumed a failed one
RETRY_STEPS = "dagster/retry_on_asset_or_op_failure"
RUN_KEY = "dagster/run_key"
GRPC_INFO = ".dagster/grpc_info"  # address of the code server that started a run

# Manual runs have 0, Dagster's default; automatic runs have a lower priority.
SOON = {PRIORITY: "-1"}
AT_NIGHT = {PRIORITY: "-2"}
AUTOMATIC = {OWNER: "kinemill"}

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

# User and permissions of a request, passed by the guard of the web pages to the server.
USER_HEADER = "X-Kinemill-User"
USER_MAY_HEADER = "X-Kinemill-May"


def task_tags(task: Task) -> dict[str, str]:
    """Return the tags of every run of a task: the task, and the time limit."""
    return {TASK: task.name, MAX_RUNTIME: f"{task.compute.run_timeout:.0f}"}


def title_of(run: dg.DagsterRun) -> str:
    """Return the displayed name of a run: its task, or the job of a run over all tasks."""
    return run.tags.get(TASK) or run.job_name
