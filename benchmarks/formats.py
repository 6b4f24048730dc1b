"""Ingest each set of real logs with its task: format, files, episodes, rows, seconds.

Time is one ingest into an empty home, from files to published recordings, with every fsync; the
median of three. The logs are beside the checkout, in `../shared/data`.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import Task, load_task

DATA = ROOT.parent / "shared" / "data"
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

Row = dict[str, Any]


def task_of(task: str, changed: dict[str, Any]) -> Task:
    """Return the task of a set, which reads files at once."""
    return load_task(ROOT / task, {"ingest.min_file_age": 0.0, **changed})


def measure() -> list[Row]:
    """Return one row for each set."""
    return [_row(folder, task_of(task, changed)) for folder, task, changed in SETS]


def _row(folder: str, task: Task) -> Row:
    seconds = list[float]()
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="kinemill-formats-") as home:
            began = time.perf_counter()
            report = ingest.run(task, Home(Path(home)), DATA / folder)
            seconds.append(time.perf_counter() - began)
            recordings = load_recordings(Home(Path(home)), report.artifact.ref)
    summary = report.artifact.summary
    return {
        "format": ", ".join(sorted({recording.summary.format for recording in recordings})),
        "set": folder,
        "files": summary["recordings"],
        "megabytes": sum(
            (DATA / folder / recording.name).stat().st_size for recording in recordings
        )
        / 1e6,
        "quarantined": summary["quarantined"],
        "episodes": summary["tracks"],
        "rows": summary["rows"],
        "seconds": statistics.median(seconds),
    }


def table(rows: list[Row]) -> str:
    """Return rows as a Markdown table."""
    lines = [
        "| format | real files | number | MB | episodes | rows | time, s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['format']} | `{row['set']}` | {row['files']} | {row['megabytes']:.1f} "
        f"| {row['episodes']} | {row['rows']:,} | {row['seconds']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and print; `--json` prints a document for `python -m benchmarks`."""
    if not DATA.is_dir():
        reason = f"{DATA} is not here: there are no real logs to read"
        if "--json" not in sys.argv:
            sys.exit(reason)
        print(json.dumps({"skipped": reason}))
        return
    rows = measure()
    text = table(rows)
    print(json.dumps({"rows": rows, "table": text}) if "--json" in sys.argv else text)


if __name__ == "__main__":
    main()
