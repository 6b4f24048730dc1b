"""Orphan runs of dead processes in MLflow: send their buffered metrics, and end them."""

import logging
import platform
from typing import Any

from kinemill.process import process_of
from kinemill.store import read_json
from kinemill.store.home import Home
from kinemill.tracking.database import open_tracking
from kinemill.tracking.runs import OWNER, unsent_folder, write

ENDED = "kinemill.ended"
_log = logging.getLogger(__name__)


def _alive(owner: str) -> bool:
    """Return whether the owner is alive; processes of other machines count as alive."""
    host, pid, started = owner.rsplit(":", 2)
    if host != platform.node():
        return True
    # A restarted container reuses process ids, so the start time is compared, too.
    return process_of(int(pid), float(started), tolerance=2.0) is not None


def end_orphans(home: Home) -> list[str]:
    """Send buffered metrics, mark runs of dead processes as KILLED, and return their ids."""
    client = open_tracking(home).client
    _send_unsent(home, client)
    ended: list[str] = []
    experiments = [item.experiment_id for item in client.search_experiments()]
    active = client.search_runs(experiments, "attributes.status = 'RUNNING'")
    for run in active:
        owner = run.data.tags.get(OWNER)
        if owner and not _alive(owner):
            client.set_tag(run.info.run_id, ENDED, f"its process ({owner}) has ended")
            client.set_terminated(run.info.run_id, "KILLED")
            ended.append(run.info.run_id)
    return ended


def _send_unsent(home: Home, client: Any) -> None:
    from mlflow.exceptions import MlflowException

    for path in sorted(unsent_folder(home).glob("*.json")):
        unsent = read_json(path)
        try:
            write(client, path.stem, unsent)
            if unsent["status"]:
                client.set_terminated(path.stem, unsent["status"])
        except (MlflowException, OSError) as error:  # OSError: of the artifacts' folder
            _log.warning("%s still cannot be sent: %s", path, str(error).splitlines()[0])
            continue
        path.unlink()
