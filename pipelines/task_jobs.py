"""Jobs of a task: its pipeline, and of a motion task one whose launchpad lists the known clips.

The form checks types and choices. Bounds are in its descriptions (resources/task_resource.py), and
a launch that exceeds one is rejected with its name.
"""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.tags import task_tags

_MOST = 100  # maximum number of listed clips; patterns are easier for more


def task_jobs(task: Task) -> list[Any]:
    """Return the jobs of a task: its pipeline, and of a motion task one for a choice of clips."""
    pipeline = dg.define_asset_job(
        task.name,
        selection=dg.AssetSelection.groups(task.name),
        description=task.description or f"The full pipeline of {task.name}.",
        tags=task_tags(task),
    )
    if task.learn.type != "motion":
        return [pipeline]
    learn = {
        "epochs": 100,
        "batch_size": 32,
        "hidden_size": 256,
        "motions": known_motions(task, Home.resolve()),
        "optimizer": {"lr": 1e-3},
    }
    motion = dg.define_asset_job(
        f"{task.name}_motion",
        selection=dg.AssetSelection.groups(task.name),
        description="Train walking from clips: epochs 1 to 1000, batch 1 to 512, rate 1e-4 to "
        "0.1, hidden size 32 to 512 in steps of 32; of `motions`, which lists the known clips, "
        "remove those that are not needed, or name patterns. All keys of the task can be "
        "changed in the launchpad.",
        config={"resources": {task.name: {"config": {"learn": learn}}}},
        tags=task_tags(task),
    )
    return [pipeline, motion]


def known_motions(task: Task, home: Home) -> list[str]:
    """Return the names of the clips in the drop folder; `*` if there are none or too many."""
    folder = Path(task.ingest.watch).expanduser() if task.ingest.watch else home.logs(task.name)
    names = sorted(path.name for path in folder.glob("*") if path.is_file())
    patterns = task.ingest.include
    motions = [
        name
        for name in names
        if not patterns or any(fnmatch(name, pattern) for pattern in patterns)
    ]
    return motions if 0 < len(motions) <= _MOST else ["*"]
