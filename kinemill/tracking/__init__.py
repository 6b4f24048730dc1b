"""MLflow tracker: one SQLite file per home, asynchronous metrics, cleanup of orphan runs."""

from kinemill.store.locks import lock
from kinemill.tracking.database import Tracking, open_tracking, tracking_uri
from kinemill.tracking.maintenance import end_orphans
from kinemill.tracking.runs import (
    MlflowTracker,
    Status,
    log_dataset,
    reopen_run,
    start_run,
    system_metrics,
)

__all__ = [
    "MlflowTracker",
    "Status",
    "Tracking",
    "end_orphans",
    "lock",
    "log_dataset",
    "open_tracking",
    "reopen_run",
    "start_run",
    "system_metrics",
    "tracking_uri",
]
