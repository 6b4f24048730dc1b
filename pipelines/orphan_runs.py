"""What dead runs leave behind, put right without a daemon: their state, and their places in pools.

`kinemill run` and `kinemill up` begin with it. The daemon does the same while it runs; but a home
on which only `kinemill run` works has none, and a run that was killed would hold its place in a
pool for ever.
"""

import dagster as dg
from dagster._core.launcher import WorkerStatus

_GONE = "its process is gone"


def reap(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs whose process is gone and free what finished runs hold; return the failed."""
    going = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    failed: list[str] = []
    for run in instance.get_runs(dg.RunsFilter(statuses=going)):
        launcher = instance.run_launcher
        if not launcher.supports_check_run_worker_health:
            break
        health = launcher.check_run_worker_health(run)
        if health.status in {WorkerStatus.RUNNING, WorkerStatus.SUCCESS}:
            continue
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _GONE)
        else:
            instance.report_run_failed(run, health.msg or _GONE)
        failed.append(run.run_id)
    free(instance)
    return failed


def free(instance: dg.DagsterInstance) -> None:
    """Free the places in pools that finished or deleted runs hold."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
