"""Machines that misbehave: databases away, a clock set back, a lost Ray worker, a moved home."""

import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks import ROOT
from benchmarks._attack_kills import lost, state
from benchmarks._attacked import LOOP, TASK, Commands, Mill, Row, changed, run_cold, tree_digest
from benchmarks._guarded import state_digest
from benchmarks._servers import add_node, free_port, ray_head

SECONDS = 15.0  # limit of a command without its database
_PASSWORD, _DATABASE = "hunter2-of-the-database", "robots"
MODES = ("refused", "closed", "garbage", "silent")
COMMANDS = {
    "doctor": ["doctor"],
    "data list": ["data", "list", TASK],
    "data ingest": ["data", "ingest", TASK, "{logs}"],
    "model list": ["model", "list", TASK],
    "model promote": ["model", "promote", f"{TASK}:1", "--force", "--why", "x"],
    "model audit": ["model", "audit", TASK],
    "model tune": ["model", "tune", TASK, "--trials", "1"],
    "run": ["run", TASK, "--logs", "{logs}"],
    "admin rebuild-catalog": ["admin", "rebuild-catalog"],
    "admin backup": ["admin", "backup", "{folder}/backup"],
}
_CLOCK = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
static int ask(clockid_t id, struct timespec *t) {
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  return real(id, t);
}
static time_t back(void) {  /* CLOCK_SET_AT: s of the monotonic clock */
  struct timespec now;
  const char *at = getenv("CLOCK_SET_AT");
  ask(CLOCK_MONOTONIC, &now);
  return at && now.tv_sec + now.tv_nsec * 1e-9 >= atof(at) ? atol(getenv("CLOCK_BACK")) : 0;
}
int clock_gettime(clockid_t id, struct timespec *t) {
  int result = ask(id, t);
  if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec -= back();
  return result;
}
int gettimeofday(struct timeval *t, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *t) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (t) *t = now.tv_sec;
  return now.tv_sec;
}
"""


@contextmanager
def _away(mode: str) -> Generator[int]:
    """Yield a port whose server is refused, closed, answers garbage, or nothing."""
    port = free_port()
    if mode == "refused":
        yield port
        return
    kept: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):  # the listener is closed at the end
            while True:
                connection, _ = listener.accept()
                if mode == "garbage":
                    connection.sendall(b"\x00\xffHTTP/1.1 200 OK\r\n\r\n<html>" * 100)
                if mode == "silent":
                    kept.append(connection)
                else:
                    connection.close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield port
        listener.shutdown(socket.SHUT_RDWR)
    for connection in kept:
        connection.close()


def _arguments(name: str, mill: Mill) -> list[str]:
    return [part.format(logs=mill.logs, folder=mill.folder) for part in COMMANDS[name]]


def attack_databases(mill: Mill, folder: Path, names: list[str]) -> list[Row]:
    """Run commands whose PostgreSQL, or whose object store, is away."""
    began = time.monotonic()
    run_cold(["doctor"], mill.environment())  # how long this machine takes to start a command
    limit = SECONDS + time.monotonic() - began
    rows = [
        Row(f"PostgreSQL {mode}, x command" if mode == "refused" else f"PostgreSQL {mode}")
        for mode in MODES
    ]
    rows.append(Row("object store away"))

    def attack(mode: str, name: str, service: str) -> str:
        copy = mill.copy(folder / f"{service} {mode} {name}")
        with _away(mode) as port:
            where = f"127.0.0.1:{port}"
            address = f"postgresql://kim:{_PASSWORD}@{where}/{_DATABASE}"
            environment = {**copy.environment(), "KINEMILL_DATABASE": address}
            if service == "s3":
                remote = f"s3://{_DATABASE}/mill?endpoint_override={where}&scheme=http&region=x"
                keys = {"AWS_ACCESS_KEY_ID": "kim", "AWS_SECRET_ACCESS_KEY": _PASSWORD}
                environment = {**copy.environment(), "KINEMILL_REMOTE": remote, **keys}
            outcome = run_cold(_arguments(name, copy), environment, limit + 15.0)
        text = outcome.output + outcome.errors
        if outcome.seconds > limit:
            return f"took more than {outcome.seconds:.0f} s"
        if _PASSWORD in text:
            return "prints the password"
        if problem := outcome.problem((1, 2, 3)):
            return problem
        missing = [part for part in (where, _DATABASE) if part not in text]
        return f"does not name {missing}: {outcome.last_line}" if missing else ""

    with ThreadPoolExecutor(4) as pool:
        for row, mode in zip(rows, MODES, strict=False):
            problems = pool.map(lambda name: attack(mode, name, "postgres"), names)  # noqa: B023
            for name, problem in zip(names, problems, strict=True):
                row.add(name, problem)
        cases = [(mode, name) for mode in MODES for name in ("doctor", "data ingest")]
        for (mode, name), problem in zip(
            cases, pool.map(lambda case: attack(*case, "s3"), cases), strict=True
        ):
            rows[-1].add(f"{mode}, {name}", problem)
    return rows


def attack_clock(commands: Commands, mill: Mill, folder: Path, tries: int) -> list[Row]:
    """Set the clock back by an hour, at a random moment of a command and before the next one."""
    library = folder / "clock.so"
    (folder / "clock.c").write_text(_CLOCK)
    compile_it = ["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "clock.c"), "-ldl"]
    subprocess.run(compile_it, check=True)
    row, moments, before = Row("clock set back by an hour"), random.Random(0), state(commands, mill)
    copy = mill.copy(folder / "clock")
    for number in range(tries):
        work = {
            "ingest": ["data", "ingest", TASK, str(copy.logs)],
            "promote": ["model", "promote", f"{TASK}:{1 + number % 2}", "--force", "--why", "x"],
            "rollback": ["model", "rollback", TASK, "--to", str(2 - number % 2), "--why", "x"],
            "run": ["run", TASK, "--logs", str(copy.logs), "--set", f"learn.seed={number + 70}"],
        }
        log = copy.logs / f"clock-{number}.csv"
        log.write_bytes((mill.logs / "run-0003.csv").read_bytes() + b"9.0,0,0,0,0,%d\n" % number)
        for name, arguments in work.items():
            moment = time.monotonic() + moments.uniform(0.0, 10.0 if name == "run" else 2.0)
            shift = {"LD_PRELOAD": str(library), "CLOCK_SET_AT": str(moment), "CLOCK_BACK": "3600"}
            outcome = run_cold(arguments, {**copy.environment(), **shift}, 300.0)
            codes = (0, 2) if name in {"promote", "rollback"} else (0, 1)
            row.add(f"{name} {number}", outcome.problem(codes) or lost(commands, copy, before))
    return [row]


def attack_ray(mill: Mill, folder: Path) -> list[Row]:
    """Kill the training of a run on Ray, then the node that it is on."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    row = Row("Ray worker killed in a run")
    with ray_head() as cluster:
        nodes = [add_node(cluster), add_node(cluster)]
        for victim in ("training process", "node"):
            copy = mill.copy(folder / f"ray {victim}")
            settings = ("compute.type=ray", "learn.steps=400", "learn.patience=null")
            arguments = [part for setting in settings for part in ("--set", setting)]
            environment = {**copy.environment(), "RAY_ADDRESS": cluster.address}
            with ThreadPoolExecutor(1) as pool:
                command = ["run", TASK, "--logs", str(copy.logs), *arguments]
                run = pool.submit(run_cold, command, environment, 300.0)
                killed = ""
                while not run.done() and not killed:
                    killed = _kill_training(nodes, victim)
                    time.sleep(0.05)
                problem = run.result().problem((0, 1))
            row.add(victim, problem if killed else f"nothing to kill; {problem}")
    return [row]


