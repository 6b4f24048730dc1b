"""Maintenance of MLflow's database: deleted runs, orphan runs of dead processes."""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

from kinemill.process import process_of
from kinemill.store import Home
from kinemill.tracking.database import open_tracking
from kinemill.tracking.jsonl import FILE, read_points
from kinemill.tracking.runs import KEY, OWNER, TASK, log_missing

ENDED = "kinemill.ended"


class DeletedRun(NamedTuple):
    """A deleted run: its local folder, if any, and its end, s since the epoch."""

    id: str
    experiment: str
    folder: Path | None
    ended: float


def deleted_runs(home: Home) -> Iterator[DeletedRun]:
    """Yield the deleted runs of MLflow, which keeps their files."""
    from mlflow.entities import ViewType

    client = open_tracking(home).client
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        token: str | None = None
        while True:
            page = client.search_runs(
                [experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY, page_token=token
            )
            for run in page:
                ended = (run.info.end_time or run.info.start_time or 0) / 1000
                folder = _local(run.info.artifact_uri)
                yield DeletedRun(run.info.run_id, experiment.name, folder, ended)
            token = page.token
            if not token:
                break


def _local(uri: str) -> Path | None:
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme in ("", "file") else None


def _alive(owner: str) -> bool:
    """Return whether the owner is alive; processes of other machines count as alive."""
    host, pid, started = owner.rsplit(":", 2)
    if host != platform.node():
        return True
    # A restarted container reuses process ids, so the start time is compared, too.
    return process_of(int(pid), float(started), tolerance=2.0) is not None


def end_orphans(home: Home) -> list[str]:
    """Complete the metrics of runs of dead processes, mark them KILLED, and return their ids."""
    client = open_tracking(home).client
    ended: list[str] = []
    experiments = [item.experiment_id for item in client.search_experiments()]
    active = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    for run in active:
        tags = run.data.tags
        owner = tags.get(OWNER)
        if owner and not _alive(owner):
            training = home.runs / tags.get(TASK, "") / tags.get(KEY, "")
            log_missing(client, run.info.run_id, read_points(training / FILE))
            client.set_tag(run.info.run_id, ENDED, f"its process ({owner}) has ended")
            client.set_terminated(run.info.run_id, "KILLED")
            ended.append(run.info.run_id)
    return ended
