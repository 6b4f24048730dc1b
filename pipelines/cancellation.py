"""A run in this process that a signal ended: its state in Dagster, and its kept results."""

import dagster as dg

from kinemill.interrupts import resume
from kinemill.store.home import Home
from kinemill.tracking.run_links import noted_training, total_steps

_CHECKPOINT = "checkpoint-"  # names the folder of a checkpoint, before its step


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
