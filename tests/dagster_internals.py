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
from dagster._daemon.monitoring.run_monitoring import execute_run_monitoring_iteration
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

__all__ = [
    "CachingStaleStatusResolver",
    "EngineEventData",
    "GrpcServerCodeLocationOrigin",
    "LoadingContextForTest",
    "QueuedRunCoordinatorDaemon",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "StaleStatus",
    "execute_run_monitoring_iteration",
    "raise_execution_interrupts",
]
