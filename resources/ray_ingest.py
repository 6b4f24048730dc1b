"""Ingest of new logs on a Ray cluster: `python -m resources.ray_ingest JOB` in each worker.

The nodes have the folder of logs at the same path, and share the home or the remote store. Their
results are published like those of a local ingest, and the next ingest uses them.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from kinemill.ingest.files import drop_folder
from kinemill.ingest.prefetch import new_logs, read_ahead
from kinemill.store import publish_json, read_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.compute import Ray
from kinemill_dagster.resources.remote_job import HOME, RemoteJob


def read_on_nodes(
    task: Task, home: Home, folder: Path | None, report: Callable[[str], None]
) -> None:
    """Read new logs on the workers of the task's cluster if there are enough.

    After a failure the ingest reads the remaining logs, and `report` receives the reason.
    """
    settings, source = task.compute, (folder or drop_folder(task, home)).resolve()
    if not isinstance(settings, Ray) or not source.is_dir():
        return
    new = len(new_logs(task, home, source))
    if new < settings.ingest_from:
        return
    job = home.dagster / "readings" / f"{uuid4().hex}.json"
    publish_json(job, {"task": task.model_dump(mode="json", by_alias=True), "folder": str(source)})
    try:
        where = f"{HOME}/{job.relative_to(home.root).as_posix()}"
        remote_job = RemoteJob.of("kinemill_dagster.resources.ray_ingest", (where,), home, [job])
        report(f"{new} new logs: {settings.workers} workers of the cluster read them")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "kinemill_dagster.resources.ray_job",
                settings.model_dump_json(),
                str(os.getpid()),
            ],
            env={**os.environ, **remote_job.environment()},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        job.unlink()
    for line in done.stderr.splitlines():
        report(f"Ray: {line}")
    if done.returncode:
        report(f"the workers ended with code {done.returncode}; this process reads the rest")


def main() -> None:
    """Read this worker's share of the logs in the job file."""
    job = read_json(Path(sys.argv[1]))
    task = Task.model_validate(job["task"])
    if isinstance(task.compute, Ray):
        # Only the worker has the number of cores that the cluster assigns to it.
        os.environ["LOKY_MAX_CPU_COUNT"] = str(max(1, int(task.compute.cpus)))
    share = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    read_ahead(task, Home.resolve(), Path(job["folder"]), share)


if __name__ == "__main__":
    main()
