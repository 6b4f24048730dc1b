"""Reaction time of automation, and its processor time while idle, with 10 and 200 tasks.

The daemon of Dagster and the code server run on copies of one small task, as `kinemill ui` starts
them. Idle: the processor time of both, with all their processes, over a minute without logs; beside
it, that of the same processes with one asset of Dagster that nothing starts.
Reaction: a complete log appears in the folder of one task; the time until Dagster's storage shows
its run as started. The next log waits for the end of the run. Limits: 5 and 15 % of a core, 15 and
30 s at the 95th percentile, 3 s to load 200 tasks.

`--tasks 10 --logs 5 --idle 30` shortens it; `--write` puts the table into docs/results-*.md.
"""

import argparse
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks import Row, main, row

COUNTS = (10, 200)
IDLE = 60.0  # s of the idle measurement
WARM_UP, PER_TASK = 60.0, 0.5  # s until the daemon has loaded the tasks
LOGS = 20  # reactions per number of tasks
LIMITS = {10: (0.05, 15.0), 200: (0.15, 30.0)}
LOAD_LIMIT = 3.0  # s, limit
TASK = """\
task: {name}
dt: 0.02
channels:
  position: {{role: state, unit: rad, source: q}}
  torque: {{role: action, unit: N*m, source: u}}
ingest: {{time: t, min_file_age: 0}}
learn: {{type: dynamics, model: {{type: mlp, hidden_sizes: [16]}}, steps: 10}}
retrain: {{cron: null}}
"""
ALONE = """\
import dagster as dg


@dg.asset
def one():
    return None


defs = dg.Definitions(assets=[one])
"""
_LOAD = "from kinemill_dagster.pipelines.definitions import defs; defs.get_repository_def()"


WORKSPACE = """\
load_from:
  - python_module:
      module_name: kinemill_dagster.pipelines.definitions
      location_name: kinemill
"""


