"""Run launcher: start runs as Dagster does, detect dead processes, and end them."""

import json
import signal
import socket
import time
from typing import Any

import dagster as dg
import psutil

from kinemill.process import process_of
from kinemill.store import Json
from kinemill_dagster.resources.dagster_api import CheckRunHealthResult, WorkerStatus
from kinemill_dagster.resources.database_listeners import install_listeners
from kinemill_dagster.resources.processes import family_of, send, wait_for
from kinemill_dagster.resources.tags import GRPC_INFO, MAX_RETRIES

PATIENCE = 3.0  # s for a canceled run to end gracefully and report to MLflow
_AFTER = 1.0  # s for SIGKILL to take effect
_ANOTHER = 75.0  # s after which the daemon has a new code server; it checks every 60 s
_HERE = {"localhost", "127.0.0.1", "::1"}


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher with health checks of the processes of started runs.

    Without them, a run stays STARTED forever if its process was killed together with the server
    that launched it, or was a `kinemill run`. Since runs of a task are never concurrent, no run of
    that task would start again. The daemon checks at the `run_monitoring` interval.

    A canceled run has a few seconds to end; then its processes are killed, so that a hanging
    process does not keep the GPU. Checkpoints are published by a rename, so none is lost.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        install_listeners()
        super().__init__(*args, **named)
        self._lost: dict[str, float] = {}  # detection time of a lost code server by run

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return that `check_run_worker_health` is supported."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Check the process that the run recorded."""
        recorded = None if _is_elsewhere(run) else self._recorded_process(run)
        if recorded is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)  # unknown or not visible
        if process_of(*recorded) or self._awaits_server(run, recorded[1]):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        self._lost.pop(run.run_id, None)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {recorded[0]} is gone")

    def _awaits_server(self, run: dg.DagsterRun, noted_at: float) -> bool:
        """Return whether a run died with its code server, and the daemon has no new one yet.

        Dagster launches the next attempt when a run fails, which requires a code server. A daemon
        that started after the run has another server.
        """
        path = json.loads(run.tags.get(GRPC_INFO, "{}")).get("socket")
        if path is None or psutil.Process().create_time() > noted_at or _is_listening(path):
            return False
        noticed = self._lost.setdefault(run.run_id, time.monotonic())
        return time.monotonic() - noticed < _ANOTHER

    def terminate(self, run_id: str) -> bool:
        """End a run with all its processes within 5 s; return whether it ended.

        A terminated run is not retried; neither is one that reached its time limit.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.add_run_tags(run_id, {MAX_RETRIES: "0"})
        recorded = None if _is_elsewhere(run) else self._recorded_process(run)
        process = process_of(*recorded) if recorded else None
        family = family_of(process) if process else []
        is_accepted = self._ask(run)
        if process is None:
            return is_accepted
        if not is_accepted:
            send(process, signal.SIGINT)  # event of the code server
        for member in wait_for(family, PATIENCE):
            send(member, signal.SIGKILL)
        is_ended = not wait_for(family, _AFTER)
        self._close(run_id)
        return is_ended

    def _ask(self, run: dg.DagsterRun) -> bool:
        """Send a cancel request to the code server of a run, if any."""
        if GRPC_INFO not in run.tags:
            self._instance.report_run_canceling(run)
            return False
        try:
            return super().terminate(run.run_id)
        except dg.DagsterError as error:
            self._instance.report_engine_event(f"its code server does not respond: {error}", run)
            return False

    def _close(self, run_id: str) -> None:
        """Mark a run as ended, and free its slots."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and not run.is_finished:
            self._instance.report_run_canceled(run, "Its processes were killed: it did not end.")
        storage = self._instance.event_log_storage
        if storage.supports_global_concurrency_limits:
            storage.free_concurrency_slots_for_run(run_id)

    def _recorded_process(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """Return the recorded process of a run, and its start (s since the epoch)."""
        kind = dg.DagsterEventType.ENGINE_EVENT
        for entry in self._instance.all_logs(run.run_id, of_type=kind):
            metadata = entry.dagster_event.engine_event_data.metadata if entry.dagster_event else {}
            if "pid" in metadata:
                return int(str(metadata["pid"].value)), entry.timestamp
        return None


def _is_listening(path: str) -> bool:
    """Return whether a server listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def _is_elsewhere(run: dg.DagsterRun) -> bool:
    """Return whether another machine or container started the run."""
    info: Json = json.loads(run.tags.get(GRPC_INFO, "{}"))
    return info.get("host", "localhost") not in _HERE
