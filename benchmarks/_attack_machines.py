"""Machines that misbehave: databases away, a clock set back, a lost Ray node, crowded folders."""

import os
import random
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks._attack_kills import backup_of, lost, state
from benchmarks._attacked import TASK, Commands, Row, Workspace, changed, run_cold
from benchmarks._guarded import state_digest
from benchmarks._servers import add_node, ray_head
from tests.lost_servers import MODES, lost_server

SECONDS = 15.0  # limit of a command without its database, imports aside
_PASSWORD = "hunter2-of-the-database"
_DATABASE = "robots"
_AT_ONCE = 2  # commands: more would wait for each other, and be late
COMMANDS = {
    "doctor": ["doctor"],
    "data search": ["data", "search", TASK, "seconds > 0"],
    "data ingest": ["data", "ingest", TASK, "{logs}"],
    "model list": ["model", "list", TASK],
    "model promote": ["model", "promote", f"{TASK}:1", "--force", "--why", "x"],
    "model audit": ["model", "audit", TASK],
    "model pull": ["model", "pull", f"{TASK}@champion", "--to", "{home}-pulled"],
    "model tune": ["model", "tune", TASK, "--trials", "1"],
    "run": ["run", TASK, "--logs", "{logs}"],
    "admin rebuild-catalog": ["admin", "rebuild-catalog"],
    "admin backup": ["admin", "backup", "{backup}"],
}
_CLOCK = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t) {  /* CLOCK_SET_AT: s, monotonic */
  int (*ask)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
  struct timespec now;
  int result = ask(id, t);
  ask(CLOCK_MONOTONIC, &now);
  if (id == CLOCK_REALTIME && now.tv_sec >= atof(getenv("CLOCK_SET_AT"))) t->tv_sec -= 3600;
  return result;
}
"""
_TICKS = """\
import gc, json, os, sys
import dagster as dg, psutil
from kinemill.store.home import Home
from kinemill_dagster.pipelines.definitions import defs
from kinemill_dagster.pipelines.instance import open_instance

