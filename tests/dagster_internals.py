"""The private names of Dagster that tests need to imitate its daemon; no other test imports any."""

from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.errors import raise_execution_interrupts
from dagster._core.events import EngineEventData
from dagster._core.loader import LoadingContextForTest
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from sqlalchemy import Engine, create_engine

__all__ = [
    "EngineEventData",
    "GrpcServerCodeLocationOrigin",
    "QueuedRunCoordinatorDaemon",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "StaleStatus",
    "execute_run_monitoring_iteration",
    "keep_engines",
    "raise_execution_interrupts",
    "stale_status",
]


def stale_status(instance, graph, key, partition=None) -> StaleStatus:
    """Return whether Dagster's pages show an asset, or one of its partitions, as stale."""
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return resolver.get_status(key, partition)


def keep_engines() -> None:
    """Make an engine for each database of Dagster once, not for each event.

    A new engine compiles each statement anew, a third of a run in this process. No engine of
    Dagster keeps a connection.
    """
    engines: dict[str, Engine] = {}

    def kept(url: str, **options: object) -> Engine:
        if url not in engines:
            engines[url] = create_engine(url, **options)
        return engines[url]

    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        module.create_engine = kept
