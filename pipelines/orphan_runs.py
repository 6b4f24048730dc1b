"""Clean up after dead runs without a daemon: their state, and their slots in pools.

`kinemill run` and `kinemill ui` call it at the start. The daemon does the same while it runs. A
home that uses only `kinemill run` has no daemon, and a killed run would occupy its slot forever.
"""

import dagster as dg

from kinemill_dagster.resources.dagster_api import WorkerStatus

_DIED = "its process is gone"


def reap(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs whose process is gone and free slots of ended runs; return the failed."""
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
            instance.report_run_canceled(run, _DIED)
        else:
            instance.report_run_failed(run, health.msg or _DIED)
        failed.append(run.run_id)
    free(instance)
    return failed


def free(instance: dg.DagsterInstance) -> None:
    """Free the slots in pools that finished or deleted runs occupy."""
    storage = instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        return
    for run_id in storage.get_concurrency_run_ids():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            storage.free_concurrency_slots_for_run(run_id)
