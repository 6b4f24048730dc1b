"""Drift: the champion's errors on new recordings, compared with those at training time."""

from pathlib import Path
from tempfile import TemporaryDirectory

from kinemill.ingest import stage as ingest
from kinemill.register.champion import load_champion
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.task.protocols import Progress
from kinemill.validate import stage as validate
from kinemill.validate.drift import find_drift
from kinemill.validate.drift.documents import DriftReport


def measure_drift(task: Task, home: Home, logs: Path | None, progress: Progress) -> DriftReport:
    """Evaluate the champion on recordings.

    Args:
        task: task of the champion.
        home: holds the champion.
        logs: log or folder of logs, read into a temporary home. None: the recordings of `home`,
            ingested and validated under the current rules of the task.
        progress: receives the progress.
    """
    with TemporaryDirectory(prefix="kinemill-drift-") as scratch:
        new, source = (home, Path(scratch)) if logs is None else (Home(Path(scratch)), logs)
        recordings = ingest.run(task, new, source, progress).artifact.ref
        episodes = validate.run(task, new, recordings, progress).ref
        return find_drift(task, new, episodes, lambda: load_champion(home, task.name), progress)
