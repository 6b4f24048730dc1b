"""Ingest of new logs on a Ray cluster, before the ingest of a run.

The nodes have the folder of logs at the same path, and share the home or the remote store. Their
results are published like those of a local ingest, and the next ingest uses them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kinemill.ingest.files import drop_folder
from kinemill.ingest.prefetch import new_logs
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.compute import Ray


def read_on_nodes(
    task: Task, home: Home, folder: Path | None, report: Callable[[str], None]
) -> None:
    """Read new logs on the workers of the task's cluster if there are enough.

    After a failure the ingest reads the remaining logs, and `report` receives the reason.
    """
    settings = task.compute
    source = (folder or drop_folder(task, home)).resolve()
    if not isinstance(settings, Ray) or not source.is_dir():
        return
    # Ray does not transfer a name that is no valid Unicode: the ingest reads such a log.
    names = [log.name for log in new_logs(task, home, source) if log.name == log.label]
    if len(names) < settings.ingest_from:
        return
    report(f"{len(names)} new logs: {settings.workers} workers of the cluster read them")
    job = {"task": task.model_dump(mode="json", by_alias=True), "folder": str(source)}
    done = subprocess.run(
        [sys.executable, "-m", "kinemill_dagster.resources.ray_read_logs", str(os.getpid())],
        input=json.dumps({"home": str(home.root), "job": json.dumps(job), "names": names}),
        capture_output=True,
        text=True,
        check=False,
    )
    for line in done.stderr.splitlines():
        report(f"Ray: {line}")
    if done.returncode:
        report(f"the workers ended with code {done.returncode}; this process reads the rest")
