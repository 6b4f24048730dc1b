"""What an attacker, a kill or a lost machine can do: `make prove-attack`, on loopback only.

Each section attacks commands or servers of a scratch home, and counts the tries that held. It
rewrites the section `attack` of docs/results-*.md if all sections ran, and exits with 1 if a try
did not hold. `--only kills files` runs some sections, `--kills 5` kills each command less often,
and `--share 0.2` tries a fifth of the cases.
"""

import argparse
import math
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from benchmarks import replace_section
from benchmarks._attack_answers import CLIENTS, REPLIES, attack_registry, install_valid
from benchmarks._attack_files import FORMS, attack_reader
from benchmarks._attack_kills import VICTIMS, attack_by_kills, backup_of, state
from benchmarks._attack_launches import PATHS, attack_launches
from benchmarks._attack_machines import (
    COMMANDS,
    attack_clock,
    attack_databases,
    attack_home,
    attack_logs,
    attack_ray,
    attack_ticks,
)
from benchmarks._attacked import TASK, Commands, Row, Workspace, new_workspace
from benchmarks._readers import add_runs, read, server
from kinemill.store.home import Home

KILLS = 20
_RATE = 60.0  # requests/s of all readers, at least
_MEDIAN = 1.0  # s of a page, at most
_ROOM = 12 << 30  # bytes; all sections together write a third