def measure() -> list[Row]:
    """Return processor share, reaction and loading time for each number of tasks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.automation", description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=COUNTS, help="numbers of tasks")
    parser.add_argument("--logs", type=int, default=LOGS, help="reactions to measure")
    parser.add_argument("--idle", type=float, default=IDLE, help="s without logs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--write", action="store_true", help="write the table to docs/results-*.md")
    options, rows = parser.parse_args(), list[Row]()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    with tempfile.TemporaryDirectory() as scratch:
        alone = _measure_dagster_alone(Path(scratch), options.idle)
    for count in options.tasks:
        with tempfile.TemporaryDirectory() as scratch:
            rows += _measure(count, Path(scratch), options.logs, options.idle)
    return [row("idle daemon, Dagster alone", "cores", alone, {}), *rows]


def _measure_dagster_alone(folder: Path, idle: float) -> float:
    """Return the processor share of an idle daemon and code server with one asset, cores."""
    socket, home = folder / "code", folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (folder / "one.py").write_text(ALONE)
    (folder / "workspace.yaml").write_text(
        f"load_from: [{{grpc_server: {{socket: {socket}, location_name: one}}}}]\n"
    )
    os.environ["DAGSTER_HOME"] = str(home)
    start = [sys.executable, "-m", "dagster", "code-server", "start", "--socket", str(socket)]
    command = [*start, "--location-name", "one", "-f", str(folder / "one.py")]
    try:
        with _run_servers(folder, command, socket, folder / "workspace.yaml") as processes:
            return _idle_share(processes, WARM_UP, idle)
    finally:
        del os.environ["DAGSTER_HOME"]


def _measure(count: int, folder: Path, logs: int, idle: float) -> list[Row]:
    tasks = folder / "tasks"
    tasks.mkdir()
    names = [f"robot_{number:03d}" for number in range(count)]
    for name in names:
        (tasks / f"{name}.yaml").write_text(TASK.format(name=name))
    (folder / "workspace.yaml").write_text(WORKSPACE)
    os.environ |= {"KINEMILL_HOME": str(folder / "home"), "KINEMILL_TASKS": str(tasks)}
    seconds, processor = _time_loading()
    from kinemill.store.home import Home
    from kinemill_dagster.pipelines.instance import open_instance

    home = Home.resolve()
    with open_instance(home) as instance, _served(folder) as processes:
        share = _idle_share(processes, WARM_UP + PER_TASK * count, idle)
        delays = sorted(_reaction(instance, home, names, n) for n in range(logs))
    limits = LIMITS.get(count, LIMITS[200])
    slowest = delays[math.ceil(0.95 * logs) - 1]
    return [
        row(f"idle daemon, {count} tasks", "cores", share, {"limit": limits[0]}),
        row(f"log to started run, {count} tasks, median", "s", statistics.median(delays), {}),
        row(f"log to started run, {count} tasks, p95", "s", slowest, {"limit": limits[1]}),
        row(f"load the definitions, {count} tasks", "s", seconds, {"limit": LOAD_LIMIT}),
        row(f"load the definitions, {count} tasks, CPU", "s", processor, {}),
    ]


def _idle_share(processes: list[int], warm_up: float, idle: float) -> float:
    """Return the processor share of processes and their descendants after a warm-up, cores."""
    time.sleep(warm_up)
    usage_before = _processor_seconds(processes)
    time.sleep(idle)
    return (_processor_seconds(processes) - usage_before) / idle


@contextmanager
def _served(project: Path) -> Generator[list[int]]:
    """Run the code server and the daemon of a project; yield their process ids."""
    from kinemill_dagster.pipelines.code_server import open_code_server

    with open_code_server(project) as code:
        if code is None:
            message = "the workspace file does not list the definitions"
            raise RuntimeError(message)
        with _run_servers(project, code.command(), code.socket, code.workspace) as processes:
            yield processes


@contextmanager
def _run_servers(
    project: Path, code: list[str], socket: Path, workspace: Path
) -> Generator[list[int]]:
    """Run a code server and Dagster's daemon as its client; yield their process ids."""
    from kinemill_dagster.pipelines.serve import Server, start, stop
    from kinemill_dagster.pipelines.service import daemon_arguments

    daemon = [sys.executable, *daemon_arguments(str(workspace))]
    servers = [Server("code", code), Server("daemon", daemon)]
    try:
        start(servers[0], project)
        while not socket.exists():
            time.sleep(0.1)
        start(servers[1], project)
        yield [one.process.pid for one in servers if one.process]
    finally:
        stop(servers)


def _time_loading() -> tuple[float, float]:
    """Return the median wall time and processor time of three loads, s."""
    walls, processors = list[float](), list[float]()
    for _ in range(3):
        began, usage_before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", _LOAD], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - began)
        processors.append(
            after.ru_utime + after.ru_stime - usage_before.ru_utime - usage_before.ru_stime
        )
    return statistics.median(walls), statistics.median(processors)


def _processor_seconds(processes: list[int]) -> float:
    """Return the processor time of processes and their descendants, s."""
    roots = [psutil.Process(pid) for pid in processes]
    family = [one for root in roots for one in (root, *root.children(recursive=True))]
    times = [one.cpu_times() for one in family]
    return sum(one.user + one.system for one in times)


def _reaction(instance, home, names: list[str], number: int) -> float:
    """Return the seconds from a complete log to its started run, and wait for its end."""
    import dagster as dg

    name = names[number * 7 % len(names)]
    folder = home.logs(name)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"log-{number}.csv"
    path.with_suffix(".part").write_text(f"t,q,u\n0.00,{number},0\n0.02,{number},0\n")
    path.with_suffix(".part").rename(path)
    began = time.time()
    filters = dg.RunsFilter(tags={"kinemill/task": name})
    while time.time() - began < 120.0:
        for record in instance.get_run_records(filters):
            if record.start_time and record.start_time >= began:
                _await_end(instance, record.dagster_run.run_id)
                return record.start_time - began
        time.sleep(0.1)
    message = f"no run of {name} within 120 s"
    raise RuntimeError(message)


def _await_end(instance, run_id: str) -> None:
    while not instance.get_run_by_id(run_id).is_finished:
        time.sleep(0.2)


if __name__ == "__main__":
    main("automation", measure)