def _kill_training(nodes: list[object], victim: str) -> str:
    """Kill the training on a node, or the node; return what was killed."""
    for node in nodes:
        raylet = next(iter(node.all_processes["raylet"])).process.pid  # type: ignore[attr-defined]
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(raylet).children(recursive=True):
                if "kinemill_dagster.resources.remote_job" in process.cmdline():
                    time.sleep(1.0)  # into its imports or its steps
                    psutil.Process(raylet if victim == "node" else process.pid).kill()
                    return victim
    return ""


def attack_logs(commands: Commands, mill: Mill, folder: Path, files: int, reads: int) -> list[Row]:
    """Ingest many files at once, and a file that grows."""
    header, *lines = (mill.logs / "run-0003.csv").read_text().splitlines()
    many = Row(f"{files:,} files at once")
    crowd = mill.copy(folder / "crowd")
    target = crowd.folder / "many"
    target.mkdir()
    for number in range(files):
        rows = [
            f"{k / 50:.2f},{number % 97 / 97:.3f},0,0,{number / files:.6f},{k}" for k in range(8)
        ]
        (target / f"f{number:05d}.csv").write_text("\n".join([header, *rows, ""]))
    ingest = ["data", "ingest", TASK, str(target), "--json"]
    first, again = (run_cold(ingest, crowd.environment(), 600.0) for _ in range(2))
    many.add("first", first.problem())
    listed = commands.run(crowd, "data", "list", TASK, "--json")
    total = 0 if listed.problem() else listed.document()["total"]
    many.add("listed", "" if total >= files else f"{total} recordings: {listed.problem()}")
    quick = again.seconds < max(first.seconds / 2, 10.0)
    many.add("unchanged", again.problem() or ("" if quick else f"{again.seconds:.0f} s once more"))
    growing, log = Row("a file that grows while it is read"), crowd.logs / "growing.csv"
    for name in ("run-0000.csv", "run-0001.csv", "run-0002.csv"):
        (crowd.logs / name).unlink(missing_ok=True)
    pieces, stop = (
        [f"{k / 50:.2f},{k % 17 / 10},0.1,0,0,{k % 5}\n" for k in range(3000)],
        threading.Event(),
    )

    def append() -> None:
        with log.open("w") as file:
            file.write(header + "\n")
            for piece in pieces:
                for part in (piece[:7], piece[7:]):  # lines are cut, too
                    file.write(part)
                    file.flush()
                stop.wait(0.003)

    writer = threading.Thread(target=append)
    writer.start()
    command = ["data", "ingest", TASK, str(crowd.logs), "--json"]
    for number in range(reads):
        growing.add(f"read {number}", commands.run(crowd, *command).problem((0, 1)))
    stop.set()
    writer.join()
    growing.add("complete", commands.run(crowd, *command).problem())
    listed = commands.run(crowd, "data", "search", TASK, "name:growing.csv", "--json")
    text = listed.problem() or listed.output
    growing.add("rows", "" if f'"rows": {len(pieces)}' in text else text[:300])
    return [many, growing]


