"""Dataset versions that hold no episodes: what a policy learns from that learns without logs."""

from collections.abc import Callable
from pathlib import Path

from kinemill.dataset._listing import write_listing
from kinemill.dataset._versions import STAGE, enter
from kinemill.store import Artifact, Json, get_or_build
from kinemill.store.home import Home
from kinemill.task import Task


def publish_unpacked(
    task: Task, home: Home, made_from: Json, build: Callable[[Path], Json]
) -> Artifact:
    """Publish what `build` writes as a version of the task's dataset, with a number as any other.

    Args:
        task: whose dataset it is.
        home: where outcomes are kept.
        made_from: what else than the task's `dt`, `channels` and `dataset` part it depends on.
        build: writes into a folder; returns what of it belongs into the summary.
    """
    rules = task.part("dt", "channels", "dataset")
    inputs = {"task": rules, "columns": [], "shortest": 0, **made_from}

    def listed(folder: Path) -> Json:
        write_listing(folder, [], [], {})
        return {"episodes": {}, "rows": {}, "statistics": {}, **build(folder)}

    outcome = get_or_build(home, STAGE, task.name, inputs, listed)
    enter(home, task.name, outcome.ref)
    return outcome
