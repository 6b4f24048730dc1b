"""Run all stages of a task in this process, once or in its learning loop."""

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from kinemill.api.dataset import Data, Dataset
from kinemill.api.progress import ShowProgress, StderrProgress, reporter
from kinemill.api.project import project
from kinemill.api.registry import Registered, register_stages
from kinemill.api.training import Overrides, TaskLike, resolve_task, train_stages
from kinemill.store import Home, Json
from kinemill.store.locks import in_use
from kinemill.task import remember_task

if TYPE_CHECKING:
    from kinemill.control.controlled_plant import ControlledPlant


def run(
    task: TaskLike,
    data: Data | Dataset = None,
    *,
    overrides: Overrides | None = None,
    presets: Sequence[str] = (),
    progress: ShowProgress = True,
) -> Registered:
    """Train, verify and register the model of a task, and run the promotion gate.

    Cached stages are skipped: a second call returns the same version with the status `unchanged`.
    Stages share the cache of `kinemill run`, which also records the run in Dagster.

    Args:
        task: a task, its name or file, a mapping with the keys of a task file, or `gym:ID` of an
            environment, whose task is drafted.
        data: frames, a dataset, a log or a folder of logs; default: the task's drop folder.
        overrides: dotted key to value.
        presets: such as `["algorithm=ppo", "model=small"]`, before the overrides.
        progress: show a live display; or a callback, see `Update`.

    Raises:
        TaskError: The task or an override is wrong; nothing was started.
        BadInput: A preset is unknown, or the home is being restored.
        Blocked: A blocking check failed, or the exported files do not work.
        TrainingFailed: Loss or gradient is not finite.
    """
    resolved = resolve_task(task, overrides, presets)
    home = Home.resolve()
    report = reporter(progress)
    with in_use(home, f"run-{uuid4().hex[:8]}"):
        remember_task(home, resolve_task(task))
        return register_stages(train_stages(resolved, home, data, report, track=True), report)


def learn_in_loop(
    task: str, *, plant: "ControlledPlant | None" = None, overrides: Overrides | None = None
) -> Json:
    """Run the remaining rounds of a task's loop; see docs/learning-loop.md.

    Args:
        task: name of a task with a `loop` part, or path of its file.
        plant: plant of the episodes; default: the simulated plant of the task.
        overrides: values by dotted key.

    Returns:
        The document of `kinemill run --json`: `status` is `done`, `missed` or `unchanged`; `steps`
        of the plant, `successes` of `trials`, and one entry for each of `rounds`.

    Raises:
        TaskError: The task file or an override is invalid; nothing was started.
        BadInput: Dagster is not installed.
        EpisodeFailed: The plant failed; earlier episodes are kept.
    """
    pipeline = project("pipelines.loop")
    return pipeline.run_loop(task, dict(overrides or {}), StderrProgress(), plant=plant)
