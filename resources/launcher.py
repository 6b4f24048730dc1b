"""Launching runs as Dagster does, and noticing those whose process is gone."""

import dagster as dg
import psutil
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

_APART = 60.0  # s: clocks are set now and then; a run taken for dead wrongly would be worse


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, which also answers whether a started run still has its process.

    Without it a run stays STARTED for ever when its process was killed together with the server
    that had launched it, or was a `kinemill run`; and as two runs of one task never run at once,
    nothing of that task would start again. The daemon asks every `run_monitoring` interval.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Say that `check_run_worker_health` may be asked."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Look for the process that the run said it was started in."""
        kind = dg.DagsterEventType.ENGINE_EVENT
        for entry in self._instance.all_logs(run.run_id, of_type=kind):
            metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
            if "pid" in metadata:
                pid = int(str(metadata["pid"].value))
                if _lives(pid, entry.timestamp):
                    return CheckRunHealthResult(WorkerStatus.RUNNING)
                return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {pid} is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)  # it has not said yet


def _lives(pid: int, said_at: float) -> bool:
    """Tell whether process `pid` is the one that ran at `said_at` (s since the epoch)."""
    try:
        process = psutil.Process(pid)
        young = process.create_time() > said_at + _APART  # the number was given to another one
        return not young and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
