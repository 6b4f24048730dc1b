"""Common runs as jobs of their own: their launchpad opens filled in, to be changed or launched.

The form knows types and choices; bounds are in its descriptions (resources/task_resource.py), and a
launch outside of them is refused, with the name of the bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task
from resources.tags import MAX_RUNTIME, TASK

_MOST = 100  # clips that a form lists; of more, patterns are quicker
_QUICK, _LONG, _FEWEST = 10, 4, 10  # of the task's steps: a tenth, four times; at least so many


@dataclass(frozen=True)
class Preset:
    """A run that people often want.

    Attributes:
        name: of the job, after that of the task.
        says: what it is for.
        learn: keys of the task's `learn` part that it sets.
    """

    name: str
    says: str
    learn: dict[str, Any]


def motion(task: Task, home: Home) -> Preset:
    """Return the form of a training on reference clips, the known ones listed to choose from."""
    return Preset(
        "motion",
        "Learn to walk as clips do: epochs 1 to 1000, batch 1 to 512, rate 1e-4 to 0.1, hidden "
        "size 32 to 512 in steps of 32; of `motions`, which lists the known clips, strike out what "
        "is not to be learned, or give patterns on their names.",
        {
            "epochs": 100,
            "batch_size": 32,
            "hidden_size": 256,
            "motions": known_motions(task, home),
            "optimizer": {"lr": 1e-3},
        },
    )


def known_motions(task: Task, home: Home) -> list[str]:
    """Return the names of the clips in the drop folder; `*` where there are none, or too many."""
    folder = Path(task.ingest.watch).expanduser() if task.ingest.watch else home.logs(task.name)
    names = sorted(path.name for path in folder.glob("*") if path.is_file())
    wanted = task.ingest.include
    known = [name for name in names if not wanted or any(fnmatch(name, one) for one in wanted)]
    return known if 0 < len(known) <= _MOST else ["*"]


def presets_of(task: Task) -> Sequence[Preset]:
    """Return the common runs of a task."""
    if task.learn.type == "motion":
        return [motion(task, Home.resolve())]
    steps = task.learn.steps
    return [
        Preset(
            "quick_look",
            f"Does it work at all? A tenth of the {steps} steps; the gate decides as ever.",
            {"steps": max(_FEWEST, steps // _QUICK)},
        ),
        Preset(
            "long",
            f"Is there more in it? Four times the {steps} steps, and no early end.",
            {"steps": steps * _LONG, "patience": None},
        ),
        Preset(
            "another_seed",
            f"Was it luck? All as it is, with the seed after {task.learn.seed}.",
            {"seed": task.learn.seed + 1},
        ),
    ]


def preset_jobs(task: Task) -> list[Any]:
    """Make the jobs of a task's presets; each runs the whole chain."""
    return [
        dg.define_asset_job(
            f"{task.name}_{preset.name}",
            selection=dg.AssetSelection.groups(task.name),
            description=f"{preset.says} All keys of the task can be changed in the launchpad.",
            config={"resources": {task.name: {"config": {"learn": preset.learn}}}},
            tags={TASK: task.name, MAX_RUNTIME: f"{task.compute.run_timeout:.0f}"},
        )
        for preset in presets_of(task)
    ]
