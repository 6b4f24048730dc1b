"""MLflow tracker: one SQLite file per home, buffered metrics, cleanup of orphan runs."""

from kinemill.store.locks import lock
from kinemill.tracking.database import Tracking, open_tracking, prepare_mlflow, tracking_uri
from kinemill.tracking.maintenance import end_orphans
from kinemill.tracking.runs import KEY, MlflowTracker, Status, log_dataset, reopen_run, start_run

__all__ = [
    "KEY",
    "MlflowTracker",
    "Status",
    "Tracking",
    "end_orphans",
    "lock",
    "log_dataset",
    "open_tracking",
    "prepare_mlflow",
    "reopen_run",
    "start_run",
    "tracking_uri",
]
