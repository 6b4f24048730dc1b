"""How fast automation reacts, and what it costs while nothing happens, with 10 and 200 tasks.

The daemon of Dagster with its code server runs on tasks that are copies of one small task. Idle:
the processor time of both over a minute without logs. Reaction: a complete log appears in the
folder of one task; the time until Dagster's storage shows its run as started. The next log waits
for the end of the run. Limits: 5 and 15 % of a core, 15 and 30 s at the 95th percentile, 3 s to
load 200 tasks.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import Row, main, row

COUNTS = (10, 200)
IDLE = 60.0  # s of the idle measurement
WARM_UP = 60.0  # s until the daemon has loaded the tasks
LOGS = 20  # reactions per number of tasks
LIMITS = {10: (0.05, 15.0), 200: (0.15, 30.0)}
LOADING = 3.0  # s, limit
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
_LOAD = "from kinemill_dagster.pipelines.definitions import defs; defs.get_repository_def()"


def measure() -> list[Row]:
    """Return processor share, reaction and loading time for each number of tasks."""
    rows = list[Row]()
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as scratch:
            rows += _measure(count, Path(scratch))
    return rows


def _measure(count: int, folder: Path) -> list[Row]:
    tasks = folder / "tasks"
    tasks.mkdir()
    names = [f"robot_{number:03d}" for number in range(count)]
    for name in names:
        (tasks / f"{name}.yaml").write_text(TASK.format(name=name))
    os.environ |= {"KINEMILL_HOME": str(folder / "home"), "KINEMILL_TASKS": str(tasks)}
    seconds = _time_loading()
    from kinemill.store.home import Home
    from kinemill_dagster.pipelines.instance import open_instance

    home = Home.resolve()
    with open_instance(home) as instance:
        command = [Path(sys.executable).parent / "dagster-daemon", "run"]
        target = ["-m", "kinemill_dagster.pipelines.definitions"]
        with subprocess.Popen(
            [*map(str, command), *target],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as daemon:
            try:
                time.sleep(WARM_UP)
                before = _processor_seconds(daemon.pid)
                time.sleep(IDLE)
                share = (_processor_seconds(daemon.pid) - before) / IDLE
                delays = sorted(_reaction(instance, home, names, n) for n in range(LOGS))
            finally:
                daemon.terminate()
                daemon.wait(60)
    idle, reaction = LIMITS[count]
    slowest = delays[int(0.95 * (LOGS - 1))]
    rows = [
        row(f"idle daemon, {count} tasks", "cores", share, {"limit": idle}),
        row(f"log to started run, {count} tasks, median", "s", delays[LOGS // 2], {}),
        row(f"log to started run, {count} tasks, p95", "s", slowest, {"limit": reaction}),
    ]
    return [*rows, row(f"load the definitions, {count} tasks", "s", seconds, {"limit": LOADING})]


def _time_loading() -> float:
    spent = list[float]()
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", _LOAD], check=True, capture_output=True)
        spent.append(time.perf_counter() - began)
    return sorted(spent)[1]


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants, s."""
    root = psutil.Process(pid)
    times = [one.cpu_times() for one in (root, *root.children(recursive=True))]
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
