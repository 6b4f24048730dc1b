"""Ingest each set of real logs with its task: format, files, episodes, rows, seconds.

Time is one ingest into an empty home, from files to published recordings, with every fsync; the
median of three. The logs are beside the checkout, in `../shared/data`.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import DATA, ROOT, main, markdown_table, require
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import Task, load_task

ROUNDS = 3
MAT = {"ingest.include": ["*.mat"], "ingest.rate": None}  # beside the CSV of the same rows
SETS: list[tuple[str, str, dict[str, Any]]] = [  # folder, its task, what is changed in that
    ("simple_pendulum", "examples/tasks/simple_pendulum.yaml", {}),
    ("double_pendulum_sysid", "examples/tasks/double_pendulum.yaml", {"ingest.exclude": []}),
    ("double_pendulum_c0", "examples/tasks/double_pendulum.yaml", {}),
    ("pendubot_400hz", "tests/tasks/pendubot.yaml", {}),
    ("acrobot_pendubot_33hz", "tests/tasks/acrobot.yaml", {}),
    ("silverbox", "tests/tasks/silverbox.yaml", {}),
    ("cascaded_tanks", "tests/tasks/cascaded_tanks.yaml", {}),
    ("cascaded_tanks", "tests/tasks/cascaded_tanks.yaml", MAT),
    ("g1_lerobot", "tests/tasks/g1.yaml", {}),
    ("px4_ulog", "tests/tasks/vtol_flight.yaml", {}),
    ("cartpole_sim_mcap", "tests/tasks/cart_pole_sim.yaml", {}),
    ("bouc_wen_sim_h5", "tests/tasks/bouc_wen.yaml", {}),
    ("awd_motion", "tests/tasks/duck_motion.yaml", {}),
    ("buck_converter", "tests/tasks/buck_converter.yaml", {}),
    ("dc_generator", "tests/tasks/dc_generator.yaml", {}),
    ("rlc_sim", "tests/tasks/rlc_sim.yaml", {}),
]
ROBOTS = {"awd_robots"}  # models of robots, no logs

HEAD = ["format", "real files", "number", "MB", "episodes", "rows", "time, s"]


def task_of(task: str, changed: dict[str, Any]) -> Task:
    """Return the task of a set, which reads files at once."""
    return load_task(ROOT / task, {"ingest.min_file_age": 0.0, **changed})


def measure() -> str:
    """Return a table with a row for each set."""
    require(DATA)
    return markdown_table(
        HEAD, (_row(folder, task_of(task, changed)) for folder, task, changed in SETS)
    )


def _row(folder: str, task: Task) -> list[object]:
    seconds = list[float]()
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="kinemill-formats-") as home:
            began = time.perf_counter()
            report = ingest.run(task, Home(Path(home)), DATA / folder)
            seconds.append(time.perf_counter() - began)
            recordings = load_recordings(Home(Path(home)), report.artifact.ref)
    summary = report.artifact.summary
    formats = ", ".join(sorted({recording.summary.format for recording in recordings}))
    sizes = [(DATA / folder / recording.name).stat().st_size for recording in recordings]
    return [
        formats,
        f"`{folder}`",
        summary["recordings"],
        f"{sum(sizes) / 1e6:.1f}",
        summary["tracks"],
        f"{summary['rows']:,}",
        f"{statistics.median(seconds):.2f}",
    ]


if __name__ == "__main__":
    main("formats", measure)
