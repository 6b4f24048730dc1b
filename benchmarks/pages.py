"""Web pages of one server, polled by many readers: requests a second, latency, memory, files.

`python -m benchmarks.pages`. Each reader cycles through the pages that a web UI polls, on a home
with one trained task and copies of its run. Meanwhile a run is in progress, which logs an event, a
metric in its folder and a metric in MLflow twice a second.
"""

import http.client
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import dagster as dg
import psutil

from benchmarks import EXAMPLES, ROOT
from benchmarks._servers import free_port
from kinemill.store.home import Home
from kinemill.tracking.run_links import TrainingLink, note_training, noted_training
from kinemill_dagster.pipelines.server.serve import is_reachable
from kinemill_dagster.resources.tags import TASK as TAG

TASK = "cart_pole"
PAGES = {
    "/api/v1/runs?limit=50": "runs",
    "/api/v1/tasks": "tasks",
    f"/api/v1/models/{TASK}": "models",
    "/": "start page",
    f"/kinemill/tasks/{TASK}/1": "version page",
}
_RUNS = 220
_READERS = 50
_SECONDS = 20.0


def make_home(folder: Path, runs: int = _RUNS) -> Home:
    """Train the task once, then add `runs` copies of the run with its events and metrics."""
    from kinemill.control.sim import write_logs
    from kinemill_dagster.pipelines.instance import open_instance
    from kinemill_dagster.pipelines.run import run_chain

    tasks = folder / "tasks"
    tasks.mkdir(parents=True)
    (tasks / f"{TASK}.yaml").write_bytes((EXAMPLES / f"{TASK}.yaml").read_bytes())
    os.environ |= {"KINEMILL_HOME": str(folder / "home"), "KINEMILL_TASKS": str(tasks)}
    home = Home.resolve()
    write_logs(home.logs(TASK), TASK, episodes=5, seconds=5.0, workers=1)
    run_chain(TASK, {"learn.steps": 200, "learn.log_every": 1})
    with open_instance(home) as instance:
        (record,) = instance.get_run_records(limit=1)
        for _ in range(runs):
            _copy_run(home, instance, record.dagster_run)
    return home


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
def run_in_progress(home: Home) -> Generator[None]:
    """Log events and metrics of a run in a thread, as a training does."""
    from kinemill.tracking import open_tracking
    from kinemill.tracking.jsonl import JsonLines
    from kinemill_dagster.pipelines.instance import open_instance

    client, is_over = open_tracking(home).client, threading.Event()
    mlflow_run = client.create_run("0").info.run_id

    def work() -> None:
        with open_instance(home) as instance:
            run = dg.DagsterRun(
                TASK, str(uuid4()), tags={TAG: TASK}, status=dg.DagsterRunStatus.STARTED
            )
            instance.add_run(run)
            note_training(home, run.run_id, TrainingLink(f"runs/{run.run_id}", 1000))
            (home.runs / run.run_id).mkdir()
            metrics = JsonLines(home.runs / run.run_id / "metrics.jsonl")
            for step in itertools.count():
                metrics.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
                client.log_metric(mlflow_run, "train/loss", 1.0, step=step)
                instance.report_engine_event(f"step {step}", run)
                if is_over.wait(0.5):
                    break
            metrics.close(ended_well=True)
            instance.report_run_canceled(run)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def server(home: Home, tasks: Path) -> Generator[tuple[int, str, psutil.Process]]:
    """Serve the pages of Dagster on loopback with a login; yield port, token and process."""
    from kinemill_dagster.pipelines.server.auth.users import Users

    users, port = Users(home), free_port()
    users.put("vic", "viewer", "correct horse battery")
    environment = os.environ | {
        "KINEMILL_HOME": str(home.root),
        "KINEMILL_TASKS": str(tasks),
        "DAGSTER_HOME": str(home.dagster),
        "KINEMILL_PROJECT": str(ROOT),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "kinemill_dagster.pipelines.server.auth", "dagster_webserver"]
    command += ["--login", "--port", str(port), "--workspace", str(ROOT / "workspace.yaml")]
    with (home.root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home.root, env=environment, stdout=log, stderr=log)
    try:
        yield port, users.renew_token("vic"), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def get_page(connection: http.client.HTTPConnection, page: str, token: str) -> float:
    """Read one page; return its latency in s."""
    began = time.perf_counter()
    connection.request("GET", page, headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, (page, response.status, body[:300])
    return time.perf_counter() - began


def read(port: int, token: str) -> dict[str, list[float]]:
    """Read the pages in turn with many readers; return the latencies in s by page."""
    latencies: dict[str, list[float]] = {page: [] for page in PAGES}
    end = time.perf_counter() + _SECONDS

    def work(first: int) -> None:
        pages = list(PAGES)[first % len(PAGES) :] + list(PAGES)[: first % len(PAGES)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while True:
            for page in pages:
                if time.perf_counter() > end:
                    return
                latencies[page].append(get_page(connection, page, token))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


def main() -> None:
    """Print the figures of one server; a folder as argument keeps the home for the next time."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(tempfile.mkdtemp(prefix="readers-"))
    os.environ |= {"KINEMILL_HOME": str(folder / "home"), "KINEMILL_TASKS": str(folder / "tasks")}
    home = Home(folder / "home") if (folder / "home").is_dir() else make_home(folder)
    with run_in_progress(home), server(home, folder / "tasks") as (port, token, process):
        while not is_reachable(f"http://127.0.0.1:{port}/"):
            time.sleep(0.5)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for page in PAGES:
            get_page(connection, page, token)
        at_start = _resources(process)
        latencies = read(port, token)
        print(f"before: {at_start}\nafter:  {_resources(process)}")
    print(f"{sum(map(len, latencies.values())) / _SECONDS:.1f} requests/s by {_READERS} readers")
    for page, values in latencies.items():
        p95 = statistics.quantiles(values, n=20)[-1]
        print(f"{PAGES[page]:<14} median {statistics.median(values):6.3f} s, p95 {p95:6.3f} s")


def _resources(process: psutil.Process) -> str:
    return f"RSS {process.memory_info().rss / 1e6:.0f} MB, {process.num_fds()} open files"


if __name__ == "__main__":
    main()
