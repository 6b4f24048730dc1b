"""Many readers of the web pages of one server, whose home has many runs."""

import http
import http.client
import math
import shutil
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg

from benchmarks._guarded import PASSWORD, start_server, wait_for
from benchmarks._servers import free_port
from kinemill.store.home import Home
from kinemill.tracking.run_links import TrainingLink, note_training, noted_training

PAGES = {  # that a web UI polls
    "/api/v1/runs?limit=50": "runs",
    "/api/v1/tasks": "tasks",
    "/api/v1/models/{task}": "models",
    "/": "start page",
    "/kinemill/tasks/{task}/1": "version page",
}
_READERS = 50
_SECONDS = 20.0


def add_runs(home: Home, runs: int) -> None:
    """Add copies of the last run of a home, with its events and metrics."""
    from kinemill_dagster.pipelines.instance import open_instance

    with open_instance(home) as instance:
        (record,) = instance.get_run_records(limit=1)
        for _ in range(runs):
            _copy_run(home, instance, record.dagster_run)


def _copy_run(home: Home, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Add a run with the events of another run, and its training folder."""
    copy = dg.DagsterRun(
        run.job_name,
        str(uuid4()),
        run.run_config,
        tags=run.tags,
        status=dg.DagsterRunStatus.STARTED,
        asset_selection=run.asset_selection,
    )
    instance.add_run(copy)
    for entry in instance.all_logs(run.run_id):
        event = entry.dagster_event
        if event and (event.is_job_event or event.is_step_materialization):
            instance.handle_new_event(entry._replace(run_id=copy.run_id))
    if link := noted_training(home, run.run_id):
        note_training(home, copy.run_id, TrainingLink(f"runs/{copy.run_id}", link.steps))
        shutil.copytree(home.root / link.folder, home.runs / copy.run_id)


@contextmanager
def server(home: Home, tasks: Path) -> Generator[tuple[int, str]]:
    """Serve the pages of Dagster on loopback with a login; yield port and token."""
    from kinemill_dagster.pipelines.server.auth.users import Users

    users, port = Users(home), free_port()
    users.put("vic", "viewer", PASSWORD)
    log = home.root / "server.log"
    process = start_server(home.root, tasks, "dagster_webserver", port, log)
    try:
        wait_for(port, process)
        yield port, users.renew_token("vic")
    finally:
        process.terminate()
        process.wait(30)


def _get(connection: http.client.HTTPConnection, page: str, token: str) -> float:
    """Read one page; return its latency in s, infinite if the server refuses it."""
    began = time.perf_counter()
    connection.request("GET", page, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    return time.perf_counter() - began if response.status == http.HTTPStatus.OK else math.inf


def read(port: int, token: str, task: str) -> dict[str, list[float]]:
    """Read the pages in turn with many readers; return the latencies by page, see `_get`."""
    latencies: dict[str, list[float]] = {name: [] for name in PAGES.values()}
    end = time.perf_counter() + _SECONDS

    def work(first: int) -> None:
        pages = [*PAGES.items()][first % len(PAGES) :] + [*PAGES.items()][: first % len(PAGES)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            for page, name in pages:
                if time.perf_counter() > end:
                    return
                latencies[name].append(_get(connection, page.format(task=task), token))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies
