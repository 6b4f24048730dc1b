"""Dagster's part of maintenance: live runs and old runs."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from kinemill.maintenance.liveness import NoOrchestrator, OldRun, Orchestrator
from kinemill.store.home import Home
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.resources.tags import TASK, UNDER_WAY

_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAGE = 200  # runs read at a time


class Runs:
    """Dagster's runs of a home."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self._home = home
        self._instance = instance

    def live_since(self) -> float | None:
        """Return when the oldest unfinished run was created, s since the epoch, or None."""
        records = self._instance.get_run_records(
            dg.RunsFilter(statuses=UNDER_WAY), limit=1, ascending=True
        )
        return records[0].create_timestamp.timestamp() if records else None

    def old_runs(self, cutoff: float) -> Iterator[OldRun]:
        """Yield runs that ended before a time, except the latest of any asset."""
        latest = self._latest()
        until = datetime.fromtimestamp(cutoff, UTC)
        cursor: str | None = None
        while True:
            filters = dg.RunsFilter(statuses=_ENDED, updated_before=until)
            page = self._instance.get_run_records(filters, limit=_PAGE, cursor=cursor)
            for record in page:
                if record.dagster_run.run_id not in latest:
                    yield self._old(record)
            if len(page) < _PAGE:
                return
            cursor = page[-1].dagster_run.run_id

    def forget_run(self, run: str) -> None:
        """Delete a run with its events."""
        self._instance.delete_run(run)

    def _latest(self) -> set[str]:
        """Return the runs that are the latest of an asset in the catalog."""
        keys = self._instance.all_asset_keys()
        events = [self._instance.get_latest_materialization_event(key) for key in keys]
        return {event.run_id for event in events if event is not None}

    def _old(self, record: dg.RunRecord) -> OldRun:
        run = record.dagster_run
        folder = self._home.dagster
        files = [
            folder / "history" / "runs" / f"{run.run_id}.db",
            folder / "storage" / run.run_id,
            folder / "refs" / "runs" / run.run_id,
        ]
        ended = record.end_time or record.update_timestamp.timestamp()
        return OldRun(run.run_id, run.tags.get(TASK, ""), ended, _there(files))


def _there(files: list[Path]) -> list[Path]:
    return [path for path in files if path.exists()]


@contextmanager
def orchestrator(home: Home) -> Generator[Orchestrator]:
    """Open Dagster's storage of a home, if it exists."""
    if not (home.dagster / "dagster.yaml").is_file():
        yield NoOrchestrator()
        return
    with open_instance(home) as instance:
        yield Runs(home, instance)