@dataclass(frozen=True)
class Site:
    """A folder with the workspaces that sections copy.

    Attributes:
        folder: scratch.
        kills: of each command.
        share: of the cases that are tried.
        servers: that run until the attack ends.
    """

    folder: Path
    kills: int = KILLS
    share: float = 1.0
    servers: ExitStack = field(default_factory=ExitStack)
    _lock: threading.RLock = field(default_factory=threading.RLock)  # of what lanes share

    @cached_property
    def commands(self) -> Commands:
        """The commands that start without imports."""
        return Commands(self.folder / "outputs")

    @cached_property
    def bare(self) -> Workspace:
        """A workspace whose home is empty."""
        folder = self.folder / "bare"
        with self._lock:
            return Workspace(folder) if folder.exists() else new_workspace(folder)

    @cached_property
    def used(self) -> Workspace:
        """A workspace with two versions, a champion and a backup.

        Raises:
            RuntimeError: It cannot be made.
        """
        bare, folder = self.bare, self.folder / "used"  # first: another lane can be making it
        with self._lock:
            return Workspace(folder) if folder.exists() else self._use(bare)

    def _use(self, bare: Workspace) -> Workspace:
        workspace = bare.copy(self.folder / "half used")
        run = ["run", TASK, "--logs", str(workspace.logs)]
        promote = ["model", "promote", f"{TASK}:2", "--force", "--why", "second"]
        backup = ["admin", "backup", backup_of(workspace)]
        for arguments in (run, [*run, "--set", "learn.steps=61"], promote, backup):
            result = self.commands.run(workspace, *arguments, patience=600.0)
            if problem := result.problem((0, 1) if arguments[0] == "run" else (0, 2)):
                message = f"{arguments}: {problem}"
                raise RuntimeError(message)
        if len(state(self.commands, workspace)["versions"]) != 2:
            message = "two runs made no two versions"
            raise RuntimeError(message)
        workspace.folder.rename(self.folder / "used")
        return Workspace(self.folder / "used")

    @cached_property
    def pages(self) -> tuple[int, str]:
        """Port of a server of a home with many runs, and the token of a viewer."""
        workspace = self.used.copy(self.scratch("readers") / "mill")
        home = Home(workspace.home)
        add_runs(home, 60)
        return self.servers.enter_context(server(home, workspace.folder / "tasks"))

    def scratch(self, name: str) -> Path:
        """Return an empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def some(self, cases: Sequence[str]) -> list[str]:
        """Return a share of the cases, evenly spread."""
        step = max(1, round(1.0 / self.share))
        return list(cases)[::step]

    def number(self, count: int) -> int:
        """Return a share of a number of tries, at least 1."""
        return max(1, round(count * self.share))


def _registry(site: Site) -> list[Row]:
    bundle, *_ = (site.used.home / "store" / "bundle" / TASK).iterdir()
    folder = site.scratch("registry")
    rows = attack_registry(site.commands, folder, site.some(list(REPLIES)), list(CLIENTS))
    return rows + install_valid(folder / "valid", bundle)


def _files(site: Site) -> list[Row]:
    return attack_reader(site.bare.copy(site.scratch("files") / "mill"), site.some(list(FORMS)))


def _kills(name: str, site: Site) -> list[Row]:
    source = site.bare if VICTIMS[name].source == "bare" else site.used
    folder = site.scratch(f"kills of {name}")
    return [attack_by_kills(site.commands, source, folder, name, site.kills)]


def _readers(site: Site) -> list[Row]:
    row = Row("50 readers of the web pages")
    began = time.monotonic()
    latencies = read(*site.pages, TASK)
    rate = sum(map(len, latencies.values())) / (time.monotonic() - began)
    row.add("rate", "" if rate >= _RATE else f"{rate:.0f} requests/s")
    for page, values in latencies.items():
        refused = values.count(math.inf)
        median = statistics.median(values or [math.inf])
        problem = "" if median < _MEDIAN else f"median {median:.1f} s"
        row.add(page, f"{refused} refused" if refused else problem, len(values))
    return [row]


# The longest first, so that lanes end together.
SECTIONS: dict[str, Callable[[Site], list[Row]]] = {
    **{f"kills of {name}": partial(_kills, name) for name in VICTIMS},
    "ray": lambda site: attack_ray(site.bare, site.scratch("ray")),
    "logs": lambda site: attack_logs(
        site.commands, site.bare, site.scratch("logs"), site.number(10_000), site.number(10)
    ),
    "launches": lambda site: attack_launches(site.scratch("launches"), site.some(list(PATHS))),
    "files": _files,
    "clock": lambda site: attack_clock(site.commands, site.used, site.scratch("clock")),
    "registry": _registry,
    "databases": lambda site: attack_databases(
        site.commands, site.used, site.scratch("databases"), site.some(list(COMMANDS))
    ),
    "readers": _readers,
    "home": lambda site: attack_home(site.commands, site.used, site.scratch("home")),
    "ticks": lambda site: attack_ticks(
        site.used.copy(site.scratch("ticks") / "mill"), site.number(500)
    ),
}


_LANES = 3  # threads, and the main thread
_MAIN = {"ray"}  # needs the main thread
_ALONE = {"readers"}  # measures latencies; the lanes start its server


def group_of(section: str) -> str:
    """Return what `--only` calls a section."""
    return section.partition(" of ")[0]


def attack(site: Site, names: Sequence[str]) -> list[Row]:
    """Run sections in lanes, those that need quiet last; return the rows."""
    waiting = sorted(names, key=lambda name: name not in _MAIN)
    lock, rows = threading.Lock(), dict[str, list[Row]]()

    def take(without: set[str]) -> str | None:
        with lock:
            name = next((name for name in waiting if name not in without), None)
            if name:
                waiting.remove(name)
            return name

    def work(without: set[str]) -> None:
        while name := take(without):
            began = time.monotonic()
            try:
                if name in _ALONE:
                    _ = site.pages
                else:
                    rows[name] = SECTIONS[name](site)
            except Exception:
                sys.stderr.write(f"{name}: failed, which ends this lane\n")
                raise
            sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")

    site.commands.run(site.bare, "task", "list")  # starts the server that forks
    with site.servers, ThreadPoolExecutor(_LANES) as pool:
        lanes = [pool.submit(work, _MAIN) for _ in range(_LANES)]
        work(set())
        for lane in lanes:
            lane.result()
        rows |= {name: SECTIONS[name](site) for name in names if name in _ALONE}
    return [row for name in names for row in rows[name]]


# Attacks that share a row of the table.
FAMILIES = ("SIGKILL of ", "launch with a looser gate: ", "PostgreSQL ", "object store ")


def table(rows: Sequence[Row], seconds: float) -> str:
    """Return the table of docs/results-*.md, with a row for each family of attacks."""
    lines = ["| attack | tried | held |", "|---|---|---|"]
    families = dict[str, list[Row]]()
    for row in rows:
        family = next((name for name in FAMILIES if row.attack.startswith(name)), row.attack)
        families.setdefault(family, []).append(row)
    for family, members in families.items():
        names = "; ".join(row.attack.removeprefix(family) for row in members)
        attempts = sum(row.attempts for row in members)
        failures = sum(len(row.failed) for row in members)
        lines.append(f"| {family}{names} | {attempts:,} | {attempts - failures:,} |")
    attempts = sum(row.attempts for row in rows)
    return "\n".join([*lines, "", f"{attempts:,} tries in {seconds:.0f} s.", ""])


def _scratch() -> str | None:
    """Return a file system in memory with enough room, on which 100,000 files are cheap, or None.

    SIGKILL loses nothing that was written to a file system, whether on a disk or in memory.
    """
    memory = Path("/dev/shm")
    is_large = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    return str(memory) if is_large else None


def main() -> int:
    """Attack, print; return 1 if a try did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prove_attack")
    groups = dict.fromkeys(map(group_of, SECTIONS))
    parser.add_argument("--only", nargs="+", choices=groups, default=groups, help="sections")
    parser.add_argument("--kills", type=int, default=KILLS, help="of each command")
    parser.add_argument("--share", type=float, default=1.0, help="share of the cases, 0 to 1")
    parser.add_argument("--folder", type=Path, help="scratch that is kept, and used again")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each command compiles its libraries
    names = [name for name in SECTIONS if group_of(name) in options.only]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kinemill-attack-", dir=_scratch()) as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = attack(Site(folder, options.kills, options.share), names)
    text = table(rows, time.monotonic() - began)
    print(text)
    failed = [f"{row.attack}: {problem}" for row in rows for problem in row.failed]
    for line in failed:
        print(f"NOT HELD  {line}")
    is_whole = names == list(SECTIONS) and options.kills >= KILLS and options.share == 1.0
    if not failed and is_whole:
        replace_section("attack", text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