count, name = int(sys.argv[1]), sys.argv[2]
cursor = None
process = psutil.Process()
seen = []
repository = defs.get_repository_def()
sensor = repository.get_sensor_def(name)
with open_instance(Home.resolve()) as instance:
    for number in range(count):
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, repository_def=repository, sensor_name=name
        ) as context:
            cursor = sensor.evaluate_tick(context).cursor
        if number in (count // 5, count - 1):
            gc.collect()
            files = len(os.listdir("/proc/self/fd"))
            seen.append([files, process.num_threads(), process.memory_info().rss >> 20])
print(json.dumps(seen))
"""
_INCREASE = (0, 0, 20)  # open files, threads and MB that may be added between ticks


def _arguments(name: str, workspace: Workspace) -> list[str]:
    folders = {"logs": workspace.logs, "home": workspace.home, "backup": backup_of(workspace)}
    return [part.format(**folders) for part in COMMANDS[name]]


def attack_databases(
    commands: Commands, workspace: Workspace, folder: Path, names: list[str]
) -> list[Row]:
    """Run commands whose PostgreSQL, or whose object store, is away."""
    cases = [("PostgreSQL", mode, name) for mode in MODES for name in names]
    cases += [("object store", mode, name) for mode in MODES for name in ("doctor", "data ingest")]
    rows = {case[:2]: Row(f"{case[0]} {case[1]}, by command") for case in cases}

    def attack(case: tuple[str, str, str]) -> str:
        copy = workspace.copy(folder / " ".join(case))
        return run_without(commands, case[:2], copy, _arguments(case[2], copy))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for case, problem in zip(cases, pool.map(attack, cases), strict=True):
            rows[case[:2]].add(case[2], problem)
    return list(rows.values())


def run_without(
    commands: Commands,
    missing: tuple[str, str],
    workspace: Workspace,
    arguments: list[str],
    limit: float = SECONDS,
) -> str:
    """Run a command without a service, in some mode; return what is wrong."""
    service, mode = missing
    with lost_server(mode) as port:
        where = f"127.0.0.1:{port}"
        environment = {"KINEMILL_DATABASE": f"postgresql://kim:{_PASSWORD}@{where}/{_DATABASE}"}
        if service == "object store":
            remote = f"s3://{_DATABASE}/mill?endpoint_override={where}&scheme=http&region=x"
            keys = {"AWS_ACCESS_KEY_ID": "kim", "AWS_SECRET_ACCESS_KEY": _PASSWORD}
            environment = {"KINEMILL_REMOTE": remote, **keys}
        result = commands.run(workspace, *arguments, patience=2.0 * limit, environment=environment)
    text = result.output + result.errors
    if result.seconds > limit:
        return f"took {result.seconds:.0f} s"
    if _PASSWORD in text:
        return "prints the password"
    unnamed = [part for part in (where, _DATABASE) if part not in text]
    problem = f"does not name {unnamed}: {result.last_lines}" if unnamed else ""
    return result.problem((1, 2, 3)) or problem


def attack_clock(commands: Commands, workspace: Workspace, folder: Path) -> list[Row]:
    """Set the clock back by an hour at a random moment of a command."""
    source = folder / "clock.c"
    library = folder / "clock.so"
    source.write_text(_CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    row, moments = Row("clock set back by an hour"), random.Random(0)
    previous, copy = state(commands, workspace), workspace.copy(folder / "mill")
    (copy.logs / "clock.csv").write_bytes(_log(workspace))
    work = {
        "data ingest": _arguments("data ingest", copy),
        "model promote": ["model", "promote", f"{TASK}:1", "--force", "--why=x"],
        "run": [*_arguments("run", copy), "--set", "learn.seed=70"],
    }
    for name, arguments in work.items():
        moment = time.monotonic() + moments.uniform(0.0, 10.0 if name == "run" else 2.0)
        hook = {"LD_PRELOAD": str(library), "CLOCK_SET_AT": str(moment)}
        result = run_cold(arguments, copy.environment() | hook, 600.0)
        codes = (0, 2) if name == "model promote" else (0, 1)  # champion already; refused
        row.add(name, result.problem(codes) or lost(commands, copy, previous))
    return [row]


def _log(workspace: Workspace) -> bytes:
    """Return a log that no other is equal to."""
    lines = (workspace.logs / "run-0003.csv").read_bytes().splitlines(keepends=True)
    return b"".join(lines[:50])


def attack_ray(workspace: Workspace, folder: Path) -> list[Row]:
    """Kill the training of a run on Ray, then the node of the next try."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - else other sections starve it
    row, waiting = Row("Ray worker killed in a run"), ["node", "training process"]
    copy = workspace.copy(folder / "mill")
    command = [*_arguments("run", copy), "--set", "compute={type: ray, retries: 2}"]
    command += ["--set", "learn.steps=200", "--set", "learn.patience=null"]
    with ray_head() as cluster, ThreadPoolExecutor(1) as pool:
        nodes = [add_node(cluster), add_node(cluster)]
        environment = copy.environment() | {"RAY_ADDRESS": cluster.address}
        run = pool.submit(run_cold, command, environment, 600.0)
        while waiting and not run.done():
            if _kill_training(nodes, waiting[-1]):
                waiting.pop()
            time.sleep(0.5)  # to list all processes costs as much as a small training
        problem = run.result().problem((0, 1))
    row.add("both kills", problem or (f"not killed: {waiting}" if waiting else ""), 2)
    return [row]


def _kill_training(nodes: list[Any], victim: str) -> bool:
    """Kill the training on one of the nodes, or the node; return whether there was one."""
    for node in nodes:
        raylet = next(iter(node.all_processes["raylet"])).process.pid
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(raylet).children(recursive=True):
                if "kinemill_dagster.resources.remote_job" in process.cmdline():
                    time.sleep(1.0)  # into its imports or its steps
                    psutil.Process(raylet if victim == "node" else process.pid).kill()
                    return True
    return False


def attack_logs(
    commands: Commands, workspace: Workspace, folder: Path, files: int, reads: int
) -> list[Row]:
    """Ingest many files together, and one that grows."""
    many, growing = Row(f"{files:,} files at once"), Row("a file that grows while it is read")
    copy = workspace.copy(folder / "mill")
    target = folder / "many"
    target.mkdir()
    header = _log(workspace).decode().splitlines()[0]
    for number in range(files):
        rows = [f"{k / 50:.2f},{number / files:.6f},0,0,0,{k}" for k in range(8)]
        (target / f"f{number:05d}.csv").write_text("\n".join([header, *rows, ""]))
    ingest = ["data", "ingest", TASK, str(target)]
    first, again = (run_cold(ingest, copy.environment(), 600.0) for _ in range(2))
    many.add("first", first.problem())
    listed = commands.run(copy, "data", "list", TASK, "--json")
    total = 0 if listed.problem() else listed.document()["total"]
    many.add("listed", "" if total == files else f"{total} recordings")
    is_slow = again.seconds > max(first.seconds / 2, SECONDS)
    many.add("unchanged", again.problem() or (f"takes {again.seconds:.0f} s" if is_slow else ""))

    drop, rows = (
        folder / "drop",
        [f"{k / 50:.2f},{k % 17 / 10},0,0,0,{k % 5}\n" for k in range(200 * reads)],
    )
    drop.mkdir()
    writer = threading.Thread(target=_append, args=(drop / "growing.csv", [header + "\n", *rows]))
    writer.start()
    for number in range(reads):
        result = commands.run(copy, "data", "ingest", TASK, str(drop))
        growing.add(f"read {number}", result.problem((0, 1)))
    writer.join()
    last = commands.run(copy, "data", "ingest", TASK, str(drop), "--json")
    rows_read = [] if last.problem() else [file["rows"] for file in last.document()["files"]]
    complete = "" if rows_read == [len(rows)] else f"{rows_read} of {len(rows)} rows"
    growing.add("complete", last.problem() or complete)
    return [many, growing]


def _append(path: Path, lines: list[str]) -> None:
    """Write lines slowly, each in two parts."""
    with path.open("w") as file:
        for line in lines:
            for part in (line[:7], line[7:]):
                file.write(part)
                file.flush()
            time.sleep(0.005)


def attack_home(commands: Commands, workspace: Workspace, folder: Path) -> list[Row]:
    """Move a home; then mark parts of one as written by a newer version."""
    moved, newer = Row("a home that moved"), Row("a home of a newer version")
    previous, target = state(commands, workspace), Workspace(folder / "elsewhere")
    workspace.copy(folder / "here").folder.rename(target.folder)
    for name in (one for one in COMMANDS if one != "model tune"):
        result = commands.run(target, *_arguments(name, target))
        codes = (0, 1) if name in {"run", "doctor"} else (0,)
        moved.add(name, result.problem(codes) or lost(commands, target, previous))
    for part, names in {
        "catalog.db": ("data search", "data ingest", "run"),
        "mlflow.db": ("model list", "model promote", "run"),
    }.items():
        copy = workspace.copy(folder / part)
        _mark_newer(copy.home / part)
        for name in names:
            protected = _protected(copy, part)
            problem = commands.run(copy, *_arguments(name, copy)).problem((2, 3))
            newer.add(f"{part}, {name}", problem or changed(protected, _protected(copy, part)))
    return [moved, newer]


def _mark_newer(path: Path) -> None:
    is_catalog = path.name == "catalog.db"
    column = "about SET format" if is_catalog else "alembic_version SET version_num"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {column} = 99")
        connection.commit()


def _protected(workspace: Workspace, part: str) -> dict[str, str]:
    """Return a digest of what no command of an older version may write."""
    return {
        key: value for key, value in state_digest(workspace.home).items() if key.startswith(part)
    }


def attack_ticks(workspace: Workspace, ticks: int) -> list[Row]:
    """Evaluate the automation; open files, threads and memory may not grow."""
    row = Row("ticks of the automation, files and memory counted")
    arguments = [str(ticks), "retraining"]
    result = run_cold(arguments, workspace.environment(), 600.0, ("-c", _TICKS))
    problem = result.problem()
    if not problem:
        first, last = result.document()
        is_larger = any(b > a + more for a, b, more in zip(first, last, _INCREASE, strict=True))
        problem = f"files, threads, MB: {first} to {last}" if is_larger else ""
    row.add(f"{ticks} ticks", problem, ticks)
    return [row]
