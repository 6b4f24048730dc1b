"""Drafts from one log, and the rows that they cut from other logs of the same robot.

`python -m benchmarks.drafts` drafts a task from each of the first logs of every set with several
logs, as `kinemill new` does, and checks all other logs of that robot against it. A log is sound if
the hand-written task of its set takes every row; it counts as cut if the draft drops one of its
rows, splits it, or puts it into quarantine. A draft from all logs of a set is checked against these
logs as well.
"""

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import DATA, main, markdown_table, require
from benchmarks.formats import SETS as TASKS
from benchmarks.formats import task_of
from kinemill.draft.builder import draft
from kinemill.store.home import Home
from kinemill.task import CHECKS, Task, load_task
from kinemill.validate.dry_run import dry_run

EACH = 3  # drafts of a set
ROBOTS = [  # folder, logs of one robot
    ("simple_pendulum", "*.csv"),
    ("double_pendulum_sysid", "*col.csv"),
    ("double_pendulum_sysid", "*traj*.csv"),
    ("double_pendulum_c0", "*.csv"),
    ("pendubot_400hz", "*.csv"),
    ("acrobot_pendubot_33hz", "acrobot*.csv"),
    ("acrobot_pendubot_33hz", "pendubot*.csv"),
    ("awd_motion", "go_bdx*.json"),
    ("awd_motion", "mini_bdx*.json"),
    ("g1_lerobot", "data/*/*.parquet"),
    ("buck_converter", "*.csv"),
    ("rlc_sim", "*.csv"),
]
# The other checks cut while a log is read.
OF_ROWS = {*CHECKS, "nonfinite", "min_steps", "schema", "clock_wrap", "rounded_stamps",
           "late_stamp"}  # fmt: skip

Entry = dict[str, Any]


@dataclass
class Count:
    """Sound logs of one robot, and what happened to them."""

    robot: str
    sound: int = 0
    checked: int = 0
    cut: int = 0
    quarantined: int = 0
    by_check: Counter[str] = field(default_factory=Counter[str])

    @property
    def wrong(self) -> int:
        """Return how many were cut or put into quarantine."""
        return self.cut + self.quarantined

    def add(self, entry: Entry) -> None:
        """Count the result of one sound log."""
        self.checked += 1
        self.quarantined += not entry["episodes"]
        if is_cut(entry):
            self.cut += 1
            self.by_check.update(cutting_checks(entry))


def cutting_checks(entry: Entry) -> set[str]:
    """Return the checks whose findings are no warning and no repair."""
    return {
        str(item["check"])
        for item in entry["reasons"]
        if not str(item["found"]).endswith(("; a warning", "; corrected", "; interpolated"))
    }


def is_cut(entry: Entry) -> bool:
    """Return whether a log lost rows, was split or was put into quarantine."""
    read = {str(item["check"]) for item in entry["reasons"]} - OF_ROWS
    return not entry["episodes"] or entry["dropped_rows"] > 0 or bool(read)


def check(task: Task, log: Path) -> Entry:
    """Return what a task makes of one log, without writing."""
    with tempfile.TemporaryDirectory(prefix="kinemill-drafts-") as home:
        (entry,) = dry_run(task, Home(Path(home)), log)
    return entry


def draft_task(source: Path, folder: Path) -> Task:
    """Draft a task as `kinemill new` does, and load it."""
    path = folder / "drafted.yaml"
    path.write_text(draft("drafted", source), encoding="utf-8")
    return load_task(path, {"ingest.min_file_age": 0.0, "ingest.include": ["*"]})


def of_set(folder: str) -> Task:
    """Return the hand-written task of a set, which takes each of its logs alone."""
    path, changed = next((task, own) for name, task, own in TASKS if name == folder)
    return task_of(path, {"ingest.include": ["*"], "ingest.exclude": [], **changed})


def measure(each: int = EACH) -> str:
    """Return the counts of all robots as a Markdown table."""
    require(DATA)
    return table([measure_robot(folder, pattern, each) for folder, pattern in ROBOTS])


def measure_robot(folder: str, pattern: str, each: int) -> tuple[Count, Count]:
    """Return the counts of drafts from one log, and of the draft from all of them."""
    logs = sorted((DATA / folder).glob(pattern))
    own = of_set(folder)
    sound = [log for log in logs if not is_cut(check(own, log))]
    title = f"{folder} ({pattern})"
    single, joint = Count(title, len(sound)), Count(title, len(sound))
    with tempfile.TemporaryDirectory(prefix="kinemill-drafts-") as scratch:
        folder_path = Path(scratch)
        for source in logs[:each]:
            task = draft_task(source, folder_path)
            for log in sound:
                if log != source:
                    single.add(check(task, log))
        every = folder_path / "every"
        every.mkdir()
        for log in logs:
            (every / log.name).symlink_to(log)
        task = draft_task(every, folder_path)
        for log in sound:
            joint.add(check(task, log))
    return single, joint


def table(counts: list[tuple[Count, Count]]) -> str:
    """Return the counts as a Markdown table."""
    head = ["logs", "sound", "draft from one log: checked", "cut or quarantined"]
    rows = list[list[object]]()
    for single, joint in counts:
        by_check = "".join(f", {name} {count}" for name, count in sorted(single.by_check.items()))
        wrong = f"{single.wrong}{by_check}"
        rows.append([f"`{single.robot}`", single.sound, single.checked, wrong, joint.wrong])
    singles = [single for single, _ in counts]
    totals = [
        sum(getattr(single, name) for single in singles) for name in ("sound", "checked", "wrong")
    ]
    rows.append(["all", *totals, sum(joint.wrong for _, joint in counts)])
    return markdown_table([*head, "draft from all: cut or quarantined"], rows)


if __name__ == "__main__":
    main("drafts", measure)
