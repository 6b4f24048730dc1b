"""Logs of simulated robots as CSV, good and broken ones; equal arguments give equal files."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np

from kinemill.control.sim._table import Table, csv
from kinemill.errors import BadInput
from kinemill.registry import Registry
from kinemill.store import digest, publish_file

# Defects of real logs: table in, file content out. Each is placed by the content of its log, so it
# needs no randomness. The first column holds the time stamps; a column `q*` is a measurement.
Defect = Callable[[Table], str]

STRETCH = 0.1  # share of a log that a stretch takes


def _middle(table: Table) -> slice:
    """Return the rows of a stretch that starts at a third of the log."""
    rows = len(next(iter(table.values())))
    return slice(rows // 3, rows // 3 + max(2, round(STRETCH * rows)))


def nan_stretch(table: Table) -> str:
    """Lose all measurements for a while, as a driver that answers NaN."""
    stretch = _middle(table)
    broken = {name: column.copy() for name, column in table.items()}
    for name, column in broken.items():
        if name.startswith("q"):
            column[stretch] = np.nan
    return csv(broken)


def stuck_encoder(table: Table) -> str:
    """Freeze the last position where it moves most, while its velocity continues."""
    name = [name for name in table if name.startswith("qpos")][-1]
    column = table[name].copy()
    length = _middle(table).stop - _middle(table).start
    windows = np.lib.stride_tricks.sliding_window_view(column, length)
    start = int(np.argmax(windows.max(axis=1) - windows.min(axis=1)))
    column[start : start + length] = column[start]
    return csv({**table, name: column})


def time_reversal(table: Table) -> str:
    """Set the clock back by half a second in the middle, as a time server does."""
    name = next(iter(table))
    stamps = table[name].copy()
    stamps[len(stamps) // 2 :] -= 0.5
    return csv({**table, name: stamps})


def truncated(table: Table) -> str:
    """Cut the last line inside its last number, so that the rest is still a valid number."""
    return csv(table)[:-5]


DEFECTS: dict[str, Defect] = {
    "nan-stretch": nan_stretch,
    "stuck-encoder": stuck_encoder,
    "time-reversal": time_reversal,
    "truncated": truncated,
}


class Simulator(Protocol):
    """A simulated robot with a logger on board."""

    def log(self, seconds: float, random: np.random.Generator) -> Table:
        """Return columns by name, each (n,), the time stamps in s first."""
        ...

    def quiet(self) -> "Simulator":
        """Return the same robot with perfect sensors and a perfect clock."""
        ...


SIMULATORS: Registry[Callable[[], Simulator]] = Registry("kinemill.control.sim", "simulated robot")


def write_logs(
    folder: Path,
    system: str = "cart_pole",
    *,
    episodes: int = 24,
    seconds: float = 15.0,
    seed: int = 0,
    workers: int | None = None,
    noise: bool = True,
    broken: bool = True,
) -> list[Path]:
    """Write `episodes` logs of a simulated robot into `folder`, and a few broken ones.

    Each log depends on the seed, its own name and its length alone: more episodes add files and
    change none, and any number of workers writes the same bytes. Existing files with the same
    content are not rewritten.

    Args:
        folder: made if needed; every file appears in it whole or not at all.
        system: name of the robot, a file of `kinemill.control.sim`.
        episodes: number of good logs.
        seconds: length of each log, s.
        seed: of all randomness.
        workers: threads; default one for each processor.
        noise: of sensors and clock; without, the logs hold the truth.
        broken: whether to write broken logs and a copy too.

    Returns:
        The paths of all logs, sorted.

    Raises:
        BadInput: an unknown system, no episodes, or a length under a second.
    """
    if episodes < 1 or seconds < 1.0 or seed < 0:
        where = f"logs of {system}"
        raise BadInput(
            where,
            f"{episodes} episodes of {seconds:g} s with seed {seed}",
            expected="at least 1 episode of at least 1 s, and a seed from 0",
        )
    simulator = SIMULATORS[system]()
    simulator = simulator if noise else simulator.quiet()
    plan: dict[str, Defect | None] = {f"run-{index:04d}.csv": None for index in range(episodes)}
    plan |= {f"broken-{name}.csv": defect for name, defect in DEFECTS.items()} if broken else {}

    def write(name: str) -> Path:
        random = np.random.default_rng(int(digest([system, seed, name])[:32], 16))
        table = simulator.log(seconds, random)
        defect = plan[name]
        content = (defect(table) if defect else csv(table)).encode()
        return _write_once(folder / name, content)

    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        paths = list(pool.map(write, plan))
    if broken:
        first = folder / "run-0000.csv"
        paths.append(_write_once(folder / "run-0000_copy.csv", first.read_bytes()))
    return sorted(paths)


def _write_once(path: Path, content: bytes) -> Path:
    if not path.is_file() or path.read_bytes() != content:
        publish_file(path, content)
    return path
