"""Presets: common runs as separate jobs with a pre-filled launchpad.

The form checks types and choices. Bounds are in its descriptions (resources/task_resource.py), and
a launch that exceeds one is rejected with its name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.store.home import Home
from kinemill.task import Task
from kinemill_dagster.resources.tags import MAX_RUNTIME, TASK

_MOST = 100  # maximum number of listed clips; patterns are easier for more
_QUICK, _LONG, _FEWEST = 10, 4, 10  # divisor and factor of the task's steps, and minimum steps


@dataclass(frozen=True)
class Preset:
    """A common run.

    Attributes:
        name: suffix of the job's name.
        purpose: purpose of the run.
        learn: keys of the task's `learn` part that it sets.
    """

    name: str
    purpose: str
    learn: dict[str, Any]


def motion(task: Task, home: Home) -> Preset:
    """Return the preset of a training on reference clips, with the known clips listed."""
    return Preset(
        "motion",
        "Train walking from clips: epochs 1 to 1000, batch 1 to 512, rate 1e-4 to 0.1, hidden "
        "size 32 to 512 in steps of 32; of `motions`, which lists the known clips, remove those "
        "that are not needed, or give patterns of names.",
        {
            "epochs": 100,
            "batch_size": 32,
            "hidden_size": 256,
            "motions": known_motions(task, home),
            "optimizer": {"lr": 1e-3},
        },
    )


def known_motions(task: Task, home: Home) -> list[str]:
    """Return the names of the clips in the drop folder; `*` if there are none or too many."""
    folder = Path(task.ingest.watch).expanduser() if task.ingest.watch else home.logs(task.name)
    names = sorted(path.name for path in folder.glob("*") if path.is_file())
    patterns = task.ingest.include
    motions = [
        name for name in names if not patterns or any(fnmatch(name, one) for one in patterns)
    ]
    return motions if 0 < len(motions) <= _MOST else ["*"]


def presets_of(task: Task) -> Sequence[Preset]:
    """Return the common runs of a task."""
    if task.learn.type == "motion":
        return [motion(task, Home.resolve())]
    steps = task.learn.steps
    return [
        Preset(
            "quick_look",
            f"Quick check: a tenth of the {steps} steps; the gate decides as usual.",
            {"steps": max(_FEWEST, steps // _QUICK)},
        ),
        Preset(
            "long",
            f"Long training: four times the {steps} steps, without early stopping.",
            {"steps": steps * _LONG, "patience": None},
        ),
        Preset(
            "another_seed",
            f"Other seed: unchanged settings with the seed after {task.learn.seed}.",
            {"seed": task.learn.seed + 1},
        ),
    ]


def preset_jobs(task: Task) -> list[Any]:
    """Return the jobs of a task's presets; each runs the full pipeline."""
    return [
        dg.define_asset_job(
            f"{task.name}_{preset.name}",
            selection=dg.AssetSelection.groups(task.name),
            description=f"{preset.purpose} All keys of the task can be changed in the launchpad.",
            config={"resources": {task.name: {"config": {"learn": preset.learn}}}},
            tags={TASK: task.name, MAX_RUNTIME: f"{task.compute.run_timeout:.0f}"},
        )
        for preset in presets_of(task)
    ]
