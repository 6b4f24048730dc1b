"""Speed of ingest and validation: large logs against polars, and small logs per second.

Four CSV files of at least 64 MB (five simulated joints with angle, velocity and torque at 500 Hz)
are ingested and validated into an empty home, everything published and synced to disk, in turn
with `polars.read_csv` on each of the same files, which uses all cores, and with their sha256; then
a thousand logs of a second each. Files are in the cache of the system, as they are after a copy.
Memory is the largest resident size of a separate process that ingests one, four or eight such
files.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.signal import cont2discrete, lfilter, ss2tf

from benchmarks import ROUNDS, Row, largest_resident, main, paired, peak_memory, row
from kinemill.ingest import stage as ingest
from kinemill.process import tune_process
from kinemill.store import file_digest
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.validate import stage as validate

DT = 0.002  # s
JOINTS = 5
LARGE = 4  # files of 64 MB, for speed
SMALL, SMALL_ROWS = 1_000, 500  # logs of a second
FILES = (1, 4, 8)  # of 64 MB, for memory: at most four recordings at a time are in work


ROWS = 400_000  # of 64 MB with seven decimals


def task() -> Task:
    """Return the task of the simulated arm: 15 channels at 500 Hz."""
    channels: dict[str, object] = {}
    for joint in range(JOINTS):
        angle = f"joint{joint}_angle"
        channels |= {
            angle: {"role": "state", "kind": "angle", "unit": "rad", "limits": [-12.0, 12.0]},
            f"joint{joint}_velocity": {
                "role": "state", "unit": "rad/s", "derivative_of": angle, "limits": [-60.0, 60.0],
            },
            f"joint{joint}_torque": {"role": "action", "unit": "N*m", "limits": [-10.0, 10.0]},
        }  # fmt: skip
    return Task.model_validate(
        {
            "task": "arm",
            "dt": DT,
            "channels": channels,
            "ingest": {"min_file_age": 0.0},
            "learn": {"type": "dynamics", "model": {"type": "mlp"}},
        }
    )


def simulate(rows: int, seed: int) -> pl.DataFrame:
    """Return a log of the arm: `time` s with the jitter of a logger, 15 channels, (rows,) each.

    Each joint is a spring and a damper of its own, driven by torque through a low-pass filter, and
    solved exactly over each time step; encoders add noise.
    """
    random = np.random.default_rng(seed)
    columns = {"time": DT * np.arange(rows) + random.uniform(0.0, 1e-4, rows)}
    for joint in range(JOINTS):
        torque = 4.0 * _smooth(random.normal(size=rows))
        angle, velocity = _trajectory(
            torque, stiffness=20.0 * (joint + 1), damping=0.5 * (joint + 1)
        )
        noise = random.normal(size=(2, rows)) * [[1e-5], [3e-3]]
        columns[f"joint{joint}_angle"] = angle + noise[0]
        columns[f"joint{joint}_velocity"] = velocity + noise[1]
        columns[f"joint{joint}_torque"] = torque
    return pl.DataFrame(columns)


def _smooth(noise):
    """Filter white noise (n,) twice at 0.8 Hz, and scale it to a deviation of 1 within -2 to 2."""
    smooth: Any = lfilter([0.01], [1.0, -0.99], lfilter([0.01], [1.0, -0.99], noise))
    return np.clip(smooth / smooth.std(), -2.0, 2.0)


def _trajectory(torque, stiffness, damping):
    """Return angle and velocity (n,) of a joint that torque (n,) / 5 holds against its spring."""
    plant = np.array([[0.0, 1.0], [-stiffness, -damping]]), np.array([[0.0], [stiffness / 5]])
    discrete: Any = cont2discrete((*plant, np.eye(2), np.zeros((2, 1))), DT)
    numerators, denominator = ss2tf(*discrete[:4])
    return [lfilter(numerator, denominator, torque) for numerator in numerators]


def run_pipeline(arm: Task, home: Home, logs: Path) -> int:
    """Take the logs of a folder from CSV to validated, published episodes; return their rows."""
    recordings = ingest.run(arm, home, logs).artifact.ref
    return int(validate.run(arm, home, recordings).summary["rows"])


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return MB and recordings a second, and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [_large(folder, rounds), _small(folder, rounds), _memory(folder)]


def _large(folder: Path, rounds: int) -> Row:
    logs = folder / "large"
    logs.mkdir()
    for seed in range(LARGE):
        simulate(ROWS, seed).write_csv(logs / f"log{seed}.csv", float_precision=7)
    paths = sorted(logs.iterdir())
    megabytes = [path.stat().st_size / 1e6 for path in paths]

    def hashed():
        with ThreadPoolExecutor(len(paths)) as pool:
            list(pool.map(file_digest, paths))

    cases = {
        "ours": _pipeline(folder, LARGE * ROWS, logs),
        "polars.read_csv": lambda: [pl.read_csv(path) for path in paths],
        "sha256": hashed,
    }
    size = f"{LARGE} files of {min(megabytes):.0f} MB, seven decimals"
    work = f"CSV to validated episodes, {size}"
    return paired(work, "MB/s", sum(megabytes), cases, rounds, time.perf_counter)


def _small(folder: Path, rounds: int) -> Row:
    logs = folder / "small"
    logs.mkdir()
    for seed in range(SMALL):
        simulate(SMALL_ROWS, seed).write_csv(logs / f"log{seed:04d}.csv", float_precision=7)
    paths = sorted(logs.iterdir())
    # A disk that looks in vain for what was removed a minute ago takes three times as long to make
    # a file; so the homes of all rounds stay.
    cases = {
        "ours": _pipeline(folder, SMALL * SMALL_ROWS, logs, keep=True),
        "polars.read_csv": lambda: [pl.read_csv(path) for path in paths],
    }
    work = f"CSV to validated episodes, {SMALL} files of {SMALL_ROWS} rows"
    return paired(work, "recordings/s", SMALL, cases, rounds, time.perf_counter)


def _pipeline(folder: Path, rows: int, logs: Path, *, keep: bool = False) -> Callable[[], object]:
    """Return a call that takes logs with `rows` rows through the pipeline in an empty home."""
    arm = task()
    homes = count()

    def run() -> None:
        home = Home(folder / f"home-{logs.name}-{next(homes)}")
        accepted = run_pipeline(arm, home, logs)
        assert accepted >= 0.99 * rows, f"{accepted} of {rows} rows were accepted"
        if not keep:
            shutil.rmtree(home.root)

    return run


def _memory(folder: Path) -> Row:
    """Return the peak of many large files over that of fewer, each in a process of its own."""
    logs = folder / "many"
    logs.mkdir()
    content = simulate(ROWS, 0).write_csv(float_precision=7)
    peaks: dict[int, float] = {}
    for number in range(1, FILES[-1] + 1):
        # A comment makes it another recording.
        (logs / f"log{number}.csv").write_text(f"# {number}\n{content}")
        if number in FILES:
            peaks[number] = peak_memory("ingest", folder / "home", logs)
            shutil.rmtree(folder / "home")
    ours = peaks.pop(FILES[-1])
    work = f"peak resident memory, {FILES[-1]} files of {len(content) / 1e6:.0f} MB"
    return row(work, "MB", ours, {f"{number} of them": peak for number, peak in peaks.items()})


if __name__ == "__main__":
    tune_process()  # as every process of kinemill
    if "--peak" in sys.argv:  # see `_memory`
        peak_home, peak_logs = map(Path, sys.argv[-2:])
        run_pipeline(task(), Home(peak_home), peak_logs)
        print(largest_resident())
    else:
        main("ingest", measure)
