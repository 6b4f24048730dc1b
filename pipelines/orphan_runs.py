"""Clean up after dead runs without a daemon: their state, and their slots in pools.

`kinemill run` and `kinemill ui` call it at the start. The daemon does the same while it runs. A
home that uses only `kinemill run` has no daemon, and a killed run would occupy its slot forever.
"""

import dagster as dg

from kinemill.interrupts import resume
from kinemill.store.home import Home
from kinemill.tracking.run_links import noted_training, total_steps
from kinemill_dagster.resources.dagster_api import WorkerStatus

_CHECKPOINT = "checkpoint-"  # names the folder of a checkpoint, before its step
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


def cancel_run(instance: dg.DagsterInstance, home: Home, run_id: str) -> str:
    """Mark a stopped run as canceled; return its kept results and how to resume.

    Dagster marks it as failed, so the daemon would restart it and report a failure.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None and run.status != dg.DagsterRunStatus.CANCELED:
        instance.report_run_canceled(run, "A signal ended its process.")
    results = [*_finished(instance, run_id), *_checkpoint(home, run_id)]
    return f"run {run_id[:8]} keeps {', '.join(results) or 'nothing yet'}; {resume()}"


def _finished(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the assets that the run materialized, in order."""
    done = [
        stat
        for stat in instance.get_run_step_stats(run_id)
        if stat.status is not None and stat.status.value == "SUCCESS"
    ]
    done.sort(key=lambda stat: stat.end_time or 0.0)
    return [str(stat.step_key).partition("__")[2] for stat in done]


def _checkpoint(home: Home, run_id: str) -> list[str]:
    """Return the last checkpoint of the run's training, if any."""
    link = noted_training(home, run_id)
    if link is None:
        return []
    folders = (home.root / link.folder).glob(f"{_CHECKPOINT}*")
    steps = [int(folder.name.removeprefix(_CHECKPOINT)) for folder in folders]
    if not steps:
        return []
    total = total_steps(home, link)
    # Reinforcement counts steps of the environment, whose last batch can exceed the total.
    end = f" of {total}" if total is not None and max(steps) <= total else ""
    return [f"the checkpoint of step {max(steps)}{end}"]