def attack_home(commands: Commands, mill: Mill, folder: Path) -> list[Row]:
    """Move a home; then mark a home as written by a newer version."""
    moved = Row("a home that moved")
    before, copy = state(commands, mill), mill.copy(folder / "moved")
    copy.folder.rename(folder / "moved elsewhere")
    elsewhere = Mill(folder / "moved elsewhere")
    for name in (
        "doctor",
        "data list",
        "data ingest",
        "model audit",
        "model promote",
        "run",
        "admin backup",
    ):
        codes = (0, 1) if name in {"run", "doctor"} else (0,)
        outcome = commands.run(elsewhere, *_arguments(name, elsewhere))
        moved.add(name, outcome.problem(codes) or lost(commands, elsewhere, before))
    pulled = elsewhere.folder / "pulled"
    arguments = ["model", "pull", f"{TASK}@champion", "--to", str(pulled)]
    moved.add("model pull", commands.run(elsewhere, *arguments).problem())
    return [moved, attack_versions(commands, mill, folder)]


def attack_versions(commands: Commands, mill: Mill, folder: Path) -> Row:
    """Mark parts of a home as of a newer version: commands that use them write nothing."""
    row = Row("a home of a newer version")
    reading, writing = ("data list", "model list"), ("data ingest", "run", "admin backup")
    marks = {"home.json": (*reading, *writing), "catalog.db": ("data list", "data ingest", "run")}
    marks["mlflow.db"] = ("model list", "model promote", "run")
    for part, names in marks.items():
        copy = mill.copy(folder / f"newer {part}")
        _mark_newer(copy.home / part)
        for name in names:
            before = _kept(copy)
            outcome = commands.run(copy, *_arguments(name, copy))
            row.add(f"{part}, {name}", outcome.problem((2, 3)) or changed(before, _kept(copy)))
    return row


def _mark_newer(path: Path) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps({"format": 99}))
        return
    table, column = {
        "catalog.db": ("about", "format"),
        "mlflow.db": ("alembic_version", "version_num"),
    }[path.name]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE {table} SET {column} = 99")
        connection.commit()


def _kept(mill: Mill) -> dict[str, str]:
    """Return a digest of what no command of an older version may write."""
    parts = ("store", "catalog.db", "mlflow.db", "artifacts", "home.json")
    return {
        name: value for name, value in state_digest(mill.home).items() if name.startswith(parts)
    }


_TICKS = """\
import gc, json, os, sys
import dagster as dg, psutil
from kinemill.store.home import Home
from kinemill_dagster.pipelines.instance import open_instance

count, cursor, process, seen = int(sys.argv[1]), None, psutil.Process(), []
from kinemill_dagster.pipelines.definitions import defs
repository = defs.get_repository_def()
sensor = repository.get_sensor_def("automation")
with open_instance(Home.resolve()) as instance:
    for number in range(count):
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, repository_def=repository, sensor_name="automation"
        ) as context:
            cursor = sensor.evaluate_tick(context).cursor
        if number in (count // 5, count - 1):
            gc.collect()
            files = len(os.listdir("/proc/self/fd"))
            seen.append([files, process.memory_info().rss >> 20, len(process.threads())])
print(json.dumps(seen))
"""


def attack_ticks(mill: Mill, ticks: int) -> list[Row]:
    """Evaluate the automation; open files, threads and memory (20 MB in all) may not grow."""
    row = Row("ticks of the automation")
    outcome = run_cold([str(ticks)], mill.environment(), 300.0, ("-c", _TICKS))
    problem = outcome.problem()
    if not problem:
        (files, memory, threads), (files_after, memory_after, threads_after) = outcome.document()
        if files_after > files or threads_after > threads or memory_after > memory + 20:
            problem = f"{files} to {files_after} files, {memory} to {memory_after} MB, "
            problem += f"{threads} to {threads_after} threads"
    row.tried += ticks - 1
    row.add(f"{ticks} ticks", problem)
    return [row]
