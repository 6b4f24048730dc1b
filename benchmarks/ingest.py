"""Speed of ingest and validation: large logs against polars, and small logs per second.

Four CSV files of at least 64 MB (five simulated joints with angle, velocity and torque at 500 Hz)
are ingested and validated into an empty home, everything published and synced to disk, in turn
with `polars.read_csv` on each of the same files, which uses all cores, and with their sha256; then
a thousand logs of a second each. Files are in the cache of the system, as they are after a copy.
Memory is the largest resident size of a separate process that ingests one, four or eight such
files.
"""

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.signal import cont2discrete, lfilter, ss2tf

from benchmarks import ROOT, ROUNDS, Row, table
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


@dataclass(frozen=True)
class Spelling:
    """How a logger writes numbers, and how many rows of the arm make 64 MB so."""

    name: str
    rows: int
    written: dict[str, object]


SPELLINGS = (
    Spelling("seven decimals", 400_000, {"float_precision": 7}),
    Spelling("%.18e", 180_000, {"float_precision": 18, "float_scientific": True}),
)


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
    smooth = lfilter([0.01], [1.0, -0.99], lfilter([0.01], [1.0, -0.99], noise))
    return np.clip(smooth / smooth.std(), -2.0, 2.0)


def _trajectory(torque, stiffness, damping):
    """Return angle and velocity (n,) of a joint that torque (n,) / 5 holds against its spring."""
    plant = np.array([[0.0, 1.0], [-stiffness, -damping]]), np.array([[0.0], [stiffness / 5]])
    *discrete, _ = cont2discrete((*plant, np.eye(2), np.zeros((2, 1))), DT)
    numerators, denominator = ss2tf(*discrete)
    return [lfilter(numerator, denominator, torque) for numerator in numerators]


def run_pipeline(arm: Task, home: Home, logs: Path) -> int:
    """Take the logs of a folder from CSV to validated, published episodes; return their rows."""
    recordings = ingest.run(arm, home, logs).artifact.ref
    return int(validate.run(arm, home, recordings).summary["rows"])


def measure() -> list[Row]:
    """Return MB and recordings a second, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        large = [_large(Path(folder), spelling) for spelling in SPELLINGS]
        return [*large, _small(Path(folder)), _memory(Path(folder))]


def _large(folder: Path, spelling: Spelling) -> Row:
    logs = folder / "large"
    logs.mkdir()
    for seed in range(LARGE):
        log = simulate(spelling.rows, seed)
        log.write_csv(logs / f"log{seed}.csv", **spelling.written)
    paths = sorted(logs.iterdir())
    megabytes = [path.stat().st_size / 1e6 for path in paths]

    def hashed():
        with ThreadPoolExecutor(len(paths)) as pool:
            list(pool.map(file_digest, paths))

    seconds = _rounds(
        folder,
        LARGE * spelling.rows,
        logs,
        {"polars.read_csv": lambda: [pl.read_csv(path) for path in paths], "sha256": hashed},
    )
    shutil.rmtree(logs)
    size = f"{LARGE} files of {min(megabytes):.0f} MB, {spelling.name}"
    return _row(f"CSV to validated episodes, {size}", "MB/s", sum(megabytes), seconds)


def _small(folder: Path) -> Row:
    logs = folder / "small"
    logs.mkdir()
    for seed in range(SMALL):
        simulate(SMALL_ROWS, seed).write_csv(logs / f"log{seed:04d}.csv", float_precision=7)
    paths = sorted(logs.iterdir())
    alone = {"polars.read_csv": lambda: [pl.read_csv(path) for path in paths]}
    # A disk that looks in vain for what was removed a minute ago takes three times as long to make
    # a file; so the homes of all rounds stay.
    seconds = _rounds(folder, SMALL * SMALL_ROWS, logs, alone, keep=True)
    work = f"CSV to validated episodes, {SMALL} files of {SMALL_ROWS} rows"
    return _row(work, "recordings/s", SMALL, seconds)


def _rounds(
    folder: Path,
    rows: int,
    logs: Path,
    references: dict[str, Callable[[], object]],
    *,
    keep: bool = False,
) -> dict[str, list[float]]:
    """Return the seconds of each round, ours and the references in turn, after a warm-up.

    Raises:
        ValueError: episodes hold less than 99 % of the rows, so that there was less to do.
    """
    arm, seconds = task(), {"ours": list[float](), **{name: list[float]() for name in references}}
    for number in range(ROUNDS + 1):
        home = Home(folder / f"home{number}")
        began = time.perf_counter()
        episodes = run_pipeline(arm, home, logs)
        spent = {"ours": time.perf_counter() - began}
        for name, call in references.items():
            began = time.perf_counter()
            call()
            spent[name] = time.perf_counter() - began
        if not keep:
            shutil.rmtree(home.root)
        if episodes < 0.99 * rows:
            message = f"{episodes} of {rows} rows were accepted"
            raise ValueError(message)
        if number:
            for name, value in spent.items():
                seconds[name].append(value)
    return seconds


def _row(work: str, unit: str, amount: float, seconds: dict[str, list[float]]) -> Row:
    """Return one row; ratios are medians of the ratios in each round, with least and most."""
    ours = seconds.pop("ours")
    paired = {
        name: [theirs / own for own, theirs in zip(ours, values, strict=True)]
        for name, values in seconds.items()
    }
    return {
        "work": work,
        "unit": unit,
        "ours": amount / statistics.median(ours),
        "references": {name: amount / statistics.median(v) for name, v in seconds.items()},
        "ratios": {name: statistics.median(values) for name, values in paired.items()},
        "spread": {name: [min(values), max(values)] for name, values in paired.items()},
    }


def _memory(folder: Path) -> Row:
    """Return the peak of many large files over that of fewer, each in a process of its own."""
    spelling, logs = SPELLINGS[0], folder / "many"
    logs.mkdir()
    content = simulate(spelling.rows, 0).write_csv(**spelling.written)
    peaks: dict[int, float] = {}
    for number in range(1, FILES[-1] + 1):
        # A comment makes it another recording.
        (logs / f"log{number}.csv").write_text(f"# {number}\n{content}")
        if number in FILES:
            peaks[number] = _peak(folder / "home", logs)
    ours = peaks.pop(FILES[-1])
    return {
        "work": f"peak resident memory, {FILES[-1]} files of {len(content) / 1e6:.0f} MB",
        "unit": "MB",
        "ours": ours,
        "references": {f"{count} of them": peak for count, peak in peaks.items()},
        "ratios": {f"{count} of them": ours / peak for count, peak in peaks.items()},
    }


def _peak(home: Path, logs: Path) -> float:
    """Return the peak resident memory, MB, of a process that takes in the logs of a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest", "--peak", str(home), str(logs)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    shutil.rmtree(home)
    return float(done.stdout)


def _largest_resident() -> float:
    """Return the largest resident size of this process so far, MB.

    What `getrusage` says begins with the size of the process that started this one.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return float(line.split()[1]) / 1024


def main() -> None:
    """Measure; `--json` prints a document, `--peak HOME LOGS` is how this calls itself."""
    tune_process()  # as every process of kinemill's
    if "--peak" in sys.argv:
        home, logs = map(Path, sys.argv[-2:])
        run_pipeline(task(), Home(home), logs)
        print(_largest_resident())
        return
    rows = measure()
    print(json.dumps({"rows": rows}) if "--json" in sys.argv else table(rows))


if __name__ == "__main__":
    main()
